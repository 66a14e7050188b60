"""Pseudo-labels by fixed thresholds and CRF."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.correct.fixed import FixedSettings, fixed_pseudo_label
from wsss.correct.labels import foreground_scores, upsample
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED

CRF = PUBLISHED.model_copy(update={"iterations": 5, "bilateral_weight": 4.0, "bilateral_xy": 40.0})
WITH = FixedSettings(gamma=4.0, alpha=0.5, crf=CRF)
WITHOUT = FixedSettings(gamma=4.0, alpha=0.5, crf=None)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)


@pytest.fixture
def cams() -> np.ndarray:
    return np.random.default_rng(1).random((2, 5, 6), np.float32) ** 2


CLASSES = np.array([3, 7])


def test_without_crf_it_is_the_two_thresholds(image: np.ndarray, cams: np.ndarray) -> None:
    made = fixed_pseudo_label(image, cams, CLASSES, WITHOUT)
    foreground = foreground_scores(upsample(cams, (40, 48)))
    strongest = foreground.max(0)
    expected = np.where(strongest > 0.5, CLASSES[foreground.argmax(0)], 255)
    expected[strongest < 1 - 0.5**0.25] = 0
    assert (made.label == expected).mean() > 0.999
    sure = made.label != 255
    background = (1 - strongest) ** 4
    np.testing.assert_allclose(made.confidence[sure], np.maximum(strongest, background)[sure], atol=1e-5)
    assert not made.confidence[~sure].any()
    assert set(np.unique(made.label)) == {0, 3, 7, 255}


def test_crf_only_removes_labels_and_never_invents_one(image: np.ndarray, cams: np.ndarray) -> None:
    before, after = (fixed_pseudo_label(image, cams, CLASSES, settings) for settings in (WITHOUT, WITH))
    kept = after.label != 255
    assert np.array_equal(after.label[kept], before.label[kept])
    assert 0 < kept.sum() < (before.label != 255).sum()


def test_confidence_is_the_posterior_of_the_label(image: np.ndarray, cams: np.ndarray) -> None:
    made = fixed_pseudo_label(image, cams, CLASSES, WITH)
    foreground = foreground_scores(upsample(cams, (40, 48)))
    scores = np.concatenate([((1 - foreground.max(0)) ** 4)[None], foreground])
    posterior = dense_crf(image, scores, CRF)
    for index, name in enumerate((0, 3, 7)):
        here = made.label == name
        np.testing.assert_allclose(made.confidence[here], posterior[index][here], atol=1e-5)


@pytest.mark.parametrize("settings", [WITH, WITHOUT])
def test_photo_without_tags_is_all_background(image: np.ndarray, settings: FixedSettings) -> None:
    made = fixed_pseudo_label(image, np.zeros((0, 5, 6), np.float32), np.zeros(0, np.int64), settings)
    assert not made.label.any()
    assert (made.confidence == 1).all()
    assert made.no_signal == ()


def test_order_of_the_classes_does_not_matter(image: np.ndarray, cams: np.ndarray) -> None:
    straight = fixed_pseudo_label(image, cams, CLASSES, WITH)
    swapped = fixed_pseudo_label(image, cams[::-1].copy(), CLASSES[::-1].copy(), WITH)
    assert (straight.label == swapped.label).mean() > 0.999
