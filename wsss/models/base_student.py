"""What every student is: a backbone and a head that segments, and tags that leave improbable classes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from wsss.models.backbones.base import Backbone

IMPROBABLE = -1e4
"""Logit of a class that the photo's tags rule out. Finite, because infinities interpolate to NaN."""


class StudentOutput(NamedTuple):
    """`logits` (N, K+1, h, w) on the head's grid, and the backbone's maps they were made from: `fine` (N, c, h, w) at
    stride ≥ 8, `coarse` (N, C, h', w') of the last stage. `tags` (N, K): class logits of whole photos, if the student
    tells them.
    """

    logits: torch.Tensor
    fine: torch.Tensor
    coarse: torch.Tensor
    tags: torch.Tensor | None


class BaseStudent(nn.Module, ABC):
    """A network that segments; a subclass sets the attributes and writes `look`.

    With a `tag_threshold` it tells the photo's tags as well, by `tags` from the mean of the last level: a few pixels
    look like many classes, a whole photo seldom does. At each pixel the odds of a class are multiplied with the
    probability of its tag to the power of `tag_exponent`, and classes below the threshold are left out of the masks.
    """

    backbone: Backbone
    tag_threshold: float | None
    tag_exponent: float
    tags: nn.Linear | None

    @abstractmethod
    def look(self, images: torch.Tensor) -> StudentOutput:
        """(N, 3, H, W) float 0..255 → logits of all classes and the maps that a teacher's can be compared with."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) float 0..255 → logits (N, K+1, h, w) after the tags; `IMPROBABLE` for classes they rule out."""
        return self.probable(self.look(images))

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """As `forward`, by the name that every network which segments has."""
        return self.probable(self.look(images))

    @property
    def segment_parts(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """For pieces of a photo: `segment` without the tags. None if it has none."""
        return None if self.tags is None else lambda images: self.look(images).logits

    def probable(self, seen: StudentOutput) -> torch.Tensor:
        """Logits of what was `seen` plus those of the photo's tags; `IMPROBABLE` for classes that these rule out."""
        if seen.tags is None or self.tag_threshold is None:
            return seen.logits
        logits = seen.logits
        if self.tag_exponent:
            # Against the background, which has no tag: a class that may not be there at all needs surer pixels.
            logits = logits + F.pad(self.tag_exponent * F.logsigmoid(seen.tags), (1, 0))[:, :, None, None]
        probable = F.pad(seen.tags.sigmoid() >= self.tag_threshold, (1, 0), value=True)
        return logits.masked_fill(~probable[:, :, None, None], IMPROBABLE)
