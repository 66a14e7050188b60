"""The sweep over thresholds against thresholding itself."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.evaluation.confusion import count_pairs
from wsss.evaluation.thresholds import BINS, ThresholdSweep, count_scores


def photo(seed: int, ids: list[int], classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, (9, 11), np.uint8)
    truth[generator.random((9, 11)) < 0.1] = 255
    return truth, generator.random((len(ids), 9, 11), np.float32), np.array(ids, np.int64)


def cut(scores: np.ndarray, ids: np.ndarray, t: float) -> np.ndarray:
    """The strongest class where its score is at least t, else background."""
    if len(ids) == 0:
        return np.zeros(scores.shape[1:], np.uint8)
    return np.where(scores.max(0) >= np.float32(t), ids[scores.argmax(0)], 0).astype(np.uint8)


def test_every_threshold_equals_thresholding_directly() -> None:
    photos = [photo(0, [1, 3]), photo(1, [2]), photo(2, []), photo(3, [1, 2, 3, 4])]
    sweep = ThresholdSweep(5)
    for each in photos:
        sweep.update(*each)
    assert len(sweep.thresholds()) == BINS
    for number, t in enumerate(sweep.thresholds()):
        expected = sum(count_pairs(truth, cut(scores, ids, t), 5) for truth, scores, ids in photos)
        assert np.array_equal(sweep.at(number), expected), t


@pytest.mark.parametrize(("offset", "extra"), [(1e-6, 0), (-1e-6, 1)])
def test_scores_just_above_a_threshold_pass_it_and_just_below_do_not(offset: float, extra: int) -> None:
    near = (np.arange(1, BINS) / BINS + offset).astype(np.float32)
    sweep = ThresholdSweep(2)
    sweep.update(np.ones((1, BINS - 1), np.uint8), near.reshape(1, 1, -1), np.array([1]))
    passed = [int(sweep.at(number)[1, 1]) for number in range(1, BINS)]
    assert passed == [BINS - number - extra for number in range(1, BINS)]


@pytest.mark.parametrize("score", [1.0, 0.999, 1.0 + 1e-6])
def test_highest_scores_pass_every_threshold(score: float) -> None:
    sweep = ThresholdSweep(2)
    sweep.update(np.ones((1, 1), np.uint8), np.full((1, 1, 1), score, np.float32), np.array([1]))
    assert all(sweep.at(number)[1, 1] == 1 for number in range(BINS))


def test_threshold_zero_calls_nothing_background_where_there_are_tags() -> None:
    counts = count_scores(np.zeros((2, 2), np.uint8), np.zeros((1, 2, 2), np.float32), np.array([1]), 2)
    sweep = ThresholdSweep(2)
    sweep.counts = counts
    assert sweep.at(0)[0].tolist() == [0, 4, 0]
    assert sweep.at(1)[0].tolist() == [4, 0, 0]


def test_unknown_truth_is_not_counted_and_all_else_is_counted_once() -> None:
    truth, scores, ids = photo(5, [1, 2])
    counts = count_scores(truth, scores, ids, 5)
    assert counts.sum() == (truth != 255).sum()
    assert counts.dtype == np.int64
    assert np.array_equal(counts.sum((1, 2)), np.bincount(truth[truth != 255], minlength=5))
