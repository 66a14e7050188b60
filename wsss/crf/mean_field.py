"""Mean-field inference of the fully connected CRF (Krähenbühl & Koltun 2011, Algorithm 1) on the CPU, in numba.

The appearance kernel is filtered on the permutohedral lattice, the smoothness kernel by a separable convolution. Both
are normalised symmetrically: ``k'(i, j) = k(i, j) / √(Σ k(i, ·) · Σ k(·, j))``. All classes are computed in the same
way, so that a tie stays a tie. The last class's message as a remainder would be cheaper, but its rounding error grows
with iterations.
"""

from __future__ import annotations

import numpy as np

from wsss.crf.lattice import Lattice, build, padded
from wsss.crf.settings import CrfSettings
from wsss.numeric.compiled import compiled

F32, I32 = np.float32, np.int32
BLOCK = 512
REACH = 3.0
"""Where the smoothness kernel is cut, in standard deviations: 0.3 % of it lies beyond."""


def infer(image: np.ndarray, unary: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """`image`: (H, W, 3) uint8, `unary`: (C, H, W) float32 energies, C ≥ 2 → (C, H, W) float32, sums to 1 over C."""
    count, height, width = unary.shape
    points, columns = height * width, padded(count)
    lattice = _appearance(image, settings)
    taps = _taps(settings.spatial_xy, max(height, width))
    down, across = _norm(taps, height), _norm(taps, width) * F32(np.sqrt(settings.spatial_weight))
    far, near = np.zeros((points, columns), F32), np.zeros((count, height, width), F32)
    sent, q = np.zeros((points, columns), F32), np.empty((count, height, width), F32)
    flat_unary, flat_near, flat_q = (maps.reshape(count, points) for maps in (unary, near, q))
    _update(flat_unary, far, flat_near, flat_q, sent)
    for _ in range(settings.iterations):
        lattice.filter(sent, out=far)
        _smooth(q, taps, down, across, near)
        _update(flat_unary, far, flat_near, flat_q, sent)
    return q


def _appearance(image: np.ndarray, settings: CrfSettings) -> Lattice:
    """The bilateral kernel, normalised and times its weight."""
    height, width = image.shape[:2]
    features = np.empty((5, height, width), F32)
    features[0] = np.arange(width, dtype=F32) / settings.bilateral_xy
    features[1] = np.arange(height, dtype=F32)[:, None] / settings.bilateral_xy
    features[2:] = image.transpose(2, 0, 1) * F32(1 / settings.bilateral_rgb)
    lattice = build(features.reshape(5, -1).T)
    norm = lattice.filter(np.ones((height * width, 1), F32))[:, 0]
    return lattice.scaled(F32(np.sqrt(settings.bilateral_weight)) / np.sqrt(norm))


def _taps(deviation: float, side: int) -> np.ndarray:
    """(R + 1,) float32: the kernel at distances 0..R, cut at the photo's larger side."""
    reach = min(int(np.ceil(REACH * deviation)), side - 1)
    return np.exp(-(np.arange(reach + 1) ** 2) / (2 * deviation**2)).astype(F32)


def _norm(taps: np.ndarray, side: int) -> np.ndarray:
    """(side,) float32: one over the root of the kernel's sum at each place of one axis."""
    total = taps.astype(np.float64).cumsum()
    place = np.arange(side)
    before, after = (np.minimum(reach, len(taps) - 1) for reach in (place, side - 1 - place))
    return (1 / np.sqrt(total[before] + total[after] - 1)).astype(F32)


@compiled
def _smooth(q: np.ndarray, taps: np.ndarray, down: np.ndarray, across: np.ndarray, out: np.ndarray) -> None:
    """Messages `out` (C, H, W) of the smoothness kernel: along columns, then along rows."""
    classes, height, width = out.shape
    reach = len(taps) - 1
    line, nothing = np.zeros(width + 2 * reach, F32), np.zeros(width, F32)
    middle = line[reach : reach + width]
    for c in range(classes):
        for y in range(height):
            here, factor = q[c, y], taps[0] * down[y]
            for x in range(width):
                middle[x] = factor * here[x]
            for t in range(1, reach + 1):
                above, below = q[c, y - t] if y >= t else nothing, q[c, y + t] if y + t < height else nothing
                first, second = down[max(y - t, 0)] * taps[t], down[min(y + t, height - 1)] * taps[t]
                for x in range(width):
                    middle[x] += first * above[x] + second * below[x]
            for x in range(width):
                middle[x] *= across[x]
            to = out[c, y]
            for x in range(width):
                to[x] = taps[0] * middle[x]
            for t in range(1, reach + 1):
                left, right, factor = line[reach - t : reach - t + width], line[reach + t : reach + t + width], taps[t]
                for x in range(width):
                    to[x] += factor * (left[x] + right[x])
            for x in range(width):
                to[x] *= across[x] * down[y]


@compiled
def _update(unary: np.ndarray, far: np.ndarray, near: np.ndarray, q: np.ndarray, sent: np.ndarray) -> None:
    """``q = softmax(far + near − unary)``, and the same to the first C columns of `sent`, from which the lattice reads.

    `unary`, `near`, `q`: (C, N); `far`, `sent`: (N, ≥ C).
    """
    classes, points = unary.shape
    z, total, top, bits = (
        np.empty((classes, BLOCK), F32),
        np.empty(BLOCK, F32),
        np.empty(BLOCK, F32),
        np.empty(BLOCK, I32),
    )
    powers = bits.view(F32)
    for start in range(0, points, BLOCK):
        n = min(BLOCK, points - start)
        top[:], total[:] = -np.inf, 0
        for c in range(classes):
            row, own, close = z[c], unary[c, start : start + n], near[c, start : start + n]
            distant = far[start : start + n, c]
            for p in range(n):  # apart from what follows, which has no stride and becomes SIMD
                row[p] = distant[p]
            for p in range(n):
                row[p] += close[p] - own[p]
            for p in range(n):
                top[p] = row[p] if row[p] > top[p] else top[p]
        for c in range(classes):
            row = z[c]
            for p in range(n):  # exp as 2^n · polynomial (Taylor, error below 2e-7), without branches for SIMD
                x = max(row[p] - top[p], F32(-87))
                power = np.floor(x * F32(1.44269504) + F32(0.5))
                r = x - power * F32(0.693359375) + power * F32(2.12194440e-4)
                series = F32(1 / 720) * r + F32(1 / 120)
                series = series * r + F32(1 / 24)
                series = series * r + F32(1 / 6)
                series = series * r + F32(0.5)
                row[p] = (series * r + F32(1)) * r + F32(1)
                bits[p] = (I32(power) + I32(127)) << I32(23)
            for p in range(n):
                row[p] *= powers[p]
                total[p] += row[p]
        np.divide(F32(1), total, total)
        for c in range(classes):
            row, to, values = z[c], q[c, start : start + n], sent[start : start + n, c]
            for p in range(n):
                row[p] *= total[p]
                to[p] = row[p]
            for p in range(n):
                values[p] = row[p]
