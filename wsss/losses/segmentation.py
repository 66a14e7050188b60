"""Pixel losses against pseudo-labels, in which 255 means ignored."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from wsss.data.index import IGNORE
from wsss.losses.term import Term


def balanced_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor) -> tuple[Term, Term]:
    """Cross-entropy over background pixels and, separately, over foreground pixels: Eq (17) of OSTE.

    Background covers most of a photo; in one common mean, a student that predicts only background would score well.
    `logits`: (N, K+1, h, w) float, brought to the labels' size bilinearly; `labels`: (N, H, W) integer, 0..K or 255;
    `confidence`: (N, H, W) in [0, 1], the weight of each pixel. Ignored pixels weigh exactly 0, so a crop without
    labelled pixels gives totals and gradients of exactly 0 and never NaN.
    """
    scores = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=False)
    loss = F.cross_entropy(scores, labels.long(), ignore_index=IGNORE, reduction="none")
    background = confidence * (labels == 0)
    foreground = confidence * ((labels != 0) & (labels != IGNORE))
    return Term((loss * background).sum(), background.sum()), Term((loss * foreground).sum(), foreground.sum())
