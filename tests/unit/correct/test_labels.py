"""Eqs (9), (10), (12) and (13) against loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.correct.labels import (
    EPS,
    agree,
    foreground_scores,
    threshold,
    to_class_ids,
    upsample,
    with_background,
    without_signal,
)


def maps(seed: int, count: int = 3, size: tuple[int, int] = (7, 9)) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *size), np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_foreground_scores_equal_a_loop(seed: int) -> None:
    cams = 5 * maps(seed) + 2
    found = foreground_scores(cams)
    for k, cam in enumerate(cams):
        low, high = min(cam.ravel()), max(cam.ravel())
        for y, x in np.ndindex(cam.shape):
            assert found[k, y, x] == pytest.approx((cam[y, x] - low) / (high - low + EPS), abs=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.dtype == np.float32


@pytest.mark.parametrize(("value", "span"), [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.0, 9e-4), (0.99, 9e-4)])
def test_map_without_signal_scores_zero_and_is_reported(value: float, span: float) -> None:
    cams = maps(0)
    cams[1] = value + span * cams[1]
    assert not foreground_scores(cams)[1].any()
    assert without_signal(cams).tolist() == [False, True, False]


def test_callers_maps_stay_as_they_are() -> None:
    cams = maps(0)
    before = cams.copy()
    with_background(foreground_scores(cams), 4.0)
    assert np.array_equal(cams, before)


@pytest.mark.parametrize("gamma", [1.0, 4.0, 24.0])
def test_background_equals_a_loop(gamma: float) -> None:
    foreground = maps(1)
    found = with_background(foreground, gamma)
    assert found.shape == (4, 7, 9)
    assert np.array_equal(found[1:], foreground)
    for y, x in np.ndindex(7, 9):
        strongest = max(float(foreground[k, y, x]) for k in range(3))
        assert found[0, y, x] == pytest.approx((1 - strongest) ** gamma, abs=1e-6)


def test_background_of_a_photo_without_classes_is_one() -> None:
    assert np.array_equal(with_background(np.zeros((0, 4, 5), np.float32), 4.0), np.ones((1, 4, 5)))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 0.8])
def test_threshold_equals_a_loop(alpha: float) -> None:
    scores = with_background(foreground_scores(maps(2)), 4.0)
    found = threshold(scores, alpha)
    for y, x in np.ndindex(7, 9):
        column = [float(score) for score in scores[:, y, x]]
        best = max(range(4), key=column.__getitem__)
        assert found[y, x] == (best if column[best] > alpha else 255)


@pytest.mark.parametrize(("gamma", "alpha"), [(4.0, 0.5), (4.0, 0.8), (4.0, 0.3), (2.0, 0.5), (8.0, 0.6)])
def test_alpha_and_gamma_are_two_thresholds_on_the_cam(gamma: float, alpha: float) -> None:
    """METHOD §4: background where F < 1 − α^(1/γ), class where F > α, else unsure."""
    foreground = foreground_scores(maps(3, size=(200, 200)) ** 2)
    found = threshold(with_background(foreground, gamma), alpha)
    strongest = foreground.max(0)
    low = 1 - alpha ** (1 / gamma)
    expected = np.where(strongest > alpha, foreground.argmax(0) + 1, np.where(strongest < low, 0, 255))
    clear = (np.abs(strongest - low) > 1e-5) & (np.abs(strongest - alpha) > 1e-5)
    assert clear.mean() > 0.99
    assert np.array_equal(found[clear], expected[clear])
    assert (alpha, gamma) != (0.5, 4.0) or low == pytest.approx(0.159, abs=5e-4)
    assert {0, 1, 2, 3, 255} == set(np.unique(found))


def test_small_alpha_rejects_nothing() -> None:
    scores = with_background(foreground_scores(maps(3, size=(80, 80))), 4.0)
    assert not (threshold(scores, 0.2754) == 255).any()
    dense = with_background(np.linspace(0, 1, 100001, dtype=np.float32).reshape(1, 1, -1), 4.0)
    assert not (threshold(dense, 0.2754) == 255).any()
    assert (threshold(dense, 0.2756) == 255).any()


def test_agree_equals_a_loop() -> None:
    first, second = (np.random.default_rng(seed).choice([0, 1, 2, 255], (9, 9)).astype(np.uint8) for seed in (0, 1))
    found = agree(first, second)
    for y, x in np.ndindex(9, 9):
        assert found[y, x] == (first[y, x] if first[y, x] == second[y, x] else 255)
    assert np.array_equal(agree(first, second), agree(second, first))


def test_indices_become_class_ids() -> None:
    labels = np.array([[0, 1, 2, 3, 255]], np.uint8)
    assert to_class_ids(labels, np.array([4, 9, 254])).tolist() == [[0, 4, 9, 254, 255]]
    assert to_class_ids(np.array([[0, 255]], np.uint8), np.zeros(0, np.int64)).tolist() == [[0, 255]]


def test_permuting_classes_permutes_the_label() -> None:
    cams = foreground_scores(maps(4))
    straight = to_class_ids(threshold(with_background(cams, 4.0), 0.5), np.array([1, 2, 3]))
    permuted = to_class_ids(threshold(with_background(cams[[2, 0, 1]], 4.0), 0.5), np.array([3, 1, 2]))
    assert np.array_equal(straight, permuted)


def bilinear(cam: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolation between pixel centres, by definition."""
    out = np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        sy = min(max((y + 0.5) * cam.shape[0] / height - 0.5, 0), cam.shape[0] - 1)
        sx = min(max((x + 0.5) * cam.shape[1] / width - 0.5, 0), cam.shape[1] - 1)
        y0, x0 = int(sy), int(sx)
        y1, x1 = min(y0 + 1, cam.shape[0] - 1), min(x0 + 1, cam.shape[1] - 1)
        fy, fx = sy - y0, sx - x0
        top = cam[y0, x0] * (1 - fx) + cam[y0, x1] * fx
        bottom = cam[y1, x0] * (1 - fx) + cam[y1, x1] * fx
        out[y, x] = top * (1 - fy) + bottom * fy
    return out


def test_upsample_is_bilinear_between_pixel_centres() -> None:
    cams = maps(5, 2, (3, 4))
    for size in ((12, 16), (11, 5), (3, 4), (1, 1)):
        found = upsample(cams, size)
        for k in range(2):
            np.testing.assert_allclose(found[k], bilinear(cams[k], *size), atol=1e-6)
    assert upsample(np.zeros((0, 3, 4), np.float32), (6, 8)).shape == (0, 6, 8)
