"""What every engine of the dense CRF does to labels, seen from outside, and against mean field written out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles import exact_crf as exact
from wsss.core.errors import WsssError
from wsss.crf.dense import ENGINES as BUILT_IN
from wsss.crf.dense import MIN_PROBABILITY, dense_crf
from wsss.crf.settings import PUBLISHED, CrfSettings

FAST = PUBLISHED
ENGINES = ("fast", "pydensecrf", "attention")
GREY = np.full((24, 32, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the engines that can be chosen, mean field without an approximation."""
    monkeypatch.setitem(BUILT_IN, "attention", exact.infer)


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest) -> CrfSettings:
    if request.param == "pydensecrf":
        pytest.importorskip("pydensecrf.densecrf", reason="the reference engine needs pydensecrf")
    return FAST.model_copy(update={"engine": request.param})


def two_sides(border: int, sure: float = 0.7, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Scores of two classes: the second right of `border`."""
    right = np.full(size, 1 - sure, np.float32)
    right[:, border:] = sure
    return np.stack([1 - right, right])


@pytest.mark.parametrize("count", [2, 3, 21])
def test_posterior_sums_to_one(count: int, settings: CrfSettings) -> None:
    generator = np.random.default_rng(count)
    image = generator.integers(0, 256, (17, 23, 3), np.uint8)
    posterior = dense_crf(image, generator.random((count, 17, 23), np.float32), settings)
    assert posterior.shape == (count, 17, 23)
    assert posterior.dtype == np.float32
    np.testing.assert_allclose(posterior.sum(0), 1.0, atol=1e-5)
    assert posterior.min() >= 0


def test_without_kernels_the_posterior_is_the_normalised_score(settings: CrfSettings) -> None:
    alone = settings.model_copy(update={"bilateral_weight": 0.0, "spatial_weight": 0.0})
    scores = np.random.default_rng(0).random((3, 10, 12), np.float32)
    scores[0, 0] = 0.0
    clipped = np.clip(scores, MIN_PROBABILITY, 1)
    np.testing.assert_allclose(dense_crf(GREY[:10, :12], scores, alone), clipped / clipped.sum(0), atol=1e-4)


def test_uniform_photo_keeps_the_labels(settings: CrfSettings) -> None:
    labels = dense_crf(GREY, two_sides(16, 0.9), settings).argmax(0)
    assert np.array_equal(labels, two_sides(16).argmax(0))


def test_label_border_moves_to_the_edge_of_the_photo(settings: CrfSettings) -> None:
    image = np.full((24, 32, 3), 40, np.uint8)
    image[:, 16:] = 220
    for border in (13, 19):
        labels = dense_crf(image, two_sides(border), settings).argmax(0)
        assert np.array_equal(labels, two_sides(16).argmax(0))
        assert not np.array_equal(labels, two_sides(border).argmax(0))


def test_single_wrong_pixel_is_smoothed_away(settings: CrfSettings) -> None:
    scores = two_sides(0, 0.7)
    scores[:, 12, 12] = scores[::-1, 12, 12]
    assert (dense_crf(GREY, scores, settings).argmax(0) == 1).all()


def mean_field(image: np.ndarray, scores: np.ndarray, s: CrfSettings) -> np.ndarray:
    """Krähenbühl & Koltun, with every pair of pixels and symmetrically normalised kernels."""
    count, height, width = scores.shape
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2)
    colours = image.reshape(-1, 3).astype(float)
    far = ((grid[:, None] - grid[None]) ** 2).sum(-1)
    unlike = ((colours[:, None] - colours[None]) ** 2).sum(-1)
    kernels = [
        (s.spatial_weight, np.exp(-far / (2 * s.spatial_xy**2))),
        (s.bilateral_weight, np.exp(-far / (2 * s.bilateral_xy**2) - unlike / (2 * s.bilateral_rgb**2))),
    ]
    unary = -np.log(np.clip(scores, MIN_PROBABILITY, 1)).reshape(count, -1)
    q = np.exp(-unary) / np.exp(-unary).sum(0)
    for _ in range(s.iterations):
        message = np.zeros_like(q)
        for weight, kernel in kernels:
            norm = 1 / np.sqrt(kernel.sum(1))
            message += weight * ((q * norm) @ kernel) * norm
        q = np.exp(message - unary - (message - unary).max(0))
        q /= q.sum(0)
    return q.reshape(scores.shape)


def test_exact_engine_is_mean_field_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK_ELEMENTS", 700)
    generator = np.random.default_rng(0)
    image = np.repeat(generator.integers(0, 256, (12, 2, 3), np.uint8), 7, 1)
    scores = generator.uniform(0.2, 0.8, (3, 12, 14)).astype(np.float32)
    for change in ({}, {"iterations": 3, "bilateral_weight": 1.0, "spatial_weight": 0.5}):
        settings = FAST.model_copy(update={"engine": "attention", **change})
        np.testing.assert_allclose(
            dense_crf(image, scores, settings), mean_field(image, scores, settings), atol=1e-5, rtol=0
        )


def test_posterior_is_near_mean_field_over_all_pairs(settings: CrfSettings) -> None:
    """The lattice approximates the kernels; labels and most probabilities must agree all the same."""
    generator = np.random.default_rng(0)
    image = np.repeat(np.repeat(generator.integers(0, 256, (3, 4, 3), np.uint8), 8, 0), 6, 1)
    noise = generator.normal(0, 0.15, (2, 24, 24))
    scores = np.clip(two_sides(11, 0.6, (24, 24)) + noise, 0.05, 1).astype(np.float32)
    weak = settings.model_copy(update={"bilateral_weight": 1.0, "spatial_weight": 1.0, "iterations": 5})
    found, expected = dense_crf(image, scores, weak), mean_field(image, scores, weak)
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.97
    assert np.abs(found - expected).mean() < 0.05


def test_permuting_classes_permutes_the_posterior(settings: CrfSettings) -> None:
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (12, 13, 3), np.uint8)
    scores = generator.random((3, 12, 13), np.float32)
    straight, permuted = dense_crf(image, scores, settings), dense_crf(image, scores[[2, 0, 1]], settings)
    np.testing.assert_allclose(permuted, straight[[2, 0, 1]], atol=1e-5)


def test_same_input_gives_the_same_bytes(settings: CrfSettings) -> None:
    generator = np.random.default_rng(1)
    image, scores = generator.integers(0, 256, (30, 31, 3), np.uint8), generator.random((3, 30, 31), np.float32)
    assert dense_crf(image, scores, settings).tobytes() == dense_crf(image, scores, settings).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_photo_of_one_line(size: tuple[int, int], settings: CrfSettings) -> None:
    posterior = dense_crf(np.zeros((*size, 3), np.uint8), np.full((2, *size), 0.5, np.float32), settings)
    np.testing.assert_allclose(posterior, 0.5, atol=1e-5)


def test_views_and_frozen_arrays_are_fine_and_stay_as_they_are(settings: CrfSettings) -> None:
    generator = np.random.default_rng(2)
    image = generator.integers(0, 256, (20, 24, 3), np.uint8)
    scores = generator.random((2, 20, 24), np.float32)
    expected = dense_crf(image[:, ::-1].copy(), scores[:, :, ::-1].copy(), settings)
    before = image.copy(), scores.copy()
    image.flags.writeable = scores.flags.writeable = False
    assert np.array_equal(dense_crf(image[:, ::-1], scores[:, :, ::-1], settings), expected)
    dense_crf(image, scores, settings)
    assert np.array_equal(image, before[0])
    assert np.array_equal(scores, before[1])


def test_double_precision_scores_are_taken(settings: CrfSettings) -> None:
    np.testing.assert_allclose(
        dense_crf(GREY, two_sides(16).astype(np.float64), settings), dense_crf(GREY, two_sides(16), settings), atol=1e-5
    )


def test_settings_are_all_used(settings: CrfSettings) -> None:
    generator = np.random.default_rng(3)
    image = generator.integers(100, 156, (24, 32, 3), np.uint8)
    scores = generator.uniform(0.4, 0.6, (2, 24, 32)).astype(np.float32)
    weak = settings.model_copy(update={"iterations": 1, "bilateral_xy": 8.0})
    first = dense_crf(image, scores, weak)
    for name, value in weak.model_dump().items():
        if name not in ("enabled", "engine"):
            changed = weak.model_copy(update={name: value * 3})
            assert not np.allclose(dense_crf(image, scores, changed), first, atol=1e-4), name


def test_refusals_say_what_came(settings: CrfSettings) -> None:
    with pytest.raises(WsssError) as caught:
        dense_crf(GREY, two_sides(3)[:, :5], settings)
    assert str(caught.value) == (
        "error: dense CRF: found image uint8 (24, 32, 3) and scores (2, 5, 32), "
        "expected uint8 (H, W, 3) and (C, H, W)\n"
        "fix: this is a bug in the caller"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float, settings: CrfSettings) -> None:
    scores = two_sides(3)
    scores[0, 2, 2] = bad
    with pytest.raises(WsssError, match="scores hold NaN or Inf"):
        dense_crf(GREY, scores, settings)
    with pytest.raises(WsssError, match="found 1 class, expected at least 2"):
        dense_crf(GREY, two_sides(3)[:1], settings)


def test_weights_beyond_float32_are_no_silent_nonsense(settings: CrfSettings) -> None:
    endless = settings.model_copy(update={"bilateral_weight": 1e39, "spatial_weight": 1e39})
    with pytest.raises(WsssError, match="inference gave NaN or Inf\nfix: lower the kernel weights"):
        dense_crf(GREY, two_sides(16), endless)


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="'fast' or 'pydensecrf'"):
        CrfSettings.model_validate({**FAST.model_dump(), "engine": "gpu"})
