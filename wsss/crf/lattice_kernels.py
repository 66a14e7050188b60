"""The loops of the permutohedral lattice; `wsss.crf.lattice` says what they are for.

Everything they call is in this file, because numba recompiles them only if their own file changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wsss.numeric.compiled import INSTALLED, compiled

BLOCK = 256
F32, I32, I64 = np.float32, np.int32, np.int64
Unit = tuple[int, ...]
"""A tuple of which only the length is used: it is known when code is compiled."""


def _row_operation(accumulate: bool) -> Any:
    """``target[at + c] (+)= factor · source[begin + c]`` for c < len(unit): added where `accumulate`, else overwritten.

    Both arrays float32 and C-contiguous, offsets in elements of the flat array; nothing is checked. One vector
    instruction, 3–10× faster than a loop: numba runs LLVM without its straight-line vectoriser, and loops as short as
    these are unrolled before the loop vectoriser sees them.
    """
    if not INSTALLED:
        return None
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def build(typing: Any, target: Any, at: Any, factor: Any, source: Any, begin: Any, unit: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            row = ir.VectorType(ir.FloatType(), len(unit))

            def address(array: int, offset: int) -> Any:
                data = context.make_array(signature.args[array])(context, builder, arguments[array]).data
                return builder.bitcast(builder.gep(data, [arguments[offset]]), row.as_pointer())

            factors = ir.Constant(row, ir.Undefined)
            for lane in range(len(unit)):
                factors = builder.insert_element(factors, arguments[2], ir.IntType(32)(lane))
            result = builder.fmul(factors, builder.load(address(3, 4), align=4))
            if accumulate:
                result = builder.fadd(builder.load(address(0, 1), align=4), result)
            builder.store(result, address(0, 1), align=4)
            return context.get_dummy_value()

        return types.void(target, types.intp, types.float32, source, types.intp, unit), code

    return intrinsic(build)


add_row, put_row = _row_operation(accumulate=True), _row_operation(accumulate=False)


@compiled
def locate(
    rows: np.ndarray,
    scales: np.ndarray,
    lows: np.ndarray,
    strides: np.ndarray,
    keys: np.ndarray,
    orders: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Simplex (key of its remainder-0 corner, order of the coordinates) and weights of each point; section 3.

    Loops over the points of a block are innermost and have no branches, for SIMD.
    """
    d = len(rows)
    period, inverse = F32(d + 1), F32(1) / F32(d + 1)
    place, cell, rank = np.empty((d + 1, BLOCK), F32), np.empty((d + 1, BLOCK), I32), np.empty((d + 1, BLOCK), I32)
    total, level = np.empty(BLOCK, F32), np.empty(BLOCK, I32)
    for start in range(0, rows.shape[1], BLOCK):
        n = min(BLOCK, rows.shape[1] - start)
        total[:], level[:] = 0, 0
        for i in range(d, 0, -1):
            here, row, scale, factor = place[i], rows[i - 1, start : start + n], scales[i - 1], F32(i)
            for p in range(n):  # onto the plane where the coordinates sum to 0
                here[p] = total[p] - factor * (row[p] * scale)
                total[p] += row[p] * scale
        place[0] = total
        for i in range(d + 1):
            here, cells = place[i], cell[i]
            for p in range(n):  # the nearest point whose coordinates are multiples of d + 1 …
                nearest = np.floor(here[p] * inverse + F32(0.5))
                here[p] -= nearest * period
                cells[p] = I32(nearest)
                level[p] += I32(nearest)
        for i in range(d + 1):
            rank[i] = level + I32(i)
        for i in range(d + 1):
            for j in range(i + 1, d + 1):
                here, there, mine, other = place[i], place[j], rank[i], rank[j]
                for p in range(n):
                    less = I32(here[p] < there[p])
                    mine[p] += less
                    other[p] -= less
        key, order = keys[start : start + n], orders[start : start + n]
        key[:], order[:] = 0, 0
        for i in range(d + 1):
            here, cells, mine = place[i], cell[i], rank[i]
            for p in range(n):  # … brought back to the plane: its coordinates sum to d + 1 times `level`
                wrap = I32(mine[p] < 0) - I32(mine[p] > d)
                mine[p] += wrap * I32(d + 1)
                here[p] -= F32(wrap) * period
                cells[p] += wrap
            for p in range(n):
                order[p] |= mine[p] << I32(3 * i)
            if i < d:
                low, stride = lows[i], strides[i]
                for p in range(n):
                    key[p] += (I64(cells[p]) - low) * stride
        for turn in range(d + 1):  # odd-even sort: the differences in falling order are the weights
            for i in range(turn % 2, d, 2):
                here, there = place[i], place[i + 1]
                for p in range(n):
                    a, b = here[p], there[p]
                    here[p] = a if a > b else b
                    there[p] = b if a > b else a
        for p in range(n):
            weights[start + p, 0] = F32(1) - (place[0, p] - place[d, p]) * inverse
        for k in range(1, d + 1):
            here, there = place[d - k], place[d - k + 1]
            for p in range(n):
                weights[start + p, k] = (here[p] - there[p]) * inverse


