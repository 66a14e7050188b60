"""Mixtures of maps: guards, scopes, posteriors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy_mixtures import GMM, hills
from wsss.correct import em
from wsss.correct.mixtures import (
    GUARDS,
    SCORES,
    TABLE,
    GmmSettings,
    Mixture,
    Shared,
    count_scores,
    fit_maps,
    posteriors,
    separation,
    thresholds,
)

LOW, HIGH = 0.16, 0.5


def one(map_: np.ndarray, settings: GmmSettings = GMM, shared: Shared | None = None) -> Mixture:
    return fit_maps([map_[None]], settings, shared)[0][0]


def mixture(weights: list[float], means: list[float], deviations: list[float], guard: str = "") -> Mixture:
    return Mixture(guard, np.array(weights), np.array(means), np.array(deviations))


def with_(**changes: object) -> GmmSettings:
    return GMM.model_copy(update=changes)


def test_two_hills_have_a_mixture() -> None:
    found = one(hills(0))
    assert found.guard == ""
    assert len(found.means) == 2
    assert found.means[0] < 0.3 < 0.6 < found.means[1]
    assert found.weights.sum() == pytest.approx(1)


GUARDED = {
    "no_signal": (np.full((14, 20), 0.4, np.float32), {}),
    "not_finite": (np.where(np.arange(280).reshape(14, 20) == 7, np.nan, hills(0)).astype(np.float32), {}),
    "few_scores": (hills(0), {"min_scores": 300}),
    "one_component": (np.random.default_rng(0).random((14, 20)).astype(np.float32), {"max_components": 1}),
    "overlap": (hills(0), {"min_separation": 40.0}),
    "light": (hills(0), {"min_weight": 0.9}),
}


@pytest.mark.parametrize("reason", GUARDED)
def test_every_guard_has_its_reason(reason: str) -> None:
    map_, changes = GUARDED[reason]
    assert one(map_, with_(**changes)).guard == reason
    assert set(GUARDED) | {""} == set(GUARDS)


def test_one_hill_is_one_component_by_bic() -> None:
    rng = np.random.default_rng(0)
    map_ = np.clip(rng.normal(0.5, 0.1, (40, 50)), 0, 1).astype(np.float32)
    assert one(map_).guard == "one_component"


@pytest.mark.parametrize("scope", ["image", "hybrid"])
@pytest.mark.parametrize("values", [[0.0], [0.7], [0.0, 1.0], [1.0, 1.0, 0.0], [np.nan], [0.0, np.inf]])
def test_fault_31_maps_of_next_to_nothing(scope: str, values: list[float]) -> None:
    """Row 31: fewer than two scores, one value, NaN: a reason, never an exception or NaN."""
    map_ = np.array([values], np.float32)
    empty = Shared(np.zeros(256))
    found = one(map_, with_(scope=scope), empty)
    assert found.guard in GUARDS[1:]
    for table in posteriors(found, GMM, LOW, HIGH):
        assert np.isfinite(table).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_fault_30_constant_map_gives_neither_background_nor_class(value: float) -> None:
    found = one(np.full((14, 20), value, np.float32))
    assert found.guard == "no_signal"
    background, foreground = posteriors(found, GMM, LOW, HIGH)
    assert not background.any()
    assert not foreground.any()
    assert np.isnan(thresholds(background, foreground, GMM)).all()


def test_order_of_the_pixels_does_not_matter() -> None:
    map_ = hills(1)
    shuffled = np.random.default_rng(0).permutation(map_.ravel()).reshape(map_.shape)
    for a, b in zip(vars(one(map_)).values(), vars(one(shuffled)).values(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("constant", [-3.0, 0.25, 10.0])
def test_a_constant_added_to_all_logits_changes_nothing(constant: float) -> None:
    map_ = hills(2).astype(np.float32)
    np.testing.assert_allclose(one(map_).means, one(map_ + np.float32(constant)).means, atol=2e-5)


def test_photos_come_back_in_their_order() -> None:
    maps = [hills(number) for number in range(5)]
    photos = [np.stack(maps[:2]), np.zeros((0, 14, 20), np.float32), np.stack(maps[2:])]
    found = fit_maps(photos, GMM, None)
    assert [len(row) for row in found] == [2, 0, 3]
    flat = [mixture for row in found for mixture in row]
    for map_, row in zip(maps, flat, strict=True):
        assert np.array_equal(row.means, one(map_).means)
    assert fit_maps([], GMM, None) == []


def shared_of(*maps: np.ndarray) -> Shared:
    return Shared(sum(count_scores(map_[None])[0] for map_ in maps))


def mixture_of_all(*maps: np.ndarray) -> Mixture:
    """Two components of all scores together."""
    found = em.fit(shared_of(*maps).counts[None], 2, GMM.tolerance, GMM.max_iterations)
    return Mixture("", found.weights[0], found.means[0], found.deviations[0])


@pytest.mark.parametrize("cells", [0.0, 50.0, 1e9])
def test_hybrid_moves_the_means_of_all_maps_to_the_map(cells: float) -> None:
    maps = [hills(number, share=0.1 + 0.2 * number) for number in range(4)]
    shared = shared_of(*maps)
    found = one(maps[0], with_(scope="hybrid", prior_cells=cells), shared)
    alone = one(maps[0], with_(scope="image"))
    everything = mixture_of_all(*maps)
    scores = count_scores(maps[0][None]).sum()
    share = scores / (scores + cells)
    np.testing.assert_allclose(found.means, share * alone.means + (1 - share) * everything.means, atol=1e-9)
    assert np.array_equal(found.deviations, everything.deviations)
    assert np.array_equal(found.weights, everything.weights)


def test_hybrid_of_a_map_that_is_no_mixture_is_that_of_all_maps() -> None:
    maps = [hills(number) for number in range(4)]
    settings = with_(scope="hybrid", min_separation=3.0)
    flat = np.random.default_rng(0).random((14, 20)).astype(np.float32)
    assert one(flat, with_(min_separation=3.0)).guard
    found = one(flat, settings, shared_of(*maps))
    assert not found.guard
    assert np.array_equal(found.means, mixture_of_all(*maps).means)


def test_three_components_move_together() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(mean, 0.03, (14, 20)) for mean in (0.15, 0.5, 0.85)]
    many = np.concatenate(parts, 1).clip(0, 1).astype(np.float32)
    many[0, :2] = 0.0, 1.0
    found = one(hills(0), with_(scope="hybrid", max_components=3, prior_cells=100.0), shared_of(many))
    assert len(found.means) == 3
    everything = one(many, with_(max_components=3)).means
    places = (everything[1] - everything[0]) / (everything[2] - everything[0])
    assert (found.means[1] - found.means[0]) / (found.means[2] - found.means[0]) == pytest.approx(places, abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_posteriors_are_monotone_and_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 4))
    found = mixture(
        rng.dirichlet([1] * count).tolist(),
        np.sort(rng.random(count)).tolist(),
        (rng.random(count) / 3 + 0.03).tolist(),
    )
    background, foreground = posteriors(found, GMM, LOW, HIGH)
    assert background.shape == foreground.shape == (TABLE,)
    assert (np.diff(foreground) >= 0).all()
    assert (np.diff(background) <= 0).all()
    np.testing.assert_allclose(background + foreground, 1)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.9, 0.1]])
def test_posterior_is_that_of_two_gaussians_of_one_variance_and_even_odds(weights: list[float]) -> None:
    found = mixture(weights, [0.2, 0.7], [0.05, 0.2])
    variance = weights[0] * 0.05**2 + weights[1] * 0.2**2
    densities = np.exp(-0.5 * (SCORES - np.array([[0.2], [0.7]])) ** 2 / variance)
    background, foreground = posteriors(found, GMM, LOW, HIGH)
    np.testing.assert_allclose(foreground, densities[1] / densities.sum(0), atol=1e-12)
    np.testing.assert_allclose(background, densities[0] / densities.sum(0), atol=1e-12)
    assert foreground[SCORES > 0.45].min() > 0.5 > foreground[SCORES < 0.45].max()


@pytest.mark.parametrize(("low", "high"), [(0.16, 0.5), (0.05, 0.8), (0.2755, 0.2755)])
def test_guarded_map_has_the_fixed_thresholds(low: float, high: float) -> None:
    tables = posteriors(mixture([1.0], [0.3], [0.1], "one_component"), GMM, low, high)
    assert thresholds(*tables, GMM) == pytest.approx((low, high), abs=2e-3)
    assert (np.diff(tables[1]) >= 0).all()


def test_ashmans_d() -> None:
    assert separation(np.array([0.2, 0.5, 0.8]), np.array([0.3, 9.0, 0.4])) == pytest.approx(2**0.5 * 0.6 / 0.5)
