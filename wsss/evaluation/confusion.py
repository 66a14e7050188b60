"""Exact pixel counts and the scores that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsss.core.errors import WsssError
from wsss.data.index import IGNORE


class Confusion:
    """Confusion matrix over a whole data set, int64.

    `counts`: (C, C + 1); row = ground truth, column = prediction, the last column = pixels predicted as 255 ("unsure").
    Pixels whose ground truth is 255 are not counted at all.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = np.zeros((classes, classes + 1), np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count one photo. Both (H, W) uint8 of equal size, 0..C-1 or 255. Raises `WsssError` otherwise."""
        self.counts += count_pairs(truth, prediction, self.classes)

    def scores(self) -> Scores:
        """IoU per class and the means over it."""
        return scores(self.counts)


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix. A class that is absent from truth and prediction has IoU NaN and is left out.

    `iou`: (C,) with 255 counted as wrong; `miou`: its mean — VOC's definition, over the classes of the data set,
    background included; `miou_labelled`: the mean when pixels predicted as 255 are left out; `coverage`: share of
    pixels not 255.
    """

    iou: np.ndarray
    miou: float
    miou_labelled: float
    coverage: float


def scores(counts: np.ndarray) -> Scores:
    """Scores of a (C, C + 1) matrix of counts."""
    strict, labelled = _iou(counts, counts.sum(1)), _iou(counts, counts[:, :-1].sum(1))
    total = int(counts.sum())
    coverage = float(counts[:, :-1].sum()) / total if total else float("nan")
    return Scores(strict, _mean(strict), _mean(labelled), coverage)


def count_pairs(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(C, C + 1) int64 counts of (truth, prediction) pairs of one photo."""
    if truth.shape != prediction.shape or truth.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise WsssError(
            "confusion matrix",
            f"found {truth.dtype} {truth.shape} and {prediction.dtype} {prediction.shape}, "
            "expected two uint8 maps of one size",
            "this is a bug in the caller",
        )
    # One 16-bit number a pixel, counted over all 65536 values: no mask, no branch, one pass.
    pairs = np.left_shift(truth.astype(np.uint16), 8)
    pairs |= prediction
    table = np.bincount(pairs.ravel(), minlength=65536).reshape(256, 256)
    known = [*range(classes), IGNORE]
    if table[:classes].sum() + table[IGNORE].sum() != truth.size:
        raise WsssError(
            "confusion matrix",
            f"ground truth holds values above {classes - 1} that are not 255",
            "check the masks",
        )
    if table[:classes][:, known].sum() != table[:classes].sum():
        raise WsssError(
            "confusion matrix",
            f"prediction holds values above {classes - 1} that are not 255",
            "check the labels",
        )
    return table[:classes][:, known]


def _iou(counts: np.ndarray, truth: np.ndarray) -> np.ndarray:
    hits = np.diagonal(counts).astype(np.float64)
    union = truth + counts[:, :-1].sum(0) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def _mean(iou: np.ndarray) -> float:
    known = iou[~np.isnan(iou)]
    return float(known.mean()) if len(known) else float("nan")
