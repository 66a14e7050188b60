"""Pseudo-labels of one photo by fixed thresholds and a dense CRF, the classical method: Eqs (9)–(13) of OSTE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from wsss.core.params import Settings, flat
from wsss.correct.labels import (
    agree,
    foreground_scores,
    threshold,
    to_class_ids,
    upsample,
    with_background,
    without_signal,
)
from wsss.correct.method import Labelled
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED, Crf
from wsss.data.index import IGNORE

if TYPE_CHECKING:
    from wsss.stores.cams import Cams


class FixedSettings(Settings):
    """Thresholds on the score F, given by γ and α: background where F < 1 − α^(1/γ), a class where F > α."""

    gamma: float = Field(default=4.0, gt=0, description="γ of Eq (10): background's score is (1 − F)^γ")
    alpha: float = Field(default=0.8, ge=0, lt=1, description="α of Eq (12): pixels that score less are ignored")
    crf: Crf = Field(default=PUBLISHED, description="dense CRF of Eq (11); pixels whose label it changes are ignored")


class FixedThresholds:
    """The same two thresholds for every photo."""

    advice = "lower correct.fixed.alpha"

    def __init__(self, settings: FixedSettings) -> None:
        self.settings = settings

    def attributes(self) -> dict[str, bool | int | float | str]:
        """γ, α and the CRF."""
        return {"crf": self.settings.crf is not None, **flat(self.settings, "fixed.")}

    def survey(self, cams: Iterable[Cams]) -> None:
        """Not needed: nothing depends on other photos."""

    def begin(self, cams: Sequence[Cams], survey: None) -> Sequence[None]:
        """Not needed: None for each photo."""
        return [None] * len(cams)

    def label(self, image: np.ndarray, cams: Cams, begun: None) -> Labelled:
        """Eqs (9)–(13)."""
        made = fixed_pseudo_label(image, cams.scores, cams.classes, self.settings)
        return Labelled(made.label, made.confidence)


@dataclass(frozen=True)
class PseudoLabel:
    """The result of `fixed_pseudo_label` only: a label by fixed thresholds, before any Gaussian correction.

    `gmm.Corrected` is such a label after the correction; `method.Labelled` is what either method gives to the store.
    `label`: (H, W) uint8, 255 where ignored; `confidence`: (H, W) float32 in [0, 1], 0 where 255; `no_signal`: ids of
    present classes whose map was zero or constant.
    """

    label: np.ndarray
    confidence: np.ndarray
    no_signal: tuple[int, ...]


def fixed_pseudo_label(
    image: np.ndarray, cams: np.ndarray, classes: np.ndarray, settings: FixedSettings
) -> PseudoLabel:
    """`image`: (H, W, 3) uint8; `cams`: (P, h, w) float32 of the present `classes` (P,) → the photo's pseudo-label.

    A photo without tags is all background. Where a present class has no signal, no pixel may become background: the
    object is in the photo at an unknown place.
    """
    size = image.shape[:2]
    if len(classes) == 0:
        return PseudoLabel(np.zeros(size, np.uint8), np.ones(size, np.float32), ())
    maps = upsample(cams, size)
    lost = without_signal(maps)
    scores = with_background(foreground_scores(maps), settings.gamma)
    labels, confidence = threshold(scores, settings.alpha), scores.max(0)
    if settings.crf is not None:
        posterior = dense_crf(image, scores, settings.crf)
        labels, confidence = agree(labels, posterior.argmax(0).astype(np.uint8)), posterior.max(0)
    if lost.any():
        labels[labels == 0] = IGNORE
    label = to_class_ids(labels, classes)
    return PseudoLabel(
        label, np.where(label == IGNORE, 0.0, confidence).astype(np.float32), tuple(classes[lost].tolist())
    )
