"""A network's output averaged over test-time scales and horizontal flips. Eq (2) of OSTE."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import Field
from torch.nn import functional as F

from wsss.core.params import Scale, Settings, unit


class ScaleSettings(Settings):
    """The views of a whole photo that are averaged."""

    scales: tuple[Scale, ...] = Field(
        min_length=1, description="test-time scales that are averaged", json_schema_extra=unit("× the photo's size")
    )
    flip: bool = Field(default=True, description="average each photo and its horizontal flip")


def over_scales(
    images: torch.Tensor, scales: Sequence[float], flip: bool, run: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Mean over scales and flips of ``run(view)``, which maps (N', 3, h, w) → (N', C, gh, gw) of a fixed grid.

    Eq (2) of OSTE, averaged over {identity, flip} too. Photos and their flips at one scale form one batch.
    """
    height, width = images.shape[-2:]
    total: torch.Tensor | None = None
    for scale in scales:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        view = (
            images
            if size == (height, width)
            else F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=scale < 1)
        )
        result = run(torch.cat([view, view.flip(-1)]) if flip else view)
        if flip:
            straight, flipped = result.chunk(2)
            result = (straight + flipped.flip(-1)) / 2
        total = result if total is None else total + result
    assert total is not None
    return total / len(scales)
