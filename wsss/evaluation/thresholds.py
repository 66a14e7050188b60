"""Confusion matrices of CAMs at 100 thresholds at once."""

from __future__ import annotations

import numpy as np

from wsss.data.index import IGNORE

BINS = 100


class ThresholdSweep:
    """Confusion matrices of "the strongest class if its score is at least t, else background", t = 0, 0.01 … 0.99.

    Each pixel is counted once, in the bin of its strongest score; the matrix of a threshold is a sum over bins.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = np.zeros((classes, classes, BINS), np.int64)

    def update(self, truth: np.ndarray, scores: np.ndarray, ids: np.ndarray) -> None:
        """Count one photo. `truth`: (H, W) uint8; `scores`: (P, H, W) in [0, 1] of the classes `ids` (P,)."""
        self.counts += count_scores(truth, scores, ids, self.classes)

    @classmethod
    def of(cls, counts: np.ndarray) -> ThresholdSweep:
        """A sweep from the counts (C, C, 100) of `count_scores`."""
        sweep = cls(len(counts))
        sweep.counts = counts
        return sweep

    @staticmethod
    def thresholds() -> np.ndarray:
        """(100,) the thresholds t."""
        return np.arange(BINS) / BINS

    def at(self, number: int) -> np.ndarray:
        """(C, C + 1) counts at threshold number `number`; no pixel is predicted as 255."""
        counts = np.zeros((self.classes, self.classes + 1), np.int64)
        counts[:, :-1] = self.counts[:, :, number:].sum(2)
        counts[:, 0] += self.counts[:, :, :number].sum((1, 2))
        return counts


def count_scores(truth: np.ndarray, scores: np.ndarray, ids: np.ndarray, classes: int) -> np.ndarray:
    """(C, C, 100) int64: ground truth × strongest class × bin of its score; background without tags."""
    winner, bins = strongest(scores, ids)
    flat = (truth.astype(np.int64) * classes + winner) * BINS + bins
    known = truth != IGNORE
    return np.bincount(flat[known], minlength=classes * classes * BINS).reshape(classes, classes, BINS)


def strongest(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) int64 each: the strongest class and the bin of its score; background and bin 0 without tags."""
    if len(ids) == 0:
        return np.zeros(scores.shape[1:], np.int64), np.zeros(scores.shape[1:], np.int64)
    return ids[scores.argmax(0)], np.clip((scores.max(0) * BINS).astype(np.int64), 0, BINS - 1)


def cut(scores: np.ndarray, ids: np.ndarray, number: int) -> np.ndarray:
    """(H, W) uint8: the label map at threshold number `number`, whose counts are `ThresholdSweep.at(number)`."""
    winner, bins = strongest(scores, ids)
    return np.where(bins >= number, winner, 0).astype(np.uint8)
