"""Gaussian mixtures of CAM scores: which maps can be cut by one, and the posteriors they give. Section 6 of the method.

Nothing here knows a mask: a threshold per map follows from the distribution of its scores alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from wsss.core.params import Settings
from wsss.pseudo import em, em_sklearn
from wsss.pseudo.crf import CrfSettings
from wsss.pseudo.labels import NO_SIGNAL, foreground_scores

FLOOR = 0.02
"""Scores at or below are background without a question, and their peak at 0 is no Gaussian."""
MAX_COMPONENTS = 3
BACKENDS = {"batched": em.fit, "sklearn": em_sklearn.fit}
GUARDS = ("", "no_signal", "not_finite", "few_scores", "one_component", "overlap", "light")
"""Why a map is cut by the fixed thresholds instead; their places are what the store keeps."""
LOST = ("no_signal", "not_finite")
"""Guards of maps that say nothing at all."""
TABLE = 1024
SCORES = np.arange(TABLE) / (TABLE - 1)
"""(1024,) float64: the scores at which posteriors are tabulated."""


class GmmSettings(Settings):
    """How mixtures are fitted, and how sure a posterior has to be."""

    scope: Literal["image", "class", "hybrid", "dataset"] = Field(
        description="image: a mixture per map; class: per class; dataset: the components of all maps, weights per map; "
        "hybrid: the components of all maps, their means moved to those of the map as far as its scores outweigh "
        "`prior_cells`"
    )
    posterior: Literal["pooled", "own"] = Field(
        description="pooled: one variance for all components and even odds, so that the cut lies in the middle of the "
        "means; own: each component's own variance and weight"
    )
    max_components: int = Field(ge=1, le=MAX_COMPONENTS, description="1 … this many, chosen by BIC")
    prior_cells: float = Field(ge=0, description="of hybrid and dataset: weight of what is shared, in CAM cells")
    min_scores: int = Field(ge=2, description="fewer CAM cells than this say nothing about a distribution")
    min_separation: float = Field(ge=0, description="Ashman's D of first and last component; below 2 they are one hill")
    min_weight: float = Field(ge=0, lt=1, description="of the last component; below, it is a few outliers")
    tau_fg: float = Field(ge=0.5, lt=1, description="posterior that a class needs")
    tau_bg: float = Field(ge=0.5, lt=1, description="posterior that background needs")
    lead: float = Field(ge=0, lt=1, description="how far the posterior of a class has to be ahead of the next class")
    fill: bool = Field(description="rule (e): where the thresholds left 255, take what the posterior is sure of")
    crf: CrfSettings = Field(description="rule (d): dense CRF on the posteriors")
    agree: bool = Field(
        description="be unsure where the dense CRF moved the label: fewer labels, and more of them right"
    )
    backend: Literal["batched", "sklearn"] = Field(default="batched", description="sklearn: the slow reference")
    tolerance: float = Field(default=1e-4, gt=0, description="of the mean log-likelihood; each map stops at its own")
    max_iterations: int = Field(default=500, ge=1)


@dataclass(frozen=True)
class Mixture:
    """What was fitted to one map. `guard`: why it is not used, or empty; arrays (components,), means ascending."""

    guard: str
    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray


@dataclass(frozen=True)
class Shared:
    """Scores of the training photos: `by_class` (K + 1, 256) float64 histograms; row 0 stays empty."""

    by_class: np.ndarray


NOTHING = np.zeros(0)
Components = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Weights, means and deviations, (components,) each."""


def count_scores(scores: np.ndarray) -> np.ndarray:
    """(P, 256) histograms of the stretched maps of one photo. `scores`: (P, h, w) CAMs, finite."""
    return np.array([em.histogram(map_, FLOOR) for map_ in foreground_scores(scores)]).reshape(-1, em.BINS)


def fit_maps(
    maps: Sequence[tuple[np.ndarray, np.ndarray]], settings: GmmSettings, shared: Shared | None
) -> list[list[Mixture]]:
    """Mixtures of many photos at once. `maps`: for each photo its CAMs (P, h, w) and class ids (P,).

    `shared` is needed by every scope but `image`.
    """
    cams = [map_ for scores, _ in maps for map_ in scores]
    classes = np.array([int(number) for _, ids in maps for number in ids], np.int64)
    problems = [_problem(map_) for map_ in cams]
    usable = [not problem for problem in problems]
    counts = np.zeros((len(cams), em.BINS))
    for row, map_ in enumerate(cams):
        if usable[row]:
            counts[row] = count_scores(map_[None])[0]
    fitted = _fit(counts, classes, settings, shared) if len(cams) else []
    mixtures = iter(
        mixture if not problem else Mixture(problem, NOTHING, NOTHING, NOTHING)
        for mixture, problem in zip(fitted, problems, strict=True)
    )
    return [[next(mixtures) for _ in ids] for _, ids in maps]


