"""How far a score, or the difference of two runs, depends on which photos were scored: a bootstrap. Arrays only."""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000
LEVEL = 95.0
"""Per cent of the resamples whose value lies in the interval."""
OUTSIDE = ((100 - LEVEL) / 2, 100 - (100 - LEVEL) / 2)
FEWEST = 5
"""Photos below which there is no interval: so few, drawn again and again, vary less than other photos would."""


def overlap(counts: np.ndarray) -> np.ndarray:
    """(C, C + 1) counts of one photo, as in `Confusion` → (2, C) int64: pixels of each class's intersection and union.

    Pixels predicted as 255 belong to the union of their true class.
    """
    hits = np.diagonal(counts)
    return np.stack([hits, counts.sum(1) + counts[:, :-1].sum(0) - hits])


def difference_intervals(overlaps: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Intervals that hold `LEVEL` per cent of the differences B − A of `resamples` drawings.

    `overlaps`: (N, 2, 2, C) int64, each photo's `overlap` in A and in B. A drawing takes N photos with replacement, the
    same for A and B, and adds up their pixels → (1 + C, 2) float64: mIoU, then the IoU of each class; NaN where fewer
    than `FEWEST` photos show the class or have it in a label. A class that a drawing has nowhere is left out of it.
    """
    photos, _, _, classes = overlaps.shape
    found = np.full((1 + classes, 2), np.nan)
    if photos < FEWEST:
        return found
    values = _drawn(overlaps, resamples, seed)
    seen = np.any(overlaps[:, :, 1] > 0, axis=1)
    known = np.append(seen.any(1).sum(), seen.sum(0)) >= FEWEST
    differences = (values[:, 1] - values[:, 0])[:, known]
    found[known] = np.nanpercentile(differences, OUTSIDE, axis=0).T
    return found


def mean_interval(overlaps: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """The interval with `LEVEL` per cent of the mIoUs of `resamples` drawings; None of fewer than `FEWEST` photos.

    `overlaps`: (N, 2, C) int64, each photo's `overlap`. Drawn as in `difference_intervals`.
    """
    if len(overlaps) < FEWEST:
        return None
    low, high = np.nanpercentile(_drawn(overlaps[:, None], resamples, seed)[:, 0, 0], OUTSIDE)
    return float(low), float(high)


def _drawn(overlaps: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(N, R, 2, C) int64 of R runs → (`resamples`, R, 1 + C) float64: mIoU of each drawing and run, then the IoU of
    each class, NaN where it is nowhere.
    """
    photos, runs, _, classes = overlaps.shape
    # How often each photo is drawn is all that a sum needs. Sums of pixels are exact in float64, in any order.
    times = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), resamples).astype(np.float64)
    sums = (times @ overlaps.reshape(photos, -1)).reshape(resamples, runs, 2, classes)
    hits, union = sums[:, :, 0], sums[:, :, 1]
    ious = np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0)
    present = (union > 0).sum(-1)
    means = np.divide(np.nansum(ious, -1), present, out=np.full(present.shape, np.nan), where=present > 0)
    return np.concatenate([means[..., None], ious], axis=-1)
