"""Pseudo-labels corrected by posteriors while a student trains. Tensors in, tensors out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field

from wsss.core.params import Settings
from wsss.data.index import IGNORE


class RelabelSettings(Settings):
    """How sure a posterior has to be to overrule a pseudo-label."""

    enabled: bool = Field(description="correct the pseudo-labels with the teacher's predictions")
    tau_bg: float = Field(ge=0.5, lt=1, description="background posterior above which a class becomes background")
    tau_fg: float = Field(ge=0.5, lt=1, description="posterior above which background becomes that class")


class Relabelled(NamedTuple):
    """`labels` (N, H, W) uint8 and `confidence` (N, H, W) float32; where each rule has acted, (N, H, W) bool."""

    labels: torch.Tensor
    confidence: torch.Tensor
    to_background: torch.Tensor
    to_class: torch.Tensor
    to_unsure: torch.Tensor


def relabel(
    labels: torch.Tensor, confidence: torch.Tensor, posteriors: torch.Tensor, settings: RelabelSettings
) -> Relabelled:
    """The three rules of the label correction, with posteriors of any origin.

    `labels`: (N, H, W) uint8, 0..K and 255; `confidence`: (N, H, W) float in [0, 1]; `posteriors`: (N, K+1, H, W) in
    [0, 1], 0 for classes that are not in the photo. (a) a class where background is surer than `tau_bg` becomes
    background; (b) background where a class is surer than `tau_fg` becomes that class; (c) any other label that is not
    the most probable one becomes 255. Labels of 255 stay. A new label's confidence is its posterior.
    """
    background = posteriors[:, 0]
    strongest, winner = posteriors[:, 1:].max(1)
    is_background, is_class = labels == 0, (labels != 0) & (labels != IGNORE)
    to_background = is_class & (background > settings.tau_bg)
    to_class = is_background & (strongest > settings.tau_fg)
    other = (is_background | is_class) & (posteriors.argmax(1) != labels)
    to_unsure = other & ~to_background & ~to_class
    corrected = labels.masked_fill(to_background, 0).masked_fill(to_unsure, IGNORE)
    corrected = torch.where(to_class, (winner + 1).to(labels.dtype), corrected)
    confidence = torch.where(to_background, background, torch.where(to_class, strongest, confidence))
    return Relabelled(corrected, confidence.masked_fill(to_unsure, 0.0), to_background, to_class, to_unsure)
