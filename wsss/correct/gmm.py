"""Gaussian correction: posteriors of a mixture of CAM scores, and rules (a)–(e) by which they correct a label.

Described in docs/method/labels.md, "Gaussian correction"; after DKD-GC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.core.params import flat
from wsss.correct import em
from wsss.correct.fixed import FixedSettings, PseudoLabel, fixed_pseudo_label
from wsss.correct.labels import foreground_scores, to_class_ids, upsample
from wsss.correct.method import Labelled
from wsss.correct.mixtures import (
    LOST,
    TABLE,
    GmmSettings,
    Mixture,
    Shared,
    count_scores,
    fit_maps,
    posteriors,
    thresholds,
)
from wsss.correct.tables import pack
from wsss.crf.dense import dense_crf
from wsss.data.index import IGNORE

if TYPE_CHECKING:
    from wsss.stores.cams import Cams

BEFORE = "fbe"
"""Name of the stored label before the correction, that of foreground–background enhancement."""


class MixtureCorrection:
    """The label of the fixed thresholds, corrected by a Gaussian mixture of each map's scores."""

    advice = "lower correct.gmm.tau_fg"

    def __init__(self, fixed: FixedSettings, settings: GmmSettings) -> None:
        self.fixed, self.settings = fixed, settings

    def attributes(self) -> dict[str, bool | int | float | str]:
        """The settings of the thresholds and of the mixture."""
        return {"crf": self.settings.crf is not None, **flat(self.fixed, "fixed."), **flat(self.settings, "gmm.")}

    def survey(self, cams: Iterable[Cams]) -> Shared | None:
        """The scores of all training photos; None in scope `image`."""
        if self.settings.scope == "image":
            return None
        counts = np.zeros(em.BINS)
        for found in cams:
            # Sums of multiples of 1/256 are exact: the order of the photos does not matter.
            counts += count_scores(found.scores).sum(0)
        return Shared(counts)

    def begin(self, cams: Sequence[Cams], survey: Shared | None) -> Sequence[list[Mixture]]:
        """The mixtures of all maps at once."""
        return fit_maps([found.scores for found in cams], self.settings, survey)

    def label(self, image: np.ndarray, cams: Cams, begun: list[Mixture]) -> Labelled:
        """The corrected label, the uncorrected one, and a row for each map."""
        made = corrected_label(image, cams.scores, cams.classes, begun, self.fixed, self.settings, filled=cams.filled)
        return Labelled(made.label, made.confidence, {BEFORE: made.before}, pack(begun, made.cuts, made.counts))


@dataclass(frozen=True)
class Corrected:
    """The result of `corrected_label` only: a `fixed.PseudoLabel` after the Gaussian correction, and what it changed.

    `MixtureCorrection` turns it into a `method.Labelled`, which the store keeps.
    `label`: (H, W) uint8, 255 where ignored; `confidence`: (H, W) float32, the posterior of the label, 0 where 255;
    `counts`: (P, 5) int64, pixels that rules (a)–(e) changed, by class: the label's own, or the strongest at the pixel
    if the label is no class; `cuts`: (P, 2) float64, the score up to which it is background and that from which it is
    the class; `before`: (H, W) uint8, the label that was corrected.
    """

    label: np.ndarray
    confidence: np.ndarray
    counts: np.ndarray
    cuts: np.ndarray
    before: np.ndarray


def corrected_label(
    image: np.ndarray,
    cams: np.ndarray,
    classes: np.ndarray,
    mixtures: Sequence[Mixture],
    fixed: FixedSettings,
    settings: GmmSettings,
    before: PseudoLabel | None = None,
    filled: np.ndarray | None = None,
) -> Corrected:
    """`image`: (H, W, 3) uint8; `cams`: (P, h, w) float32 of the present `classes` (P,), with a mixture each.

    `before`: the label by the thresholds `fixed`, if the caller has it already; `filled`: see `Cams`. With `agree`, no
    class is confident where the dense CRF changed the label, as in Eq (13).
    """
    lost = np.array([mixture.guard in LOST for mixture in mixtures], bool)
    if lost.any():
        cams = np.where(lost[:, None, None], np.float32(0), cams)
    before = before or fixed_pseudo_label(image, cams, classes, fixed)
    if len(classes) == 0:
        rules, cuts = np.zeros((0, 5)), np.zeros((0, 2))
        return Corrected(before.label, before.confidence, rules, cuts, before.label)
    tables = np.array([posteriors(mixture, settings, *fixed_cuts(fixed)) for mixture in mixtures])  # (P, 2, 1024)
    grid = foreground_scores(cams)
    sure = np.zeros((len(classes) + 1, *image.shape[:2]), np.float32)
    moved = np.zeros(image.shape[:2], bool)
    if not lost.all():
        # The posterior depends on the score only, so the scores are enlarged and the posteriors looked up after that.
        scores, here = upsample(grid[~lost], image.shape[:2]), tables[~lost]
        found = joint(look_up(here[:, 0], scores), look_up(here[:, 1], scores), scores)
        if filled is not None:
            fill_up(found, upsample(filled[~lost], image.shape[:2]))
        if settings.crf is not None:
            smooth = dense_crf(image, found, settings.crf)
            moved = smooth.argmax(0) != found.argmax(0)
            found = np.where(moved, np.float32(0), smooth) if settings.agree else smooth
        sure[np.concatenate([[True], ~lost])] = found
    if lost.any():
        # A class without signal is in the photo at an unknown place: no pixel may become background.
        sure[0] = 0.0
    old = to_index(before.label, classes)
    new, counts = apply_rules(old, sure, moved, settings)
    confidence = np.take_along_axis(sure, np.where(new == IGNORE, 0, new)[None].astype(np.int64), 0)[0]
    return Corrected(
        to_class_ids(new, classes),
        np.where(new == IGNORE, 0.0, confidence).astype(np.float32),
        counts,
        np.array([thresholds(background, foreground, settings) for background, foreground in tables]),
        before.label,
    )


