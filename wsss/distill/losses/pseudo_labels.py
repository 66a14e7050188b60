"""L_seg: cross-entropy on the pseudo-labels, background and foreground balanced, Eq (17) of OSTE."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from wsss.distill.losses.base import Seen, StudentLoss
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term


class PseudoLabelLoss(StudentLoss):
    """Cross-entropy on the pseudo-labels."""

    names: ClassVar = ("seg_background", "seg_foreground")

    confidence: bool = Field(default=True, description="weight each pixel by the confidence of its pseudo-label")

    def terms(self, seen: Seen) -> dict[str, Term]:
        """Both halves, each a mean over its own pixels."""
        return self.of_pixels(seen.logits, seen.labels, seen.confidence)

    def of_pixels(self, logits: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor) -> dict[str, Term]:
        """`terms` of logits (N, K+1, h, w) on labels and their confidence (N, H, W)."""
        weights = confidence if self.confidence else confidence.new_ones(confidence.shape)
        halves = balanced_cross_entropy(logits, labels, weights)
        return dict(zip(self.names, halves, strict=True))
