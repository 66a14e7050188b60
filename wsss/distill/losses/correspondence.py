"""L_corr, stage 1: pixels with similar OSTE features should get similar predictions. Our design after DKD-GC."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat
from torch.nn import functional as F

from wsss.core.params import unit
from wsss.distill.losses.base import Seen, StudentLoss
from wsss.distill.losses.features import EPS
from wsss.distill.losses.grids import shrink, to_coarser
from wsss.losses.term import Term

POINTS = 2
"""Key of the generator of pixel pairs, in addition to (seed, epoch, photo number)."""


class CorrespondenceLoss(StudentLoss):
    """Agreement of pairs of pixels."""

    names: ClassVar = ("corr",)
    needs: ClassVar = frozenset({"oste"})

    weight: NonNegativeFloat = Field(default=0.1, description="factor of the loss in the sum of all losses")
    points: int = Field(
        default=64,
        ge=2,
        le=4096,
        description="places in each of the two sets of a photo; all pairs between the sets count",
        json_schema_extra=unit("pixels"),
    )

    def terms(self, seen: Seen) -> dict[str, Term]:
        """Over pairs of pixels that are drawn anew for each crop."""
        assert seen.oste_coarse is not None
        points = draw_points(seen.keys, self.points)
        return {"corr": correspondence(seen.logits.float().softmax(1), seen.oste_coarse, points, seen.inside)}


def draw_points(keys: tuple[tuple[int, int, int], ...], count: int) -> torch.Tensor:
    """(N, 2, count, 2) float64 in [0, 1), keyed by (seed, epoch, photo): a photo gets the same ones on any process."""
    drawn = [np.random.default_rng((*key, POINTS)).random((2, count, 2)) for key in keys]
    return torch.from_numpy(np.stack(drawn))


def correspondence(
    predictions: torch.Tensor, features: torch.Tensor, points: torch.Tensor, inside: torch.Tensor
) -> Term:
    """L_corr: ``−max(0, c)·(f − mean f)`` over pairs of pixels of one photo, the form of STEGO and TSCD.

    c is the cosine of two pixels' `predictions` (N, C, h, w), f that of the teacher's `features` (N, D, h', w') there.
    Pixels whose features are more similar than the photo's average pair should get similar predictions, others not.
    `points`: (N, 2, P, 2) float64 in [0, 1), two sets of P places (y, x) as fractions of height and width; all P·P
    pairs between them count. They stay on the CPU: not every GPU has float64. `inside`: (N, H, W) bool. Weight: pairs,
    each by the fraction of its two cells that lies inside.
    """
    maps = to_coarser(predictions.float(), features.detach().float())
    height, width = maps[0].shape[-2:]
    rows = (points[..., 0] * height).long().clamp_max(height - 1)
    places = rows * width + (points[..., 1] * width).long().clamp_max(width - 1)
    places = places.to(predictions.device)
    c, f = (_pair_cosines(map_, places) for map_ in maps)
    cells = shrink(inside, maps[0]).flatten(1)
    weight = cells.gather(1, places[:, 0])[:, :, None] * cells.gather(1, places[:, 1])[:, None]
    total = weight.sum((1, 2), keepdim=True)
    mean = (weight * f).sum((1, 2), keepdim=True) / total.clamp_min(torch.finfo(total.dtype).tiny)
    return Term(-(weight * c.clamp_min(0) * (f - mean)).sum(), weight.sum())


def _pair_cosines(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w), (N, 2, P) numbers of cells → (N, P, P) cosines between the first and the second set."""
    vectors = F.normalize(maps, dim=1, eps=EPS).flatten(2)
    first, second = (vectors.gather(2, places[:, None, side].expand(-1, maps.shape[1], -1)) for side in (0, 1))
    return first.mT @ second