@compiled
def name_corners(
    keys: np.ndarray, orders: np.ndarray, strides: np.ndarray, corners: np.ndarray, sides: Unit
) -> np.ndarray:
    """Number all corners in the order of their first point; fills `corners`, returns their keys (M,) int64.

    Neighbouring pixels mostly share a simplex: a small table of recent ones saves d + 1 look-ups in the big one.
    """
    d = len(sides) - 1
    mix = np.uint64(0x9E3779B97F4A7C15)
    bits = 15
    slots, names = np.full(1 << bits, -1, I32), np.empty(1 << (bits - 1), I64)
    recent = np.full(1 << 13, -1, I32)
    steps, total = np.empty(d + 1, I64), strides.sum()
    used = 0
    for p in range(len(keys)):
        order = orders[p]
        near = (np.uint64(keys[p] ^ (I64(order) << 40)) * mix) >> np.uint64(51)
        q = recent[near]
        if q >= 0 and keys[q] == keys[p] and orders[q] == order:
            for k in range(len(sides)):
                corners[p, k] = corners[q, k]
            continue
        recent[near] = p
        for i in range(len(sides)):
            steps[(order >> (3 * i)) & 7] = total - (d + 1) * strides[i]
        key = keys[p] * (d + 1)
        for k in range(len(sides)):
            at = (np.uint64(key) * mix) >> np.uint64(64 - bits)
            while slots[at] >= 0 and names[slots[at]] != key:
                at = (at + np.uint64(1)) & np.uint64((1 << bits) - 1)
            if slots[at] < 0:
                if used == len(names):
                    bits += 1
                    slots, names = _grown(names, bits)
                    at = (np.uint64(key) * mix) >> np.uint64(64 - bits)
                    while slots[at] >= 0:
                        at = (at + np.uint64(1)) & np.uint64((1 << bits) - 1)
                slots[at], names[used] = used, key
                used += 1
            corners[p, k] = slots[at]
            key += steps[d - k]
    return names[:used].copy()


@compiled
def _grown(names: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The same corners in a hash table of `bits` bits, at most half full."""
    slots, more = np.full(1 << bits, -1, I32), np.empty(1 << (bits - 1), I64)
    more[: len(names)] = names
    for corner in range(len(names)):
        at = (np.uint64(names[corner]) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits)
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & np.uint64((1 << bits) - 1)
        slots[at] = corner
    return slots, more


@compiled
def neighbours(
    keys: np.ndarray, corners: np.ndarray, strides: np.ndarray, before: np.ndarray, after: np.ndarray
) -> None:
    """Fill `before` and `after` from the sorted `keys` (M,) of `corners` (M,)."""
    count, sides = len(keys), len(strides)
    total = strides.sum()
    before[:], after[:] = count, count
    for axis in range(sides):
        step, j = total - sides * strides[axis], 0
        for i in range(count):
            wanted = keys[i] + step
            while j < count and keys[j] < wanted:
                j += 1
            if j < count and keys[j] == wanted:
                after[axis, corners[i]] = corners[j]
                before[axis, corners[j]] = corners[i]


@compiled
def splat(
    corners: np.ndarray, weights: np.ndarray, values: np.ndarray, first: int, held: np.ndarray, unit: Unit, sides: Unit
) -> None:
    """Columns `first`… of `values` (n, C) onto `held` (M + 1, width); its last row stands for missing corners."""
    held[:] = 0
    channels, width = values.shape[1], len(unit)
    for p in range(len(corners)):
        for k in range(len(sides)):
            add_row(held, corners[p, k] * width, weights[p, k], values, p * channels + first, unit)


@compiled
def blur(
    held: np.ndarray, spare: np.ndarray, before: np.ndarray, after: np.ndarray, reverse: bool, unit: Unit
) -> np.ndarray:
    """Taps (½, 1, ½) along every axis; both buffers (M + 1, width) are overwritten. Returns the one with the result."""
    (axes, count), width = before.shape, len(unit)
    spare[count] = 0
    for turn in range(axes):
        axis = axes - 1 - turn if reverse else turn
        for i in range(count):
            put_row(spare, i * width, F32(1), held, i * width, unit)
            add_row(spare, i * width, F32(0.5), held, before[axis, i] * width, unit)
            add_row(spare, i * width, F32(0.5), held, after[axis, i] * width, unit)
        held, spare = spare, held
    return held


@compiled
def slice_(
    corners: np.ndarray, weights: np.ndarray, held: np.ndarray, first: int, out: np.ndarray, unit: Unit, sides: Unit
) -> None:
    """`held` (M + 1, width) at the points, into columns `first`… of `out` (N, C)."""
    channels, width = out.shape[1], len(unit)
    for p in range(len(corners)):
        to = p * channels + first
        put_row(out, to, weights[p, 0], held, corners[p, 0] * width, unit)
        for k in range(1, len(sides)):
            add_row(out, to, weights[p, k], held, corners[p, k] * width, unit)
