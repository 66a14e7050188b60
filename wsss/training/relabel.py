"""Pseudo-labels corrected by posteriors while a student trains. Tensors in, tensors out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field

from wsss.core.params import Settings
from wsss.data.index import IGNORE
from wsss.pseudo.crf import CrfSettings

CHANGES = ("to_background", "to_class", "to_unsure", "filled")
"""What the rules (a), (b), (c) and (e) do to a pixel."""


class RuleSettings(Settings):
    """How sure a posterior has to be to overrule a pseudo-label."""

    tau_bg: float = Field(ge=0.5, lt=1, description="background posterior above which a class becomes background")
    tau_fg: float = Field(ge=0.5, lt=1, description="posterior above which background becomes that class")
    overrule: bool = Field(description="rules (a)–(c): change labels that are there")
    fill: bool = Field(description="rule (e): where there is no label, take what the posterior is sure of")
    agree: bool = Field(description="with rule (d): where the CRF has moved the predicted class, nothing is sure")
    crf: CrfSettings = Field(description="rule (d): dense CRF on the predictions, so that borders follow the photo")


class RelabelSettings(RuleSettings):
    """The same in every training step."""

    enabled: bool = Field(description="correct the pseudo-labels with the teacher's predictions")


class Relabelled(NamedTuple):
    """`labels` (N, H, W) uint8 and `confidence` (N, H, W) float32; where each rule has acted, (N, H, W) bool."""

    labels: torch.Tensor
    confidence: torch.Tensor
    to_background: torch.Tensor
    to_class: torch.Tensor
    to_unsure: torch.Tensor
    filled: torch.Tensor


def relabel(
    labels: torch.Tensor,
    confidence: torch.Tensor,
    shares: torch.Tensor,
    posteriors: torch.Tensor,
    settings: RuleSettings,
) -> Relabelled:
    """The rules of the label correction, with posteriors of any origin.

    `labels`: (N, H, W) uint8, 0..K and 255; `confidence`: (N, H, W) float in [0, 1]; `shares`: (N, K+1, H, W) in
    [0, 1], what a network has predicted, 0 for classes that are not in the photo; `posteriors`: what the dense CRF,
    rule (d), has made of it, or the same. (a) a class where background is surer than `tau_bg` becomes background; (b)
    background where a class is surer than `tau_fg` becomes that class; (c) any other label that is not the most
    probable one becomes 255; none of these without `overrule`. (e) with `fill`, 255 becomes background or a class if
    that is as sure as (a) or (b) want it, else it stays. A new label's confidence is its posterior. With `agree`,
    nothing is sure where `posteriors` and `shares` name different classes.
    """
    background = posteriors[:, 0]
    strongest, winner = posteriors[:, 1:].max(1)
    unknown, is_background = labels == IGNORE, labels == 0
    is_class = ~(unknown | is_background)
    best = posteriors.argmax(1)
    settled = (shares.argmax(1) == best) | (not settings.agree)
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
