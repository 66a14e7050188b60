"""L_cam, stage 2: the student's class probabilities should equal OSTE's CAMs. Our design after DKD-GC."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat

from wsss.distill.losses.base import Seen, StudentLoss
from wsss.distill.losses.grids import shrink, to_coarser
from wsss.losses.cams import normalise
from wsss.losses.term import Term


class CamLoss(StudentLoss):
    """Distance from OSTE's CAMs."""

    names: ClassVar = ("cam",)
    needs: ClassVar = frozenset({"oste"})

    weight: NonNegativeFloat = Field(default=0.1, description="factor of the loss in the sum of all losses")

    def terms(self, seen: Seen) -> dict[str, Term]:
        """Over the classes that the photo is tagged with."""
        assert seen.oste_cams is not None
        return {"cam": cam_distance(seen.logits, seen.oste_cams, seen.tags, seen.inside)}


def cam_distance(student: torch.Tensor, cams: torch.Tensor, tags: torch.Tensor, inside: torch.Tensor) -> Term:
    """L_cam: mean of ``| P_k − norm(M̂_k) |`` over the photo's classes and positions.

    `student`: (N, K+1, h, w) logits; `cams`: (N, K, h', w') ≥ 0, divided by their maximum here; `tags`: (N, K) in
    {0, 1}; `inside`: (N, H, W) bool. Weight: Σ tags · positions inside; a photo without tags has weight 0.
    """
    ours, theirs = to_coarser(student.float().softmax(1)[:, 1:], normalise(cams.detach().float()))
    weight = shrink(inside, ours)[:, None] * tags.float()[:, :, None, None]
    return Term(((ours - theirs).abs() * weight).sum(), weight.sum())
