"""Gaussian filtering of scattered points on the permutohedral lattice (Adams, Baek & Davis 2010).

``out_i = Σ_j exp(−|f_i − f_j|² / 2) v_j`` in time linear in the number of points: values are *splatted* to the
d + 1 corners of each point's simplex, *blurred* along the d + 1 axes of the lattice, and *sliced* back. In five
dimensions the sums are a half to three quarters of the exact ones; ratios of sums are accurate.

Corners are named by one integer each, linear in their coordinates: the key of a neighbour is a constant away, so all
neighbours along an axis are found by walking the sorted keys twice in step instead of by hashing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wsss.core.errors import WsssError
from wsss.crf.diagonal import own_shares
from wsss.crf.lattice_kernels import F32, I32, I64, blur, locate, name_corners, neighbours, slice_, splat

MAX_DIMENSIONS = 5
"""Position and colour of a pixel. `own_shares` keeps the sets of d + 1 axes in 64 bits, `locate` an axis in 3."""
WIDTHS = (2, 4, 8)


@dataclass(frozen=True)
class Lattice:
    """N points on M lattice corners in d dimensions, d + 1 corners per point.

    `corners`: (N, d + 1) int32 in [0, M); `orders`: (N,) int32, bits 3 i… the rank of coordinate i in the simplex;
    `weights`: (N, d + 1) float32 ≥ 0, each row sums to 1 (barycentric);
    `before`, `after`: (d + 1, M) int32 neighbours along each axis, M where the lattice has none.
    """

    corners: np.ndarray
    orders: np.ndarray
    weights: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def scaled(self, factors: np.ndarray) -> Lattice:
        """Point i counts `factors[i]` times, (N,) float32, when it is splatted and when it is sliced."""
        return replace(self, weights=self.weights * factors[:, None])

    def filter(self, values: np.ndarray, *, reverse: bool = False, out: np.ndarray | None = None) -> np.ndarray:
        """Unnormalised Gaussian sums, (N, C) float32 → (N, C) float32.

        The blur's axes are taken in order, or in `reverse`, which is the adjoint: corners that no point touches hold
        nothing, so the order matters a little. `values` are not copied if C = `padded(C)` and they are C-contiguous
        float32. `out`, (N, C) float32 of such a C, is written and returned.
        """
        channels, sides = values.shape[1], (0,) * self.corners.shape[1]
        columns = padded(channels)
        if columns != channels or values.dtype != F32 or not values.flags.c_contiguous:
            given, values = values, np.zeros((len(values), columns), F32)
            values[:, :channels] = given
        result = np.empty((len(self.corners), columns), F32) if out is None else out
        width = min(columns, WIDTHS[-1])
        held, spare = (np.empty((self.before.shape[1] + 1, width), F32) for _ in range(2))
        peak = _peak(len(sides) - 1)
        for first in range(0, columns, width):
            splat(self.corners, self.weights, values, first, held, (0,) * width, sides)
            blurred = blur(held, spare, self.before, self.after, reverse, (0,) * width)
            blurred *= peak
            slice_(self.corners, self.weights, blurred, first, result, (0,) * width, sides)
        return result[:, :channels]

    def diagonal(self) -> np.ndarray:
        """What `filter` returns at each point for the value 1 there and 0 elsewhere. (N,) float32."""
        sides = (0,) * self.corners.shape[1]
        return own_shares(self.corners, self.orders, self.weights, self.before, self.after, sides) * _peak(
            len(sides) - 1
        )


def _peak(d: int) -> np.float32:
    """The factor that gives the kernel of taps (½, 1, ½) and weights a peak of 1, as Krähenbühl & Koltun scale it."""
    return F32(1 / (1 + 2.0**-d))


def padded(channels: int) -> int:
    """The number of columns that are filtered for `channels` of them."""
    widest = WIDTHS[-1]
    return next((width for width in WIDTHS if width >= channels), -(-channels // widest) * widest)


def build(features: np.ndarray) -> Lattice:
    """Lattice of `features`: (N, d) float32, already divided by the kernel's standard deviations; N ≥ 1.

    A transposed (d, N) array costs no copy. Raises `WsssError` where the features span more cells than a 64-bit key
    can name (kernels thinner than any photo needs).
    """
    rows = np.ascontiguousarray(features.T, F32)
    d, count = rows.shape
    if not 1 <= d <= MAX_DIMENSIONS or count == 0 or not np.isfinite(rows).all():
        raise WsssError(
            "permutohedral lattice",
            f"found {count} features of {d} dimensions or NaN",
            f"give finite features (N ≥ 1, d ≤ {MAX_DIMENSIONS})",
        )
    # Splat, blur and slice together are a Gaussian of deviation √(2/3) (d + 1) there (Adams et al., section 3), and the
    # plane's i-th basis vector has length √(i (i + 1)).
    scales = (np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))).astype(F32)
    lows, strides = _key_layout(rows, scales)
    sides = (0,) * (d + 1)
    weights = np.empty((count, d + 1), F32)
    keys, orders = np.empty(count, I64), np.empty(count, I32)
    locate(rows, scales, lows, strides, keys, orders, weights)
    corners = np.empty((count, d + 1), I32)
    found = name_corners(keys, orders, strides, corners, sides)
    order = np.argsort(found).astype(I32)
    before, after = (np.empty((d + 1, len(found)), I32) for _ in range(2))
    neighbours(found[order], order, strides, before, after)
    return Lattice(corners, orders, weights, before, after)


def _key_layout(rows: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest cell (d,) and key stride (d + 1,) of each coordinate; the last depends on the others, its stride is 0.

    A corner is ``(d + 1) g + k`` in every coordinate with one k: its key is ``Σ stride · coordinate``. Mixed-radix
    strides whose radices are multiples of d + 1 sum to 1 modulo d + 1, so that k and then all g follow from the key.
    """
    d = len(rows)
    low, high = (edge.astype(np.float64) * scales for edge in (rows.min(1), rows.max(1)))
    lows, strides, stride = np.empty(d, I64), np.zeros(d + 1, I64), 1
    for i in range(d):
        # Coordinate i is the sum of the scaled features from i on, less i times feature i − 1.
        least = low[i:].sum() - (i * high[i - 1] if i else 0.0)
        most = high[i:].sum() - (i * low[i - 1] if i else 0.0)
        lows[i] = int(np.floor(least / (d + 1))) - 3
        cells = int(np.ceil(most / (d + 1))) + 3 - lows[i] + 1
        strides[i] = stride
        stride *= int(-(-cells // (d + 1)) * (d + 1))
        if stride * (d + 1) >= 2**62:
            raise WsssError(
                "permutohedral lattice",
                "the features span more cells than a 64-bit key can name",
                "raise the kernel's widths, e.g. crf.bilateral_rgb or energy.sigma_rgb",
            )
    return lows, strides
