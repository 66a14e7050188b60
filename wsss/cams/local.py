"""What a position of a photo looks like by itself: the backbone's levels before the last stage.

The last stage knows what is elsewhere in the photo, and a class's score there is raised in every position of a photo
that shows the class. These levels see little more than the position.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from wsss.models.backbones.base import Level
from wsss.models.fusion import balance, resize

LEVELS = 2
"""c3 and c4 of a network with stages c2 to c5."""


def local_levels(levels: Sequence[Level]) -> list[int]:
    """Numbers of the levels, from the finest; of a backbone with one stage, that stage."""
    stages = [number for number, level in enumerate(levels) if level.name != "head"]
    return stages[:-1][-LEVELS:] or stages


def local_maps(features: Sequence[torch.Tensor], numbers: Sequence[int], grid: tuple[int, int]) -> list[torch.Tensor]:
    """The levels `numbers` of `features` (N, C, h', w') on `grid` = (h, w), float32."""
    return [resize(features[number].float(), grid) for number in numbers]


def directions(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """One vector of length 1 for each position, (N, h·w, C): all levels with equal weight, the photo's mean removed."""
    together = torch.cat([balance(level) for level in maps], 1).flatten(2).mT
    return F.normalize(together, dim=-1)
