"""L_feat, stage 1: the student's features should have the direction of OSTE's. Our design after DKD-GC."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat
from torch.nn import functional as F

from wsss.distill.losses.base import Seen, StudentLoss
from wsss.distill.losses.grids import shrink, to_coarser
from wsss.losses.term import Term

EPS = 1e-3
"""Smallest norm that vectors are divided by: after a ReLU some norms are 0, and the gradient there is 1/norm."""


class FeatureLoss(StudentLoss):
    """Distance of the features, on the fine and on the coarse level."""

    names: ClassVar = ("feature_fine", "feature_coarse")
    needs: ClassVar = frozenset({"features", "oste"})

    weight: NonNegativeFloat = Field(default=0.2, description="factor of the loss in the sum of all losses")

    def terms(self, seen: Seen) -> dict[str, Term]:
        """One term per level."""
        assert seen.fine is not None
        assert seen.coarse is not None
        assert seen.oste_fine is not None
        assert seen.oste_coarse is not None
        return {
            "feature_fine": feature_distance(seen.fine, seen.oste_fine, seen.inside),
            "feature_coarse": feature_distance(seen.coarse, seen.oste_coarse, seen.inside),
        }


def feature_distance(student: torch.Tensor, teacher: torch.Tensor, inside: torch.Tensor) -> Term:
    """L_feat: mean of ``1 − cos`` between the two feature vectors of a position.

    `student` (N, C, h, w), already projected to the teacher's channels; `teacher` (N, C, h', w'); `inside` (N, H, W)
    bool, True on the photo. Weight: positions, each by the fraction of it that lies inside.
    """
    ours, theirs = to_coarser(student.float(), teacher.detach().float())
    weight = shrink(inside, ours)
    distance = 1 - F.cosine_similarity(ours, theirs, dim=1, eps=EPS)
    return Term((distance * weight).sum(), weight.sum())
