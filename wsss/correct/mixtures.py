"""Gaussian mixtures of CAM scores: the fit, the guards against a bad one, and the posteriors (docs/method/labels.md).

No mask is used: the thresholds of a map follow only from the distribution of its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from wsss.core.params import Settings, unit
from wsss.correct import em
from wsss.correct.labels import NO_SIGNAL, foreground_scores
from wsss.crf.settings import PUBLISHED, Crf

FLOOR = 0.02
"""Scores at or below are certainly background. They are not fitted, because their peak at 0 is not Gaussian."""
MAX_COMPONENTS = 3
GUARDS = ("", "no_signal", "not_finite", "few_scores", "one_component", "overlap", "light")
"""Reasons to cut a map by the fixed thresholds instead. The store keeps their positions in this tuple."""
LOST = ("no_signal", "not_finite")
"""Guards of maps without any information."""
TABLE = 1024
SCORES = np.arange(TABLE) / (TABLE - 1)
"""(1024,) float64: the scores at which posteriors are tabulated."""


class GmmSettings(Settings):
    """How mixtures are fitted, and how confident a posterior has to be."""

    scope: Literal["image", "hybrid"] = Field(
        default="hybrid",
        description="image: a mixture per map; hybrid: the components of all maps, their means moved to those of the "
        "map as far as its scores outweigh prior_cells",
    )
    max_components: int = Field(
        default=2, ge=1, le=MAX_COMPONENTS, description="at most this many Gaussians; BIC chooses the number"
    )
    prior_cells: float = Field(
        default=250,
        ge=0,
        description="weight of all maps, in scope hybrid",
        json_schema_extra=unit("CAM cells"),
    )
    min_scores: int = Field(
        default=100, ge=2, description="a map of fewer scores has no mixture", json_schema_extra=unit("CAM cells")
    )
    min_separation: float = Field(
        default=2.0, ge=0, description="Ashman's D of the first and the last component; below 2 their sum has one hill"
    )
    min_weight: float = Field(
        default=0.005,
        ge=0,
        lt=1,
        description="a last component of less weight is a few outliers",
    )
    tau_fg: float = Field(default=0.9, ge=0.5, lt=1, description="posterior that a class needs")
    tau_bg: float = Field(default=0.9, ge=0.5, lt=1, description="posterior that background needs")
    lead: float = Field(
        default=0.1, ge=0, lt=1, description="how far the posterior of a class has to be ahead of the next class"
    )
    fill: bool = Field(default=True, description="rule (e): label ignored pixels where the posterior is confident")
    crf: Crf = Field(default=PUBLISHED, description="rule (d): dense CRF on the posteriors")
    agree: bool = Field(
        default=True, description="ignore pixels whose label the CRF changed: fewer labels, and more accurate ones"
    )
    tolerance: float = Field(
        default=1e-4, gt=0, description="EM stops when the mean log-likelihood rises by less; each map on its own"
    )
    max_iterations: int = Field(default=500, ge=1, description="EM stops after so many iterations at the latest")


@dataclass(frozen=True)
class Mixture:
    """The mixture fitted to one map. `guard`: why it is not used, or empty; arrays (components,), means ascending."""

    guard: str
    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray


@dataclass(frozen=True)
class Shared:
    """Scores of all training photos: `counts` (256,) float64, a histogram."""

    counts: np.ndarray


NOTHING = np.zeros(0)
Components = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Weights, means and deviations, (components,) each."""


def count_scores(scores: np.ndarray) -> np.ndarray:
    """(P, 256) histograms of the stretched maps of one photo. `scores`: (P, h, w) CAMs, finite."""
    return np.array([em.histogram(map_, FLOOR) for map_ in foreground_scores(scores)]).reshape(-1, em.BINS)


def fit_maps(maps: Sequence[np.ndarray], settings: GmmSettings, shared: Shared | None) -> list[list[Mixture]]:
    """Mixtures of many photos at once. `maps`: for each photo its CAMs (P, h, w).

    `shared` is needed by scope `hybrid`.
    """
    cams = [map_ for scores in maps for map_ in scores]
    problems = [_problem(map_) for map_ in cams]
    usable = [not problem for problem in problems]
    counts = np.zeros((len(cams), em.BINS))
    for row, map_ in enumerate(cams):
        if usable[row]:
            counts[row] = count_scores(map_[None])[0]
    fitted = _fit(counts, settings, shared) if len(cams) else []
    mixtures = iter(
        mixture if not problem else Mixture(problem, NOTHING, NOTHING, NOTHING)
        for mixture, problem in zip(fitted, problems, strict=True)
    )
    return [[next(mixtures) for _ in scores] for scores in maps]


