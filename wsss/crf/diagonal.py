"""The exact diagonal of a permutohedral lattice's filter: splat, blur and slice of each point alone.

It is less than 1 and differs from point to point: the blur loses what passes through corners that no point touches.
"""

from __future__ import annotations

import numpy as np

from wsss.numeric.compiled import compiled

F32, I32, U64 = np.float32, np.int32, np.uint64
Sides = tuple[int, ...]
"""A tuple of length d + 1; its length is known when code is compiled."""


@compiled
def own_shares(
    corners: np.ndarray,
    orders: np.ndarray,
    weights: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    sides: Sides,
) -> np.ndarray:
    """``wᵀ B w`` of each point, (N,) float32: w its weights, B what the blur carries from corner to corner; d ≤ 5.

    Neighbouring pixels mostly share a simplex: a small table of recent ones saves computing most B.
    """
    count, bits = len(sides), 10
    on, back = _open_ways(after), _open_ways(before)
    recent, blurs = np.full(1 << bits, -1, I32), np.empty((1 << bits, count, count), F32)
    out, axes = np.empty(len(corners), F32), np.empty(count, I32)
    for p in range(len(corners)):
        name = U64(corners[p, 0]) | (U64(orders[p]) << U64(32))
        slot = (name * U64(0x9E3779B97F4A7C15)) >> U64(64 - bits)
        q, blur = recent[slot], blurs[slot]
        if q < 0 or corners[q, 0] != corners[p, 0] or orders[q] != orders[p]:
            _blur_of_simplex(corners[p], orders[p], on, back, axes, blur, sides)
            recent[slot] = p
        total = F32(0)
        for a in range(count):
            part = F32(0)
            for b in range(count):
                part += blur[a, b] * weights[p, b]
            total += weights[p, a] * part
        out[p] = total
    return out


@compiled
def _open_ways(steps: np.ndarray) -> np.ndarray:
    """Bit T of each corner: whether it has a path along the axes of T, in the blur's order, over corners that exist.

    `steps`: (d + 1, M) neighbours, M where there is none. T is a set of axes, itself as bits: (M,) uint64 for d ≤ 5.
    """
    axes, count = steps.shape
    ways = np.ones(count, U64)
    for axis in range(axes - 1, -1, -1):
        shift, longer = U64(1 << axis), ways.copy()
        for corner in range(count):
            if steps[axis, corner] < count:
                longer[corner] |= ways[steps[axis, corner]] << shift
        ways = longer
    return ways


@compiled
def _blur_of_simplex(
    corners: np.ndarray, order: int, on: np.ndarray, back: np.ndarray, axes: np.ndarray, blur: np.ndarray, sides: Sides
) -> None:
    """Fill `blur` (d + 1, d + 1) of a simplex's `corners` (d + 1,), to and from; `axes` (d + 1,) is scratch.

    Corner k + 1 lies one step after corner k, along the axis of rank d − k in `order`, and corner 0 one after the last.
    So there are two paths between two corners, on and back around the simplex, with a factor ½ for each step. But the
    blur takes these steps in the order of the axes, through corners outside the simplex, where one may be missing.
    """
    count = len(sides)
    for axis in range(count):
        axes[count - 1 - ((order >> (3 * axis)) & 7)] = axis
    for a in range(count):
        for b in range(count):
            blur[a, b] = a == b
    for a in range(count):
        way, share, b = 0, F32(1), a
        for _ in range(count):
            way |= 1 << axes[b]
            share *= F32(0.5)
            b = b + 1 if b + 1 < count else 0
            blur[b, a] += share * F32(I32((on[corners[a]] >> U64(way)) & U64(1)))
            blur[a, b] += share * F32(I32((back[corners[b]] >> U64(way)) & U64(1)))
