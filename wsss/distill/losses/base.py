"""Base class of the losses of the student: a settings class that names its inputs and computes its terms.

To add one, write a file beside this one and add it as a field of `StageOne`, `StageTwo` or `DistillSettings` in
`distill.settings`, with `enabled` false by default, so that no recipe changes. `wsss.losses` holds what OSTE uses too.

Shapes: N crops of H×W pixels, K classes without background; grids h×w differ from map to map.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat

from wsss.core.params import Settings
from wsss.losses.term import Term

Need = Literal["features", "oste", "predictions"]
"""`features`: the student's, projected to OSTE's channels; `oste`: one pass of OSTE; `predictions`: a teacher's logits.
What no active loss needs is not computed."""


@dataclass(frozen=True)
class Seen:
    """The inputs of the losses in one step. Parts that no loss needs are None.

    Of the batch: `images` (N, 3, H, W) float 0..255; `labels` (N, H, W) uint8, 255 = ignored; `confidence` (N, H, W)
    float in [0, 1]; `inside` (N, H, W) bool, False where a crop reaches beyond its photo; `tags` (N, K) in {0, 1};
    `keys`: (seed, epoch, photo number) of each crop, for random numbers that are the same on any process.
    Of the student: `logits` (N, K+1, h, w); `tag_logits` (N, K); `fine` and `coarse` features (N, C, h, w).
    Of OSTE, without gradient: `oste_fine` and `oste_coarse` (N, C, h, w), `oste_cams` (N, K, h, w) ≥ 0.
    Of a teacher, without gradient: `predictions`, logits (N, K+1, h, w).
    """

    images: torch.Tensor
    labels: torch.Tensor
    confidence: torch.Tensor
    inside: torch.Tensor
    tags: torch.Tensor
    keys: tuple[tuple[int, int, int], ...]
    logits: torch.Tensor
    tag_logits: torch.Tensor | None = None
    fine: torch.Tensor | None = None
    coarse: torch.Tensor | None = None
    oste_fine: torch.Tensor | None = None
    oste_coarse: torch.Tensor | None = None
    oste_cams: torch.Tensor | None = None
    predictions: torch.Tensor | None = None


class StudentLoss(Settings):
    """A loss of the student. `names`: its terms, which are columns of the history; `needs`: what has to be computed."""

    names: ClassVar[tuple[str, ...]]
    needs: ClassVar[frozenset[Need]] = frozenset()

    enabled: bool = Field(default=True, description="add this loss")
    weight: NonNegativeFloat = Field(default=1.0, description="factor of the loss in the sum of all losses")

    @abstractmethod
    def terms(self, seen: Seen) -> dict[str, Term]:
        """A `Term` for each of `names`, with a gradient only to the student."""
