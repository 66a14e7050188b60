"""scikit-learn's `GaussianMixture`, map by map: the slow reference that `em.fit` is held to."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from wsss.correct import em

COPIES = 16
"""Copies of a score: scikit-learn takes no weights, and a histogram's counts are no whole numbers."""
MAX_VALUES = 200_000


def fit(histograms: np.ndarray, components: int, tolerance: float, max_iterations: int) -> em.Mixtures:
    """As `em.fit`: the same start, the same stop."""
    rows = len(histograms)
    used, iterations, bic = np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.full(rows, np.inf)
    weights, means = np.zeros((rows, components)), np.zeros((rows, components))
    deviations = np.ones((rows, components))
    for row, counts in enumerate(histograms):
        if np.count_nonzero(counts) < components:
            continue
        total = counts.sum()
        copies = np.rint(counts * min(COPIES, MAX_VALUES / total)).astype(np.int64)
        values = np.repeat(em.CENTRES, copies)
        found = fit_values(values, em.start(counts, components), tolerance, max_iterations)
        order = np.argsort(found.means_[:, 0], kind="stable")
        used[row], iterations[row] = components, found.n_iter_
        weights[row], means[row] = found.weights_[order], found.means_[order, 0]
        deviations[row] = np.sqrt(found.covariances_[order, 0, 0])
        bic[row] = -2 * total * found.score(values[:, None]) + (3 * components - 1) * math.log(total)
    return em.Mixtures(used, weights, means, deviations, bic, iterations)


def fit_values(
    values: np.ndarray, start: tuple[np.ndarray, np.ndarray, np.ndarray], tolerance: float, max_iterations: int
) -> Any:
    """The fitted `GaussianMixture` of scores `values` (n,), begun at `start` (weights, means, variances)."""
    weights, means, variances = start
    model = GaussianMixture(
        len(weights),
        reg_covar=em.VARIANCE_FLOOR,
        tol=tolerance,
        max_iter=max_iterations,
        weights_init=weights,
        means_init=means[:, None],
        precisions_init=1 / variances[:, None, None],
    )
    with warnings.catch_warnings():
        # `max_iterations` is a setting: reaching it is no surprise.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values[:, None])
