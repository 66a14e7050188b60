"""L_tags: the student learns the photo's tags as well, and its masks heed what it takes for them."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from wsss.distill.losses.base import Seen, StudentLoss
from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.term import Term


class TagLoss(StudentLoss):
    """Classification of the photo's tags."""

    names: ClassVar = ("tags",)

    enabled: bool = Field(default=False, description="learn the photo's tags as well; masks heed them")
    threshold: float = Field(default=0.1, gt=0, lt=1, description="less probable classes are left out of masks")
    exponent: float = Field(
        default=1.0,
        ge=0,
        description="in masks, the odds of a class at each pixel are multiplied with its probability in the whole "
        "photo to this power; 0: they stay as they are",
    )

    def terms(self, seen: Seen) -> dict[str, Term]:
        """Binary cross-entropy of every class that the crop tells of: one the photo is not tagged with, or one that
        labels show in the crop. The tags are of the whole photo, and a crop may miss what they name.
        """
        assert seen.tag_logits is not None
        found = torch.stack([(seen.labels == k).flatten(1).any(1) for k in range(1, seen.tags.shape[1] + 1)], 1)
        return {"tags": multilabel_soft_margin(seen.tag_logits, seen.tags, found | (seen.tags == 0))}
