"""Intervals of differences: against one photo after another in plain Python, and what gets none."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.evaluation.confusion import Confusion, count_pairs
from wsss.report.bootstrap import FEWEST, RESAMPLES, difference_intervals, mean_interval, overlap

CLASSES, PHOTOS = 4, 7


def draw_photos(seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Mask and labels of A and B, (6, 8) uint8; some pixels are 255, class 3 is in the first two photos only."""
    rng = np.random.default_rng(seed)
    photos = []
    for number in range(PHOTOS):
        values = [0, 1, 2, 3, 255] if number < 2 else [0, 1, 2, 255]
        mask, a, b = (rng.choice(values, (6, 8)).astype(np.uint8) for _ in range(3))
        photos.append((mask, np.where(rng.random(mask.shape) < 0.5, mask, a), np.where(mask == 1, b, mask)))
    return photos


def overlaps_of(photos: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.stack([[overlap(count_pairs(mask, label, CLASSES)) for label in labels] for mask, *labels in photos])


def miou_and_ious(masks: np.ndarray, labels: np.ndarray) -> list[float]:
    """mIoU and IoU by class of pixels (N,), counted anew."""
    known = masks != 255
    truth, found = masks[known], labels[known]
    ious = []
    for number in range(CLASSES):
        union = ((truth == number) | (found == number)).sum()
        ious.append(((truth == number) & (found == number)).sum() / union if union else float("nan"))
    present = [iou for iou in ious if iou == iou]
    return [sum(present) / len(present), *ious]


def test_overlap_is_that_of_the_scores() -> None:
    photos = draw_photos(0)
    total, confusion = overlaps_of(photos).sum(0), Confusion(CLASSES)
    for mask, _, label in photos:
        confusion.update(mask, label)
    assert total[1, 0] / total[1, 1] == pytest.approx(confusion.scores().iou)


def test_the_interval_of_one_score_matches_drawing_the_photos_themselves() -> None:
    photos = draw_photos(2)
    times = np.random.default_rng(3).multinomial(PHOTOS, np.full(PHOTOS, 1 / PHOTOS), 200)
    means = []
    for row in times:
        drawn = [photos[number] for number, count in enumerate(row) for _ in range(count)]
        masks, labels = (np.concatenate([photo[part].ravel() for photo in drawn]) for part in (0, 2))
        means.append(miou_and_ious(masks, labels)[0])
    found = mean_interval(overlaps_of(photos)[:, 1], resamples=200, seed=3)
    assert found == pytest.approx(np.percentile(means, [2.5, 97.5]))
    assert mean_interval(overlaps_of(photos)[: FEWEST - 1, 1]) is None


def test_matches_drawing_the_photos_themselves() -> None:
    photos = draw_photos(1)
    times = np.random.default_rng(3).multinomial(PHOTOS, np.full(PHOTOS, 1 / PHOTOS), 200)
    differences = []
    for row in times:
        drawn = [photos[number] for number, count in enumerate(row) for _ in range(count)]
        masks, a, b = (np.concatenate([photo[part].ravel() for photo in drawn]) for part in range(3))
        differences.append(np.subtract(miou_and_ious(masks, b), miou_and_ious(masks, a)))
    found = difference_intervals(overlaps_of(photos), resamples=200, seed=3)
    for number in range(1 + CLASSES - 1):
        values = sorted(difference[number] for difference in differences if difference[number] == difference[number])
        low, high = np.percentile(values, [2.5, 97.5])
        assert found[number] == pytest.approx([low, high])
        assert low < high
    assert np.isnan(found[CLASSES]).all()  # two photos show class 3


def test_a_difference_is_of_the_same_photos() -> None:
    """Photos that differ much from each other leave a difference that all of them share alone."""
    overlaps = np.empty((50, 2, 2, 1), np.int64)
    overlaps[:, 0, 0, 0] = np.random.default_rng(0).integers(100, 800, 50)
    overlaps[:, 1, 0] = overlaps[:, 0, 0] + 100
    overlaps[:, :, 1] = 1000
    assert difference_intervals(overlaps) == pytest.approx(np.full((2, 2), 0.1))


def test_width_is_that_of_the_mean() -> None:
    """Differences of -1 and 1 in equal numbers: the mean of N has a standard error of one over the root of N."""
    overlaps = np.full((400, 2, 2, 1), 100, np.int64)
    overlaps[::2, 0, 0] = overlaps[1::2, 1, 0] = 0
    low, high = difference_intervals(overlaps, RESAMPLES)[0]
    assert (low, high) == (pytest.approx(-1.96 / 20, rel=0.15), pytest.approx(1.96 / 20, rel=0.15))


def test_few_photos_have_no_interval() -> None:
    overlaps = overlaps_of(draw_photos(2))
    assert np.isnan(difference_intervals(overlaps[: FEWEST - 1])).all()
    assert not np.isnan(difference_intervals(overlaps[:FEWEST])[0]).any()
