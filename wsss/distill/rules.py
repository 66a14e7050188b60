"""Rules by which a student's predictions correct pseudo-labels. Tensors in, tensors out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field

from wsss.core.params import Scale, unit
from wsss.crf.settings import PUBLISHED, Crf
from wsss.data.index import IGNORE
from wsss.predict.multiscale import ScaleSettings

CHANGES = ("to_background", "to_class", "to_unsure", "filled")
"""What the rules (a), (b), (c) and (e) do to a pixel."""


class RelabelSettings(ScaleSettings):
    """How the student of the first round corrects the labels of whole photos for the second."""

    scales: tuple[Scale, ...] = Field(
        default=(1.0,),
        min_length=1,
        description="test-time scales of its predictions",
        json_schema_extra=unit("× the photo's size"),
    )
    tau_bg: float = Field(default=0.9, ge=0.5, lt=1, description="posterior above which a class becomes background")
    tau_fg: float = Field(default=0.9, ge=0.5, lt=1, description="posterior above which background becomes that class")
    overrule: bool = Field(default=False, description="rules (a)–(c): change labels that are there")
    fill: bool = Field(default=True, description="rule (e): label ignored pixels where the posterior is confident")
    agree: bool = Field(default=False, description="with rule (d): no change where the CRF moved the class")
    crf: Crf = Field(default=PUBLISHED, description="rule (d): dense CRF on the predictions")


class Relabelled(NamedTuple):
    """`labels` (N, H, W) uint8, `confidence` (N, H, W) float32, and the pixels each rule changed (N, H, W) bool."""

    labels: torch.Tensor
    confidence: torch.Tensor
    to_background: torch.Tensor
    to_class: torch.Tensor
    to_unsure: torch.Tensor
    filled: torch.Tensor


def relabel(
    labels: torch.Tensor,
    confidence: torch.Tensor,
    probabilities: torch.Tensor,
    posteriors: torch.Tensor,
    settings: RelabelSettings,
) -> Relabelled:
    """Apply the rules of the label correction to posteriors of any origin.

    `labels`: (N, H, W) uint8, 0..K and 255; `confidence`: (N, H, W) float in [0, 1]; `probabilities`: (N, K+1, H, W) in
    [0, 1], a network's predictions, 0 for classes that are not in the photo; `posteriors`: the same after the dense
    CRF, rule (d), or unchanged. (a) A class becomes background where the posterior of background is above `tau_bg`. (b)
    Background becomes a class where the posterior of that class is above `tau_fg`. (c) Any other label that disagrees
    with the arg-max becomes 255. Rules (a)–(c) apply only if `overrule` is set. (e) With `fill`, 255 becomes background
    or a class if (a) or (b) would be as confident. A new label's confidence is its posterior. With `agree`, no
    posterior counts as confident where `posteriors` and `probabilities` have different arg-max classes.
    """
    background = posteriors[:, 0]
    strongest, winner = posteriors[:, 1:].max(1)
    unknown, is_background = labels == IGNORE, labels == 0
    is_class = ~(unknown | is_background)
    best = posteriors.argmax(1)
    settled = (probabilities.argmax(1) == best) | (not settings.agree)
    sure_background, sure_class = settled & (background > settings.tau_bg), settled & (strongest > settings.tau_fg)
    to_background = is_class & sure_background & settings.overrule
    to_class = is_background & sure_class & settings.overrule
    other = (is_background | is_class) & (best != labels)
    to_unsure = other & ~to_background & ~to_class & settings.overrule
    filled = unknown & (sure_background | sure_class) & settings.fill
    now_background = to_background | (filled & sure_background)
    now_class = to_class | (filled & sure_class)
    corrected = labels.masked_fill(now_background, 0).masked_fill(to_unsure, IGNORE)
    corrected = torch.where(now_class, (winner + 1).to(labels.dtype), corrected)
    confidence = torch.where(now_background, background, torch.where(now_class, strongest, confidence))
    return Relabelled(corrected, confidence.masked_fill(to_unsure, 0.0), to_background, to_class, to_unsure, filled)
