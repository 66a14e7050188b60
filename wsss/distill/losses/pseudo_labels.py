"""L_seg: cross-entropy on the pseudo-labels, background and foreground balanced, Eq (17) of OSTE."""

from __future__ import annotations

from typing import ClassVar

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
        weights = seen.confidence if self.confidence else seen.confidence.new_ones(seen.confidence.shape)
        halves = balanced_cross_entropy(seen.logits, seen.labels, weights)
        return dict(zip(self.names, halves, strict=True))
