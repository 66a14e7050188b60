"""The fast engine: its parts against scipy, its labels against pydensecrf's on real photos, and laws."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.ndimage import correlate1d, gaussian_filter
from scipy.special import softmax

from wsss.core.errors import EnvError
from wsss.correct.labels import foreground_scores, upsample, with_background
from wsss.crf import mean_field, reference
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED, CrfSettings

FAST = PUBLISHED
REFERENCE = FAST.model_copy(update={"engine": "pydensecrf"})
SIZE = (150, 200)


def seeds(image: np.ndarray, count: int) -> np.ndarray:
    """(1 + count, H, W) float32: maps on a 16 times coarser grid that follow the brightness, as a class map might."""
    grey = gaussian_filter(image.mean(2), 12)[8::16, 8::16]
    levels = np.quantile(grey, (np.arange(count) + 0.5) / count)
    noise = np.random.default_rng(0).normal(0, 0.1, (count, *grey.shape))
    maps = np.exp(-(((grey - levels[:, None, None]) / (grey.std() + 1e-3)) ** 2)) + noise
    return with_background(foreground_scores(upsample(maps.astype(np.float32), image.shape[:2])), 4.0)


def agreement(image: np.ndarray, scores: np.ndarray, settings: CrfSettings = FAST) -> float:
    pytest.importorskip("pydensecrf.densecrf", reason="the reference engine needs pydensecrf")
    theirs = dense_crf(image, scores, settings.model_copy(update={"engine": "pydensecrf"}))
    return float((dense_crf(image, scores, settings).argmax(0) == theirs.argmax(0)).mean())


def photo(image: Image.Image, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_labels_are_the_reference_s_on_photos_of_scikit_image(name: str, count: int) -> None:
    image = photo(Image.fromarray(getattr(skimage.data, name)()))
    assert agreement(image, seeds(image, count)) > 0.995


@pytest.mark.parametrize("dataset", ["msrc_v2", "voc20_mix"])
def test_labels_are_the_reference_s_on_photos_of_the_data_sets(shared_data: Path, dataset: str) -> None:
    found = []
    for file in sorted((shared_data / dataset / "JPEGImages").iterdir())[::150]:
        with Image.open(file) as opened:
            image = photo(opened)
        found.append(agreement(image, seeds(image, 2)))
    assert min(found) > 0.99
    assert np.mean(found) > 0.997


@pytest.mark.parametrize(
    "change",
    [
        {"spatial_xy": 1.0},
        {"spatial_xy": 8.0, "spatial_weight": 6.0},
        {"bilateral_xy": 20.0, "bilateral_rgb": 5.0},
        {"bilateral_xy": 40.0, "bilateral_rgb": 40.0, "bilateral_weight": 3.0},
        {"iterations": 1},
        {"bilateral_weight": 0.0},
        {"spatial_weight": 0.0},
    ],
    ids=str,
)
def test_labels_are_the_reference_s_with_other_kernels(change: dict[str, float]) -> None:
    image = photo(Image.fromarray(skimage.data.chelsea()))
    assert agreement(image, seeds(image, 2), FAST.model_copy(update=change)) > 0.99


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)])
@pytest.mark.parametrize("count", [2, 21])
def test_small_photos_and_many_labels(size: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(count)
    image, scores = rng.integers(0, 256, (*size, 3), np.uint8), rng.random((count, *size), np.float32)
    posterior = dense_crf(image, scores, FAST)
    assert posterior.shape == (count, *size)
    np.testing.assert_allclose(posterior.sum(0), 1, atol=1e-5)
    assert agreement(image, scores) > 0.9  # noise in both: the hardest there is


def test_same_bytes_in_threads() -> None:
    inputs = []
    for name in ("astronaut", "coffee"):
        image = photo(Image.fromarray(getattr(skimage.data, name)()))
        inputs += [(image, seeds(image, count)) for count in (1, 2, 3)]
    expected = [dense_crf(*pair, FAST).tobytes() for pair in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            assert list(pool.map(lambda pair: dense_crf(*pair, FAST).tobytes(), inputs)) == expected


def test_permuting_classes_permutes_the_posterior_of_a_photo() -> None:
    image = photo(Image.fromarray(skimage.data.coffee()))
    scores, order = seeds(image, 3), [2, 0, 3, 1]
    straight, permuted = dense_crf(image, scores, FAST), dense_crf(image, scores[order], FAST)
    np.testing.assert_allclose(permuted, straight[order], atol=1e-4)


def test_a_tie_stays_a_tie() -> None:
    """Two equal classes under strong kernels: an unstable balance, which any asymmetry of rounding would tip."""
    image = photo(Image.fromarray(skimage.data.coffee()))
    posterior = dense_crf(image, np.full((2, *SIZE), 0.5, np.float32), FAST)
    assert np.array_equal(posterior[0], posterior[1])


@pytest.mark.parametrize("deviation", [0.3, 3.0, 40.0])
def test_smoothness_kernel_is_a_normalised_convolution(deviation: float) -> None:
    q = np.random.default_rng(0).random((2, 21, 34), np.float32)
    taps = mean_field._taps(deviation, 34)
    kernel = np.exp(-(np.arange(-40, 41) ** 2) / (2 * deviation**2)) * (np.abs(np.arange(-40, 41)) < len(taps))

    def total(plane: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(plane, kernel, 0, mode="constant"), kernel, 1, mode="constant")

    norm = 1 / np.sqrt(total(np.ones((21, 34))))
    found = np.empty_like(q)
    mean_field._smooth(q, taps, mean_field._norm(taps, 21), mean_field._norm(taps, 34), found)
    np.testing.assert_allclose(found, [norm * total(plane * norm) for plane in q.astype(float)], atol=1e-5)


@pytest.mark.parametrize("points", [1, 511, 1025])
def test_update_is_a_softmax(points: int) -> None:
    rng = np.random.default_rng(points)
    unary = rng.normal(0, 30, (3, points)).astype(np.float32)
    far, near = rng.normal(0, 5, (points, 4)).astype(np.float32), rng.normal(0, 5, (3, points)).astype(np.float32)
    q, sent = np.empty_like(unary), np.zeros_like(far)
    mean_field._update(unary, far, near, q, sent)
    np.testing.assert_allclose(q, softmax(far.T[:3] + near - unary.astype(float), 0), atol=2e-6, rtol=2e-5)
    assert np.array_equal(sent[:, :3].T, q)
    assert not sent[:, 3].any()


def test_fast_engine_needs_no_pydensecrf(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EnvError("pydensecrf", "cannot be imported", "set crf.engine: fast")

    monkeypatch.setattr(reference, "_densecrf", missing)
    image, scores = np.zeros((8, 9, 3), np.uint8), np.full((2, 8, 9), 0.5, np.float32)
    assert np.array_equal(dense_crf(image, scores, FAST), scores)
    with pytest.raises(EnvError, match=r"set crf\.engine: fast"):
        dense_crf(image, scores, REFERENCE)
