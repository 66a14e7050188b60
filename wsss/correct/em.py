"""Gaussian mixtures of many weighted histograms at once: expectation–maximisation, stopped for each row on its own.

A score map has thousands of values and one of 256 bins holds many of them, so the cost does not grow with the size of
the map. The algorithm is scikit-learn's (`GaussianMixture` with `reg_covar`), started by k-means instead of at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsss.numeric.compiled import compiled

BINS = 256
CENTRES = (np.arange(BINS) + 0.5) / BINS
"""(256,) float64: the scores that the bins over [0, 1] stand for."""
SHARES = 256
VARIANCE_FLOOR = 5e-4
"""Added to every variance, as scikit-learn's `reg_covar`: a component narrower than 0.022 is noise of the map."""


@dataclass(frozen=True)
class Mixtures:
    """One mixture per row, unused components at the end with weight 0.

    `components`: (N,) int64, 0 where there was nothing to fit; `weights`, `means`, `deviations`: (N, M) float64, means
    ascending; `bic`: (N,) float64; `iterations`: (N,) int64.
    """

    components: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    bic: np.ndarray
    iterations: np.ndarray


def histogram(scores: np.ndarray, floor: float) -> np.ndarray:
    """(256,) float64: the scores above `floor`, each split between the two bins around it. Any shape, in [0, 1].

    The split keeps the mean and is in multiples of 1/256: sums are exact, in any order of the pixels.
    """
    return _count(np.ascontiguousarray(scores).ravel(), floor) / SHARES


def fit(histograms: np.ndarray, components: int, tolerance: float, max_iterations: int) -> Mixtures:
    """Mixtures of exactly `components` Gaussians. `histograms`: (N, 256) ≥ 0 counts of scores in [0, 1].

    A row stops when its mean log-likelihood rises by less than `tolerance`. A row with fewer filled bins than
    components gets no mixture.
    """
    found = _fit(np.ascontiguousarray(histograms, np.float64), components, tolerance, max_iterations)
    used, weights, means, variances, bic, iterations = found
    order = np.argsort(means, axis=1, kind="stable")
    weights, means, variances = (np.take_along_axis(part, order, 1) for part in (weights, means, variances))
    return Mixtures(used, weights, means, np.sqrt(variances), bic, iterations)


def start(counts: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and variances (M,) that `fit` starts from for one histogram (256,)."""
    weights, means, variances = (np.zeros(components) for _ in range(3))
    _start(np.asarray(counts, np.float64), weights, means, variances)
    return weights, means, variances


@compiled
def _count(scores: np.ndarray, floor: float) -> np.ndarray:
    counts = np.zeros(BINS, np.int64)
    for score in scores:
        if score > floor:
            place = min(max(score * BINS - 0.5, 0.0), BINS - 1.0)
            shares = int(place * SHARES + 0.5)
            lower = min(shares // SHARES, BINS - 2)
            counts[lower] += SHARES - (shares - lower * SHARES)
            counts[lower + 1] += shares - lower * SHARES
    return counts


@compiled
def _fit(
    histograms: np.ndarray, components: int, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows = len(histograms)
    used, iterations = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    weights, means = np.zeros((rows, components)), np.zeros((rows, components))
    variances, bic = np.ones((rows, components)), np.full(rows, np.inf)
    for row in range(rows):
        counts = histograms[row]
        if np.sum(counts > 0) >= components:
            used[row] = components
            _start(counts, weights[row], means[row], variances[row])
            likelihood, steps = _maximise(counts, weights[row], means[row], variances[row], tolerance, max_iterations)
            total = counts.sum()
            bic[row] = -2 * total * likelihood + (3 * components - 1) * math.log(total)
            iterations[row] = steps
    return used, weights, means, variances, bic, iterations


@compiled
def _start(counts: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> None:
    """Fill in weights, means and variances of k-means clusters; centres start evenly over the range of scores."""
    components = len(weights)
    filled = np.nonzero(counts)[0]
    low, high = CENTRES[filled[0]], CENTRES[filled[-1]]
    for m in range(components):
        means[m] = low + (high - low) * (m + 0.5) / components
    sums, seconds = np.zeros(components), np.zeros(components)
    moved = True
    for _ in range(100):
        if not moved:
            break
        weights[:], sums[:], seconds[:] = 0.0, 0.0, 0.0
        m = 0
        for b in filled:
            x, n = CENTRES[b], counts[b]
            # Bins and centres ascend: the nearest centre only moves to the right.
            while m + 1 < components and abs(x - means[m + 1]) < abs(x - means[m]):
                m += 1
            weights[m] += n
            sums[m] += n * x
            seconds[m] += n * x * x
        moved = False
        for m in range(components):
            if weights[m] > 0:
                centre = sums[m] / weights[m]
                moved = moved or abs(centre - means[m]) > 1e-9
                means[m] = centre
    total = weights.sum()
    for m in range(components):
        spread = seconds[m] / weights[m] - means[m] ** 2 if weights[m] > 0 else 0.0
        variances[m] = max(spread, 0.0) + VARIANCE_FLOOR
        # An empty cluster starts as if it held one score, to avoid the logarithm of 0.
        weights[m] = max(weights[m], 1.0) / total
    weights /= weights.sum()


@compiled
def _maximise(
    counts: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    variances: np.ndarray,
    tolerance: float,
    max_iterations: int,
) -> tuple[float, int]:
    """EM in place → (mean log-likelihood of the last expectation, iterations)."""
    components = len(weights)
    filled = np.nonzero(counts)[0]
    total = counts.sum()
    shares, scale, factor = np.empty(components), np.empty(components), np.empty(components)
    mass, first, second = np.empty(components), np.empty(components), np.empty(components)
    before, likelihood = -np.inf, -np.inf
    steps = 0
    while steps < max_iterations:
        steps += 1
        for m in range(components):
            scale[m] = -0.5 / variances[m]
            factor[m] = math.log(weights[m]) - 0.5 * math.log(2 * math.pi * variances[m])
        mass[:], first[:], second[:] = 0.0, 0.0, 0.0
        likelihood = 0.0
        for b in filled:
            x, n = CENTRES[b], counts[b]
            top = -np.inf
            for m in range(components):
                shares[m] = factor[m] + scale[m] * (x - means[m]) ** 2
                top = max(top, shares[m])
            density = 0.0
            for m in range(components):
                shares[m] = math.exp(shares[m] - top)
                density += shares[m]
            likelihood += n * (top + math.log(density))
            for m in range(components):
                part = n * shares[m] / density
                mass[m] += part
                first[m] += part * x
                second[m] += part * x * x
        likelihood /= total
        for m in range(components):
            # Plus 10 machine epsilons, as in scikit-learn: a component that lost all its scores stays finite.
            held = mass[m] + 10 * 2.220446049250313e-16
            means[m] = first[m] / held
            variances[m] = max(second[m] / held - means[m] ** 2, 0.0) + VARIANCE_FLOOR
            weights[m] = held / total
        if abs(likelihood - before) < tolerance:
            break
        before = likelihood
    return likelihood, steps
