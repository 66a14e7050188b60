"""Pseudo-labels of one photo by fixed thresholds and a dense CRF — Eqs (9)–(13) of OSTE, the classical way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from wsss.core.params import Settings
from wsss.data.index import IGNORE
from wsss.pseudo.crf import CrfSettings, dense_crf
from wsss.pseudo.labels import (
    agree,
    foreground_scores,
    threshold,
    to_class_ids,
    upsample,
    with_background,
    without_signal,
)


class FixedSettings(Settings):
    """Two thresholds in two numbers: background where F < 1 − α^(1/γ), a class where F > α."""

    gamma: float = Field(gt=0, description="γ of Eq (10)")
    alpha: float = Field(ge=0, lt=1, description="α of Eq (12)")
    crf: CrfSettings


@dataclass(frozen=True)
class PseudoLabel:
    """`label`: (H, W) uint8, 255 where unsure; `confidence`: (H, W) float32 in [0, 1], 0 where 255.

    `no_signal`: ids of present classes whose map was zero or constant.
    """

    label: np.ndarray
    confidence: np.ndarray
    no_signal: tuple[int, ...]


def fixed_pseudo_label(
    image: np.ndarray, cams: np.ndarray, classes: np.ndarray, settings: FixedSettings
) -> PseudoLabel:
    """`image`: (H, W, 3) uint8; `cams`: (P, h, w) float32 of the present `classes` (P,) → the photo's pseudo-label.

    A photo without tags is all background. Where a present class has no signal, nothing may be called background: the
    object is there and its place is unknown.
    """
    size = image.shape[:2]
    if len(classes) == 0:
        return PseudoLabel(np.zeros(size, np.uint8), np.ones(size, np.float32), ())
    maps = upsample(cams, size)
    lost = without_signal(maps)
    scores = with_background(foreground_scores(maps), settings.gamma)
    labels, confidence = threshold(scores, settings.alpha), scores.max(0)
    if settings.crf.enabled:
        posterior = dense_crf(image, scores, settings.crf)
        labels, confidence = agree(labels, posterior.argmax(0).astype(np.uint8)), posterior.max(0)
    if lost.any():
        labels[labels == 0] = IGNORE
    label = to_class_ids(labels, classes)
    return PseudoLabel(
        label, np.where(label == IGNORE, 0.0, confidence).astype(np.float32), tuple(classes[lost].tolist())
    )
