"""The permutohedral lattice against Gaussian sums over all pairs, against its definition in plain Python, and laws."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wsss.core.errors import WsssError
from wsss.crf.lattice import build, padded


def grid_features(side: int, deviation: float) -> np.ndarray:
    """(side², 2) float32: pixels of a square, in standard deviations."""
    return (np.stack(np.mgrid[:side, :side], -1).reshape(-1, 2) / deviation).astype(np.float32)


def photo_features(side: int, seed: int = 0) -> np.ndarray:
    """(side², 5) float32: place and colours of a smooth picture with an edge."""
    y, x = np.mgrid[:side, :side] / side
    noise = np.random.default_rng(seed).normal(0, 0.1, (side, side, 3))
    colours = np.stack([2 * x, 2 * y, 3.0 * (x > 0.4)], -1) + noise
    return np.concatenate([np.stack([x, y], -1), colours], -1).reshape(-1, 5).astype(np.float32)


def values_of(features: np.ndarray, channels: int) -> np.ndarray:
    return np.random.default_rng(channels).random((len(features), channels), np.float32)


def all_pairs(features: np.ndarray) -> np.ndarray:
    apart = features[:, None].astype(np.float64) - features[None]
    return np.exp(-(apart**2).sum(-1) / 2)


def test_smoothness_kernel_is_near_the_gaussian_sum() -> None:
    """The lattice's sums are an eighth too small, more at the border; normalised ones do not know."""
    features = grid_features(40, 3.0)
    values = values_of(features, 3)
    lattice, kernel = build(features), all_pairs(features)
    found, expected = lattice.filter(values), kernel @ values
    assert np.median(found / expected) == pytest.approx(0.88, abs=0.01)
    assert 0.75 < (found / expected).min() < (found / expected).max() < 1
    normalised = found / lattice.filter(np.ones_like(values))
    np.testing.assert_allclose(normalised, expected / kernel.sum(1, keepdims=True), atol=0.02)