def posteriors(mixture: Mixture, settings: GmmSettings, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors (1024,) at `SCORES` of background, which never rises, and of the class, which never falls.

    Background is the first component, foreground the last. Both get one variance, so the cut lies in the middle of
    their means. With their own variances, posteriors cross again far out and labels were worse (docs/experiments.md).
    A guarded map has the fixed thresholds: background needs a score below `low`, a class one above `high`. In a map
    without signal, both posteriors are 0.
    """
    if mixture.guard in LOST:
        return np.zeros(TABLE), np.zeros(TABLE)
    if mixture.guard:
        places = [0.0, low, max(high, low + 1e-6), 1.0]
        foreground = np.interp(SCORES, places, [0.0, 1 - settings.tau_bg, settings.tau_fg, 1.0])
        return 1.0 - foreground, foreground
    # The linear discriminant: with equal variances and even odds, the log odds are linear in the score.
    variance = np.average(mixture.deviations**2, weights=mixture.weights)
    first_mean, last_mean = mixture.means[[0, -1]]
    odds = (last_mean - first_mean) / variance * (SCORES - (first_mean + last_mean) / 2)
    foreground = 1.0 / (1.0 + np.exp(-odds))
    return 1.0 - foreground, foreground


def thresholds(background: np.ndarray, foreground: np.ndarray, settings: GmmSettings) -> tuple[float, float]:
    """The score up to which a pixel is background and that from which it is the class; NaN if there is none."""
    below, above = background >= settings.tau_bg, foreground >= settings.tau_fg
    low = float(SCORES[np.flatnonzero(below)[-1]]) if below.any() else float("nan")
    return low, float(SCORES[np.argmax(above)]) if above.any() else float("nan")


def _problem(map_: np.ndarray) -> str:
    if not np.isfinite(map_).all():
        return "not_finite"
    return "no_signal" if np.ptp(map_) < NO_SIGNAL else ""


def _fit(counts: np.ndarray, settings: GmmSettings, shared: Shared | None) -> list[Mixture]:
    """One mixture for each histogram (N, 256), in either scope."""
    own = _best(counts, settings)
    rows = [(_row(own, row), float(counts[row].sum())) for row in range(len(counts))]
    if settings.scope == "image":
        return [_judge(components, cells, settings) for components, cells in rows]
    assert shared is not None
    everything = shared.counts[None]
    one = _row(_best(everything, settings), 0)
    if not len(one[0]):
        return [_judge(one, everything.sum(), settings) for _ in rows]
    return [_moved(one, everything.sum(), components, cells, settings) for components, cells in rows]


def _best(counts: np.ndarray, settings: GmmSettings) -> list[em.Mixtures]:
    """Fits with 1 … `max_components` components."""
    numbers = range(1, settings.max_components + 1)
    return [em.fit(counts, n, settings.tolerance, settings.max_iterations) for n in numbers]


def _row(fits: list[em.Mixtures], row: int) -> Components:
    """Weights, means and deviations of the fit with the lowest BIC; empty where nothing could be fitted."""
    best = min(fits, key=lambda fit: float(fit.bic[row]))
    used = int(best.components[row])
    return best.weights[row, :used], best.means[row, :used], best.deviations[row, :used]


def _moved(all_maps: Components, all_cells: float, own: Components, cells: float, settings: GmmSettings) -> Mixture:
    """The mixture of all maps, its first and last mean moved towards this map's by n / (n + prior) for n scores.

    A map without a usable mixture of its own gets that of all maps unchanged.
    """
    weights, means, deviations = all_maps
    if not _judge(own, cells, settings).guard:
        share = cells / (cells + settings.prior_cells)
        first, last = share * own[1][[0, -1]] + (1 - share) * means[[0, -1]]
        stretch = (last - first) / max(means[-1] - means[0], 1e-9)
        means = first + (means - means[0]) * stretch
    return _judge((weights, means, deviations), all_cells, settings)


def _judge(components: Components, cells: float, settings: GmmSettings) -> Mixture:
    weights, means, deviations = components
    guard = ""
    if cells < settings.min_scores:
        guard = "few_scores"
    elif len(weights) < 2:
        guard = "one_component"
    elif separation(means, deviations) < settings.min_separation:
        guard = "overlap"
    elif weights[-1] < settings.min_weight:
        guard = "light"
    return Mixture(guard, weights, means, deviations)


def separation(means: np.ndarray, deviations: np.ndarray) -> float:
    """Ashman's D of the first and the last component; above 2 their sum has two peaks."""
    return float(np.sqrt(2) * abs(means[-1] - means[0]) / np.hypot(deviations[0], deviations[-1]))
