"""Expectation–maximisation on histograms: known mixtures, scikit-learn, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.oracles import em_sklearn
from wsss.correct import em
from wsss.correct.labels import foreground_scores

FITS = pytest.mark.parametrize("fit", [em.fit, em_sklearn.fit], ids=["batched", "sklearn"])


def drawn(
    seed: int, weights: tuple[float, ...], means: tuple[float, ...], sds: tuple[float, ...], count: int
) -> np.ndarray:
    """Scores of a mixture, those outside [0, 1] left out."""
    rng = np.random.default_rng(seed)
    part = rng.choice(len(weights), count, p=weights)
    scores = rng.normal(np.array(means)[part], np.array(sds)[part])
    return scores[(scores > 0) & (scores < 1)]


def cam_like(seed: int, count: int, size: tuple[int, int] = (14, 20)) -> np.ndarray:
    """(count, h, w) float32: an object of any size with a blurred edge, on noise, as CAMs look."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((count, *size))
    for map_ in maps:
        top, left = (rng.integers(0, side - 3) for side in size)
        map_[top : top + rng.integers(3, size[0]), left : left + rng.integers(3, size[1])] = 1.0
        map_[:] = gaussian_filter(map_, rng.uniform(0.7, 2.0)) + 0.3 * gaussian_filter(rng.random(size), 1.0)
    return foreground_scores(maps)


@FITS
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8, 0.95])
def test_two_components_are_found_at_any_weight(fit: object, share: float) -> None:
    scores = drawn(0, (1 - share, share), (0.2, 0.7), (0.06, 0.1), 6000)
    found = fit(em.histogram(scores, 0.0)[None], 2, 1e-6, 2000)  # type: ignore[operator]
    np.testing.assert_allclose(found.means[0], [0.2, 0.7], atol=0.012)
    np.testing.assert_allclose(found.weights[0], [1 - share, share], atol=0.012)
    np.testing.assert_allclose(found.deviations[0] ** 2 - em.VARIANCE_FLOOR, [0.0036, 0.01], rtol=0.2, atol=4e-4)


@FITS
@pytest.mark.parametrize("components", [1, 2, 3])
def test_bic_finds_the_number_of_components(fit: object, components: int) -> None:
    means, sds = (0.15, 0.5, 0.85)[:components], (0.05, 0.06, 0.05)[:components]
    scores = drawn(1, (1 / components,) * components, means, sds, 3000)
    counts = em.histogram(scores, 0.0)[None]
    fits = [fit(counts, number, 1e-5, 1000) for number in (1, 2, 3)]  # type: ignore[operator]
    best = min(fits, key=lambda found: float(found.bic[0]))
    assert best.components[0] == components
    np.testing.assert_allclose(best.means[0], means, atol=0.01)


@pytest.mark.parametrize("components", [1, 2])
def test_means_of_maps_are_those_of_sklearn_on_the_scores_themselves(components: int) -> None:
    """Within 1e-3: 48 maps, each with its own number of iterations."""
    maps = cam_like(0, 48)
    counts = np.array([em.histogram(map_, 0.02) for map_ in maps])
    found = em.fit(counts, components, 1e-4, 500)
    for row, map_ in enumerate(maps):
        values = map_[map_ > 0.02].astype(np.float64)
        reference = em_sklearn.fit_values(values, em.start(counts[row], components), 1e-4, 500)
        np.testing.assert_allclose(found.means[row], np.sort(reference.means_[:, 0]), atol=1e-3)
        assert abs(int(found.iterations[row]) - reference.n_iter_) <= 1
    assert components == 1 or len(set(found.iterations.tolist())) > 5


@pytest.mark.parametrize("components", [1, 2, 3])
def test_backends_agree(components: int) -> None:
    counts = np.array([em.histogram(map_, 0.02) for map_ in cam_like(1, 12)])
    ours, reference = em.fit(counts, components, 1e-4, 500), em_sklearn.fit(counts, components, 1e-4, 500)
    np.testing.assert_allclose(ours.means, reference.means, atol=2e-3)
    np.testing.assert_allclose(ours.bic, reference.bic, rtol=1e-2, atol=3)


def test_neighbours_in_the_batch_do_not_matter() -> None:
    counts = np.array([em.histogram(map_, 0.02) for map_ in cam_like(2, 9)])
    together = em.fit(counts, 2, 1e-4, 500)
    for row in range(9):
        alone = em.fit(counts[row : row + 1], 2, 1e-4, 500)
        assert np.array_equal(alone.means[0], together.means[row])
        assert alone.iterations[0] == together.iterations[row]


def test_histogram_keeps_number_and_mean_and_forgets_the_order() -> None:
    scores = np.random.default_rng(0).random((40, 50)) * 0.99 + 0.005
    counts = em.histogram(scores, 0.02)
    above = scores[scores > 0.02]
    assert counts.sum() == above.size
    assert (counts @ em.CENTRES) / above.size == pytest.approx(above.mean(), abs=1e-5)
    shuffled = np.random.default_rng(1).permutation(scores.ravel())
    assert np.array_equal(counts, em.histogram(shuffled, 0.02))


def test_floor_and_both_ends() -> None:
    assert em.histogram(np.array([0.0, 0.02]), 0.02).sum() == 0
    ends = em.histogram(np.array([1e-9, 1.0]), 0.0)
    assert (ends[0], ends[-1], ends.sum()) == (1, 1, 2)


@FITS
@pytest.mark.parametrize("values", [[], [0.4], [0.4, 0.4], [0.5 / 256]])
def test_too_few_filled_bins_have_no_mixture(fit: object, values: list[float]) -> None:
    counts = np.stack([em.histogram(np.array(values), 0.0), em.histogram(np.linspace(0.1, 0.9, 50), 0.0)])
    found = fit(counts, 3, 1e-4, 50)  # type: ignore[operator]
    assert found.components.tolist() == [0, 3]
    assert np.isinf(found.bic[0])
    assert np.isfinite(found.means).all()
