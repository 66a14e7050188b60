"""Average precision against its definition, photo by photo."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.evaluation.classification import tag_scores


def average_precision(tags: np.ndarray, scores: np.ndarray) -> float:
    """Sum over the distinct scores, highest first, of precision × the recall gained there."""
    area, before = 0.0, 0.0
    for limit in sorted(set(scores.tolist()), reverse=True):
        kept = scores >= limit
        hits = (kept & tags).sum()
        area += hits / kept.sum() * (hits / tags.sum() - before)
        before = hits / tags.sum()
    return area


@pytest.mark.parametrize("seed", range(10))
def test_average_precision_equals_a_loop(seed: int) -> None:
    generator = np.random.default_rng(seed)
    tags = generator.random((17, 4)) < 0.3
    tags[0], tags[1] = True, False
    scores = generator.integers(-5, 5, (17, 4)) / 2 + tags  # with ties
    found = tag_scores(tags, scores)
    expected = [average_precision(tags[:, number], scores[:, number]) for number in range(4)]
    np.testing.assert_allclose(found.precision, expected)
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.photos.tolist() == tags.sum(0).tolist()
    assert found.total == 17


def test_average_precision_by_hand() -> None:
    """Right, wrong, right: (1/1 + 2/3) / 2."""
    found = tag_scores(np.array([[True], [False], [True]]), np.array([[3.0], [2.0], [1.0]]))
    assert found.precision.tolist() == pytest.approx([(1 + 2 / 3) / 2])


def test_every_tagged_photo_above_all_others_is_1() -> None:
    tags = np.array([[1, 0], [1, 1], [0, 1]], bool)
    assert tag_scores(tags, np.where(tags, 0.1, -0.1)).mean == 1.0
    assert tag_scores(tags, np.zeros((3, 2))).precision.tolist() == pytest.approx([2 / 3, 2 / 3])


def test_class_that_all_photos_have_or_none_is_left_out() -> None:
    tags = np.array([[1, 0, 1], [1, 0, 0]], bool)
    found = tag_scores(tags, np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 1.0]]))
    assert np.isnan(found.precision[:2]).all()
    assert (found.precision[2], found.mean) == (1.0, 1.0)
    assert found.photos.tolist() == [2, 0, 1]
    assert np.isnan(tag_scores(tags[:, :2], np.zeros((2, 2))).mean)
