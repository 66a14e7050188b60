"""Boundary IoU (Cheng et al., CVPR 2021): IoU of bands along the outlines, without the interior of regions."""

from __future__ import annotations

import numpy as np

from wsss.evaluation.confusion import share
from wsss.numeric.compiled import compiled

WIDTH = 0.02
"""Width of the band along the outlines, as a fraction of the photo's diagonal, as in the paper."""


def band_width(height: int, width: int) -> int:
    """Width of the band in pixels, at least 1."""
    return max(1, round(WIDTH * float(np.hypot(height, width))))


def outline_band(label: np.ndarray) -> np.ndarray:
    """The inner bands of all regions of a photo at once. (H, W) uint8 → (H, W) bool.

    The paper erodes each class's mask d times by 3×3 pixels within a frame of zeros, and the band is what is lost. So
    a pixel is outside the band exactly if the square of 2d + 1 pixels around it lies in the photo and is of one value.
    255 is a value like any other here: a region ends where it begins.
    """
    return _band(np.ascontiguousarray(label), band_width(*label.shape))


def count_bands(truth: np.ndarray, band: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(3, C) int64 pixels of one photo by class: in both bands, in the truth's, in the prediction's.

    `band`: `outline_band` of the truth. Pixels whose truth is 255 are not counted, and a prediction of 255 belongs to
    no class. Counts of photos add up to those of the data set.
    """
    found = _count_bands(truth.ravel(), band.ravel(), prediction.ravel(), outline_band(prediction).ravel())
    return found[:, :classes]


def boundary_iou(counts: np.ndarray) -> np.ndarray:
    """(C,) IoU of the bands from the counts (3, C) of a data set; NaN for a class that is in neither band."""
    both, truth, prediction = counts
    return share(both, truth + prediction - both)


@compiled
def _band(label: np.ndarray, distance: int) -> np.ndarray:
    """(H, W) bool, True within `distance` of another value or of the edge. Both passes count equal neighbours."""
    height, width = label.shape
    size = 2 * distance + 1
    band = np.ones((height, width), np.bool_)
    flat = np.zeros(width, np.bool_)
    below = np.zeros(width, np.int64)
    for y in range(height):
        flat[:] = False  # pixels whose stretch of `size` pixels in this row is of one value
        run = 0
        for x in range(width):
            run = run + 1 if x > 0 and label[y, x] == label[y, x - 1] else 1
            if run >= size:
                flat[x - distance] = True
        for x in range(width):
            if not flat[x]:
                below[x] = 0
            elif y > 0 and label[y, x] == label[y - 1, x]:
                below[x] += 1
            else:
                below[x] = 1
            if below[x] >= size:
                band[y - distance, x] = False
    return band


@compiled
def _count_bands(truth: np.ndarray, band: np.ndarray, prediction: np.ndarray, predicted_band: np.ndarray) -> np.ndarray:
    """(3, 256) int64. One column for every uint8 value, so that no write is out of bounds."""
    counts = np.zeros((3, 256), np.int64)
    for i in range(len(truth)):
        actual, found = truth[i], prediction[i]
        if actual != 255:
            if band[i]:
                counts[1, actual] += 1
                if predicted_band[i] and found == actual:
                    counts[0, actual] += 1
            if predicted_band[i]:
                counts[2, found] += 1
    return counts