def fixed_cuts(fixed: FixedSettings) -> tuple[float, float]:
    """The two thresholds on F that follow from α and γ; the score of a tie if α is too small to reject anything."""
    low, high = 1.0 - fixed.alpha ** (1.0 / fixed.gamma), fixed.alpha
    if low <= high:
        return low, high
    scores = np.linspace(0.0, 1.0, 10_001)
    tie = float(scores[np.argmax(scores >= (1.0 - scores) ** fixed.gamma)])
    return tie, tie


def look_up(tables: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """`tables`: (P, 1024) values at scores 0 … 1; `scores`: (P, H, W) in [0, 1] → (P, H, W) float32."""
    places = np.rint(np.clip(scores, 0.0, 1.0) * (TABLE - 1)).astype(np.int64)
    rows = np.arange(len(tables))[:, None, None]
    return tables.astype(np.float32)[rows, places]


def joint(background: np.ndarray, foreground: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Posteriors in each map on its own, (P, H, W) → joint ones of background and classes, (P + 1, H, W) float32.

    Background gets its smallest posterior of all maps. The largest posterior of a class is divided among the classes by
    posterior × score: far above their thresholds all posteriors are 1, and only the scores still tell two classes
    apart.
    """
    claims = foreground * (scores + 1e-3) + 1e-9
    classes = foreground.max(0) * claims / claims.sum(0)
    return np.concatenate([background.min(0)[None], classes]).astype(np.float32)


def fill_up(found: np.ndarray, filled: np.ndarray) -> None:
    """Give background's posterior to a class that fills its photos, in place, where the photo belongs to that class.

    `found`: (P + 1, H, W) posteriors; `filled`: (P, H, W) float32 in [0, 1], the enlarged `Cams.filled`.
    """
    here = filled.max(0) > 0.5
    taker = filled.argmax(0)[here] + 1
    found[(taker, *np.nonzero(here))] += found[0][here]
    found[0][here] = 0.0


def by_posterior(sure: np.ndarray, settings: GmmSettings) -> np.ndarray:
    """Step 5: (P + 1, H, W) → (H, W) uint8 of indices 0..P, 255 where no posterior is confident."""
    return _by_posterior(sure[0], *leaders(sure[1:]), settings)


def leaders(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, H, W) → (H, W): number 1..P of the strongest class (uint8), its posterior, and that of the second (or 0)."""
    winner, strongest = np.ones(classes.shape[1:], np.uint8), classes[0]
    second = np.zeros_like(strongest)
    for number, other in enumerate(classes[1:], start=2):  # several times faster than arg-max and sorting
        second = np.maximum(second, np.minimum(strongest, other))
        winner[other > strongest] = number
        strongest = np.maximum(strongest, other)
    return winner, strongest, second


def _by_posterior(
    background: np.ndarray, winner: np.ndarray, strongest: np.ndarray, second: np.ndarray, settings: GmmSettings
) -> np.ndarray:
    is_class = (strongest >= settings.tau_fg) & (strongest - second >= settings.lead)
    return np.where(is_class, winner, np.where(background >= settings.tau_bg, 0, IGNORE)).astype(np.uint8)


def apply_rules(
    old: np.ndarray, sure: np.ndarray, moved: np.ndarray, settings: GmmSettings
) -> tuple[np.ndarray, np.ndarray]:
    """`old`: (H, W) uint8 indices 0..P or 255; `sure`: (P + 1, H, W); `moved`: (H, W) bool, what the CRF changed.

    `sure` are posteriors, and those that reach the thresholds of `settings` are confident. (a) A class becomes
    background where background is confident. (b) Background becomes a class where that class is. (c) Any other
    disagreement becomes 255. (e) With `fill`, 255 becomes background or the class that is confident.
    Returns (H, W) uint8 indices and (P, 5) int64 counts.
    """
    winner, strongest, second = leaders(sure[1:])
    wanted = _by_posterior(sure[0], winner, strongest, second, settings)
    is_background, is_class = old == 0, (old != 0) & (old != IGNORE)
    a = is_class & (wanted == 0)
    b = is_background & (wanted != 0) & (wanted != IGNORE)
    c = (is_background | is_class) & (wanted != old) & ~a & ~b
    e = (old == IGNORE) & (wanted != IGNORE) & settings.fill
    new = np.where(a | b | e, wanted, np.where(c, IGNORE, old)).astype(np.uint8)
    stake = np.where(is_class, old, winner)
    counts = [np.bincount(stake[rule], minlength=len(sure))[1:] for rule in (a, b, c, moved, e)]
    return new, np.stack(counts, 1).astype(np.int64)


def to_index(label: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Class ids → indices 0..P into [background, present classes]; 255 stays. (H, W) uint8."""
    table = np.full(256, IGNORE, np.uint8)
    table[np.concatenate([[0], classes]).astype(np.int64)] = np.arange(len(classes) + 1)
    return table[label]
