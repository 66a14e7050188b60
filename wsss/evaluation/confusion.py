"""The confusion matrix in exact pixel counts, and the IoU, precision, recall and coverage that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsss.core.errors import WsssError
from wsss.data.index import IGNORE
from wsss.numeric.compiled import compiled
from wsss.numeric.precision import mean_known


class Confusion:
    """Confusion matrix over a whole data set, int64.

    `counts`: (C, C + 1); row = ground truth, column = prediction, the last column = pixels predicted as 255 (ignored).
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
    background included; `miou_labelled`: the mean when pixels predicted as 255 are left out; `coverage`: fraction of
    pixels not predicted as 255. `precision`: (C,) fraction of a class's predicted pixels that is correct, NaN if there
    are none; `recall`: (C,) fraction of its true pixels that is found, NaN if there are none; `pixels`: (C,) int64, its
    true pixels.
    """

    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    pixels: np.ndarray
    miou: float
    miou_labelled: float
    coverage: float


def scores(counts: np.ndarray) -> Scores:
    """Scores of a (C, C + 1) matrix of counts."""
    hits, pixels, predicted = np.diagonal(counts), counts.sum(1), counts[:, :-1].sum(0)
    strict = share(hits, pixels + predicted - hits)
    labelled = share(hits, counts[:, :-1].sum(1) + predicted - hits)
    total = int(counts.sum())
    coverage = float(counts[:, :-1].sum()) / total if total else float("nan")
    precision, recall = share(hits, predicted), share(hits, pixels)
    return Scores(strict, precision, recall, pixels, mean_known(strict), mean_known(labelled), coverage)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is 0. Both (C,) int64 → (C,) float64."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def count_pairs(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(C, C + 1) int64 counts of (truth, prediction) pairs of one photo."""
    if truth.shape != prediction.shape or truth.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise WsssError(
            "confusion matrix",
            f"found {truth.dtype} {truth.shape} and {prediction.dtype} {prediction.shape}, "
            "expected two uint8 maps of one size",
            "this is a bug in the caller",
        )
    # 255 becomes number C, and invalid values C + 1: they are checked once in the counts, not at each pixel.
    number = np.full(256, classes + 1, np.uint64)
    number[:classes] = np.arange(classes)
    number[IGNORE] = classes
    width = classes + 2
    table = _count(truth.ravel(), prediction.ravel(), number * np.uint64(width), number, width * width)
    counts = table.reshape(width, width)
    for what, wrong, source in (
        ("ground truth", counts[classes + 1], "masks"),
        ("prediction", counts[:classes, classes + 1], "labels"),
    ):
        if wrong.any():
            raise WsssError(
                "confusion matrix",
                f"{what} holds values above {classes - 1} that are not 255",
                f"check the {source}",
            )
    return counts[:classes, : classes + 1]


@compiled
def _count(truth: np.ndarray, prediction: np.ndarray, row: np.ndarray, column: np.ndarray, size: int) -> np.ndarray:
    """(size,) int64: how often row[truth] + column[prediction] takes each value. Maps (N,) uint8, tables (256,) uint64.

    Four tables in turn, because neighbours mostly share a class, and an increment of one count has to wait for the
    last.
    """
    counts = np.zeros((4, size), np.int64)
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    for i in range(0, len(truth) - 3, 4):
        first[row[truth[i]] + column[prediction[i]]] += 1
        second[row[truth[i + 1]] + column[prediction[i + 1]]] += 1
        third[row[truth[i + 2]] + column[prediction[i + 2]]] += 1
        fourth[row[truth[i + 3]] + column[prediction[i + 3]]] += 1
    for i in range(len(truth) // 4 * 4, len(truth)):
        first[row[truth[i]] + column[prediction[i]]] += 1
    return counts.sum(0)
