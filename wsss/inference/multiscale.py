"""Running a network on whole photos at several scales and mirrored, in batches of photos of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torch.nn import functional as F

from wsss.core.params import Settings
from wsss.data.index import Record

T = TypeVar("T")


class WholePhotoSettings(Settings):
    """How a network is run on whole photos."""

    scales: tuple[PositiveFloat, ...] = Field(min_length=1, description="relative to the photo")
    flip: bool = Field(description="the mean of each photo and its mirror image")
    batch: int = Field(ge=1, description="photos of one size that go through the network together")
    threads: int = Field(ge=1, description="CPU threads of each worker")
    shard_size: int = Field(ge=1, description="photos in one HDF5 file: the most that a killed run loses per worker")


def size_batches(records: Sequence[Record], batch: int) -> Iterator[list[Record]]:
    """Cut `records` into batches of photos of exactly one size, at most `batch` each.

    Exactly one size, because padding would change what the network sees at the border. Most photos of a data set share
    a few sizes. The result depends on the records alone.
    """
    buckets: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        buckets.setdefault((record.height, record.width), []).append(record)
    for bucket in buckets.values():
        for start in range(0, len(bucket), batch):
            yield bucket[start : start + batch]


def needs(section: str, batch: Sequence[Record]) -> tuple[str, str, str]:
    """What to say where a `batch` needs more memory than there is; `section`: its settings in params.yaml."""
    first, count = batch[0], len(batch)
    photos = "" if count == 1 else f" and {count - 1} more"
    doing = f"on {first.width}×{first.height} pixels ({first.id}{photos})"
    fix = f"lower {section}.batch" if count > 1 else f"lower the largest of {section}.scales, or shrink the photo"
    return section, doing, fix


def to_batch(images: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """N photos (H, W, 3) uint8 of one size → (N, 3, H, W) float32 0..255."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()


def over_scales(
    images: torch.Tensor, scales: Sequence[float], flip: bool, run: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Mean over scales and mirrored views of ``run(view)``, which maps (N', 3, h, w) → (N', C, gh, gw) of a fixed grid.

    Eq (2) of OSTE, averaged over {identity, flip} too. Photos and their mirror images of one scale are one batch.
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
            straight, mirrored = result.chunk(2)
            result = (straight + mirrored.flip(-1)) / 2
        total = result if total is None else total + result
    assert total is not None
    return total / len(scales)