def test_appearance_kernel_is_near_the_gaussian_sum() -> None:
    features = photo_features(40)
    values = (features[:, [2, 4]] > 1).astype(np.float32)
    lattice, kernel = build(features), all_pairs(features)
    found = lattice.filter(values) / lattice.filter(np.ones_like(values))
    expected = kernel @ values / kernel.sum(1, keepdims=True)
    for one, other in zip(found.T, expected.T, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.999
    assert np.abs(found - expected).max() < 0.05


def plain_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Adams, Baek & Davis, sections 3 and 4, corner by corner in a dictionary, in float64."""
    d = features.shape[1]
    corners, held = [], {}
    for point, value in zip(features.astype(float), values.astype(float), strict=True):
        scaled = point * np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
        place = np.array([scaled[i:].sum() - (i * scaled[i - 1] if i else 0) for i in range(d + 1)])
        base = np.round(place / (d + 1)) * (d + 1)
        order = np.argsort(-(place - base), kind="stable")
        excess = round(base.sum() / (d + 1))
        base[order[d + 1 - excess :] if excess > 0 else order[: -excess or 0]] -= np.sign(excess) * (d + 1)
        offset = place - base
        order = np.argsort(-offset, kind="stable")
        falling = offset[order] / (d + 1)
        weights = [1 - falling[0] + falling[-1], *(falling[d - k] - falling[d - k + 1] for k in range(1, d + 1))]
        mine = []
        for k, weight in enumerate(weights):
            corner = base + k
            corner[order[d + 1 - k :]] -= d + 1
            mine.append((tuple(corner.astype(int)), weight))
            held[mine[-1][0]] = held.get(mine[-1][0], 0) + weight * value
        corners.append(mine)
    for axis in range(d + 1):
        step = np.ones(d + 1, int)
        step[axis] -= d + 1
        held = {
            at: value + sum(held.get(tuple(np.array(at) + sign * step), 0) for sign in (-1, 1)) / 2
            for at, value in held.items()
        }
    return np.stack([sum(w * held[at] for at, w in mine) for mine in corners]) / (1 + 2.0**-d)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_filter_is_the_lattice_of_the_paper(d: int) -> None:
    features = np.random.default_rng(d).normal(0, 2, (300, d)).astype(np.float32)
    values = values_of(features, 3)
    np.testing.assert_allclose(build(features).filter(values), plain_filter(features, values), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("d", [2, 5])
def test_weights_are_barycentric(d: int) -> None:
    lattice = build(np.random.default_rng(0).normal(0, 9, (1000, d)).astype(np.float32))
    np.testing.assert_allclose(lattice.weights.sum(1), 1, atol=1e-5)
    assert lattice.weights.min() > -1e-5
    assert np.array_equal(np.unique(lattice.corners), np.arange(lattice.before.shape[1]))


def test_neighbours_are_mutual() -> None:
    lattice = build(photo_features(20))
    count = lattice.before.shape[1]
    for before, after in zip(lattice.before, lattice.after, strict=True):
        known = np.flatnonzero(after < count)
        assert np.array_equal(before[after[known]], known)
        assert (before < count).sum() == len(known)


def test_filter_is_linear() -> None:
    lattice = build(photo_features(24))
    first, second = values_of(photo_features(24), 2), values_of(photo_features(24), 4)[:, :2]
    both = 2 * lattice.filter(first) - 3 * lattice.filter(second)
    np.testing.assert_allclose(lattice.filter(2 * first - 3 * second), both, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("features", [grid_features(24, 3.0), photo_features(24)], ids=["2d", "5d"])
def test_reverse_is_the_adjoint(features: np.ndarray) -> None:
    lattice = build(features)
    u, v = values_of(features, 2).astype(np.float64).T
    forward = lattice.filter(v[:, None].astype(np.float32))[:, 0]
    backward = lattice.filter(u[:, None].astype(np.float32), reverse=True)[:, 0]
    np.testing.assert_allclose(u @ forward, backward @ v, rtol=1e-5)
    np.testing.assert_allclose(backward, lattice.filter(u[:, None].astype(np.float32))[:, 0], rtol=0.2)


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("spread", [0.3, 1.5, 30.0], ids=["dense", "mixed", "isolated"])
def test_diagonal_is_what_each_point_gives_itself(d: int, spread: float) -> None:
    lattice = build(np.random.default_rng(d).normal(0, spread, (150, d)).astype(np.float32))
    matrix = lattice.filter(np.eye(150, dtype=np.float32))
    np.testing.assert_allclose(lattice.diagonal(), np.diagonal(matrix), rtol=1e-5)
    np.testing.assert_allclose(lattice.diagonal(), np.diagonal(lattice.filter(np.eye(150), reverse=True)), rtol=1e-5)


def test_isolated_point_has_all_of_its_sum_from_itself() -> None:
    features = photo_features(24)
    features[0] = 50.0
    lattice = build(features)
    sums, own = lattice.filter(np.ones((24 * 24, 1), np.float32))[:, 0], lattice.diagonal()
    assert own[0] == pytest.approx(sums[0], rel=1e-6)
    assert (own[1:] < sums[1:]).all()


def test_diagonal_of_a_photo_with_many_simplices() -> None:
    """More simplices than the table of recent ones has slots."""
    features = np.random.default_rng(1).uniform(0, 8, (6000, 5)).astype(np.float32)
    lattice = build(features)
    some = np.arange(0, 6000, 250)
    values = np.zeros((6000, len(some)), np.float32)
    values[some, np.arange(len(some))] = 1
    np.testing.assert_allclose(lattice.diagonal()[some], lattice.filter(values)[some, np.arange(len(some))], rtol=1e-5)


def test_row_normalised_filter_keeps_a_constant() -> None:
    lattice = build(photo_features(24))
    constant = np.full((24 * 24, 3), 0.3, np.float32)
    np.testing.assert_allclose(lattice.filter(constant) / lattice.filter(np.ones_like(constant)), 0.3, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 9, 20])
def test_channels_do_not_touch_each_other(channels: int) -> None:
    lattice, values = build(photo_features(16)), values_of(photo_features(16), channels)
    alone = np.concatenate([lattice.filter(column[:, None]) for column in values.T], 1)
    found = lattice.filter(values)
    assert found.shape == values.shape
    np.testing.assert_allclose(found, alone, rtol=1e-5)
    assert padded(channels) >= channels
    np.testing.assert_allclose(lattice.filter(np.asfortranarray(values.astype(np.float64))), found, rtol=1e-5)


def test_out_is_written_and_returned() -> None:
    lattice, values = build(photo_features(16)), values_of(photo_features(16), 4)
    out = np.full_like(values, np.nan)
    assert np.shares_memory(lattice.filter(values, out=out), out)
    assert np.array_equal(out, lattice.filter(values))


def test_scaled_points_count_as_often() -> None:
    lattice, values = build(photo_features(16)), values_of(photo_features(16), 3)
    factors = values_of(photo_features(16), 1)[:, 0]
    expected = lattice.filter(values * factors[:, None]) * factors[:, None]
    np.testing.assert_allclose(lattice.scaled(factors).filter(values), expected, rtol=1e-4)


def test_more_corners_than_the_first_table_holds() -> None:
    """Far from one another each point has a simplex of its own, all must be told apart."""
    features = np.random.default_rng(0).uniform(0, 60, (9000, 5)).astype(np.float32)
    lattice = build(features)
    assert lattice.before.shape[1] > 50_000
    some = np.zeros((9000, 1), np.float32)
    some[:200] = 1
    alone = build(features[:200]).filter(np.ones((200, 1), np.float32))
    np.testing.assert_allclose(lattice.filter(some)[:200], alone, rtol=0.05)


def test_lattice_is_the_same_bytes_in_threads() -> None:
    features = photo_features(48)
    values = values_of(features, 5)
    expected = build(features).filter(values).tobytes()
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda _: build(features).filter(values).tobytes(), range(8))
        assert all(result == expected for result in results)


def test_nan_and_nothing_are_refused() -> None:
    for bad in (np.full((3, 2), np.nan, np.float32), np.zeros((0, 2), np.float32), np.zeros((3, 6), np.float32)):
        with pytest.raises(WsssError, match=r"give finite features \(N ≥ 1, d ≤ 5\)"):
            build(bad)


def test_kernels_thinner_than_keys_can_name_are_refused() -> None:
    with pytest.raises(WsssError, match="more cells than a 64-bit key can name\nfix: raise the kernel's widths"):
        build(np.array([[0.0] * 5, [1e5] * 5], np.float32))
