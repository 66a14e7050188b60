"""L_kl, stage 2: the student's predictions should match a teacher's where it is confident. Our design after DKD-GC."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch.nn import functional as F

from wsss.distill.losses.base import Seen, StudentLoss
from wsss.distill.losses.grids import shrink, to_coarser
from wsss.losses.term import Term

NEVER = -1e4
"""Logit of a class that is not in the photo. Minus infinity would give 0 · ∞ in the divergence."""


class KlLoss(StudentLoss):
    """Divergence from a teacher's predictions, which are limited to the photo's tags."""

    names: ClassVar = ("kl",)
    needs: ClassVar = frozenset({"predictions"})

    weight: NonNegativeFloat = Field(default=0.3, description="factor of the loss in the sum of all losses")
    temperature: PositiveFloat = Field(default=2.0, description="T, by which the logits of both sides are divided")
    teacher: Literal["frozen", "mutual"] = Field(
        default="frozen",
        description="whose predictions: frozen: those of OSTE's segmentation branch; mutual: those of a second student "
        "that is trained at the same time",
    )

    def terms(self, seen: Seen) -> dict[str, Term]:
        """Each position weighted by the teacher's confidence."""
        assert seen.predictions is not None
        target = present_only(seen.predictions, seen.tags)
        return {"kl": confident_kl(seen.logits, target, self.temperature, seen.inside)}


def confident_kl(student: torch.Tensor, teacher: torch.Tensor, temperature: float, inside: torch.Tensor) -> Term:
    """L_kl: ``T² · KL(softmax(teacher / T) ‖ softmax(student / T))``, positions weighted by the teacher's confidence.

    `student` (N, K+1, h, w) and `teacher` (N, K+1, h', w') logits; `inside` (N, H, W) bool. Confidence is the teacher's
    largest probability at T = 1. Weight: the sum of confidences. T² keeps the gradient's size when T changes.
    """
    ours, theirs = to_coarser(student.float(), teacher.detach().float())
    weight = theirs.softmax(1).amax(1) * shrink(inside, ours)
    target = (theirs / temperature).log_softmax(1)
    divergence = (target.exp() * (target - (ours / temperature).log_softmax(1))).sum(1)
    return Term(temperature**2 * (divergence * weight).sum(), weight.sum())


def present_only(logits: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
    """Logits (N, K+1, h, w) with probability 0 for classes that `tags` (N, K) in {0, 1} say are not in the photo."""
    absent = F.pad(tags == 0, (1, 0), value=False)
    return logits.masked_fill(absent[:, :, None, None], NEVER)