def posteriors(mixture: Mixture, settings: GmmSettings, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Background's and the class's posterior (1024,) at `SCORES`: never rising, never falling.

    Foreground is the last component, background the first. With their own variances posteriors cross again far out, so
    above the last mean it is foreground and below the first it is background. A guarded map has the fixed thresholds:
    background needs a score below `low`, a class one above `high`. A map without signal has neither.
    """
    if mixture.guard in LOST:
        return np.zeros(TABLE), np.zeros(TABLE)
    if mixture.guard:
        places = [0.0, low, max(high, low + 1e-6), 1.0]
        foreground = np.interp(SCORES, places, [0.0, 1 - settings.tau_bg, settings.tau_fg, 1.0])
        return 1.0 - foreground, foreground
    if settings.posterior == "pooled":
        # The linear discriminant: two Gaussians of one variance, log odds that are a straight line.
        variance = np.average(mixture.deviations**2, weights=mixture.weights)
        first_mean, last_mean = mixture.means[[0, -1]]
        odds = (last_mean - first_mean) / variance * (SCORES - (first_mean + last_mean) / 2)
        foreground = 1.0 / (1.0 + np.exp(-odds))
        return 1.0 - foreground, foreground
    weights, means, deviations = (part[:, None] for part in (mixture.weights, mixture.means, mixture.deviations))
    exponents = np.log(np.maximum(weights, 1e-12) / deviations) - 0.5 * ((SCORES - means) / deviations) ** 2
    shares = np.exp(exponents - exponents.max(0))
    shares /= shares.sum(0)
    scores = SCORES[None]
    first, last = (scores <= means[0])[0], (scores >= means[-1])[0]
    background = np.where(first, 1.0, np.where(last, 0.0, shares[0]))
    foreground = np.where(last, 1.0, np.where(first, 0.0, shares[-1]))
    return np.minimum.accumulate(background), np.maximum.accumulate(foreground)


def thresholds(background: np.ndarray, foreground: np.ndarray, settings: GmmSettings) -> tuple[float, float]:
    """The scores up to which it is background and from which it is the class; NaN where never."""
    below, above = background >= settings.tau_bg, foreground >= settings.tau_fg
    low = float(SCORES[np.flatnonzero(below)[-1]]) if below.any() else float("nan")
    return low, float(SCORES[np.argmax(above)]) if above.any() else float("nan")


def _problem(map_: np.ndarray) -> str:
    if not np.isfinite(map_).all():
        return "not_finite"
    return "no_signal" if np.ptp(map_) < NO_SIGNAL else ""


def _fit(counts: np.ndarray, classes: np.ndarray, settings: GmmSettings, shared: Shared | None) -> list[Mixture]:
    """One mixture for each histogram (N, 256), whatever the scope."""
    rows = range(len(counts))
    if settings.scope == "image":
        best = _best(counts, settings)
        return [_judge(_row(best, row), counts[row].sum(), settings) for row in rows]
    assert shared is not None
    if settings.scope == "class":
        present = np.unique(classes)
        best, place = _best(shared.by_class[present], settings), np.searchsorted(present, classes).tolist()
        return [_judge(_row(best, place[row]), shared.by_class[classes[row]].sum(), settings) for row in rows]
    everything = shared.by_class.sum(0, keepdims=True)
    one = _row(_best(everything, settings), 0)
    if not len(one[0]):
        return [_judge(one, everything.sum(), settings) for _ in rows]
    if settings.scope == "hybrid":
        best = _best(counts, settings)
        return [_moved(one, everything.sum(), _row(best, row), counts[row].sum(), settings) for row in rows]
    mixture = em.Mixtures(*(np.array([part]) for part in (len(one[0]), *one, 0.0, 0)))
    weights = em.fit_weights(counts, mixture, settings.prior_cells)
    return [_judge((weights[row], *one[1:]), everything.sum(), settings) for row in rows]


def _best(counts: np.ndarray, settings: GmmSettings) -> list[em.Mixtures]:
    """Fits with 1 … `max_components` components."""
    numbers = range(1, settings.max_components + 1)
    return [BACKENDS[settings.backend](counts, n, settings.tolerance, settings.max_iterations) for n in numbers]


def _row(fits: list[em.Mixtures], row: int) -> Components:
    """Weights, means and deviations of the fit with the lowest BIC; empty where nothing could be fitted."""
    best = min(fits, key=lambda fit: float(fit.bic[row]))
    used = int(best.components[row])
    return best.weights[row, :used], best.means[row, :used], best.deviations[row, :used]


def _moved(all_maps: Components, all_cells: float, own: Components, cells: float, settings: GmmSettings) -> Mixture:
    """The mixture of all maps, its first and last mean moved to those of a map: by n / (n + prior) for n scores.

    A map whose own scores are no mixture has that of all maps as it is.
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
    """Ashman's D of the first and the last component; above 2 their sum has two hills."""
    return float(np.sqrt(2) * abs(means[-1] - means[0]) / np.hypot(deviations[0], deviations[-1]))
