"""Location Expansion Module, Eqs (3)–(5) and (15) of OSTE: class maps of tiles, put back at their places.

Every tile shows the network less context, so that it must find evidence on parts of an object it otherwise passes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator

from wsss.core.params import Settings

Merge = Literal["mean", "sum"]
TileTarget = Literal["merged", "per_tile", "tile_max"]


class ExpansionSettings(Settings):
    """The location expansion module."""

    enabled: bool = Field(default=True, description="compute tiled class maps")
    tilings: tuple[Annotated[int, Field(ge=2, le=64)], ...] = Field(
        default=(2, 4), min_length=1, description="n of Eqs (3), (4): each cuts the photo into n × n tiles"
    )
    merge: Merge = Field(default="mean", description="Eq (5): mean keeps the scale of the maps; sum is the paper's")
    cls: TileTarget = Field(
        default="merged",
        description="Eq (15) classifies merged: the re-assembled map; per_tile: each tile; tile_max: the best tile",
    )

    @field_validator("tilings")
    @classmethod
    def _distinct(cls, tilings: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(tilings)) < len(tilings):
            raise ValueError("each tiling once")
        return tilings


def split_tiles(images: torch.Tensor, n: int) -> torch.Tensor:
    """Eqs (3), (4): cut into n × n tiles, row by row. (N, C, H, W) → (N·n², C, H/n, W/n).

    Raises `ValueError` unless n divides H and W; `pad_to_multiple` sees to that.
    """
    batch, channels, height, width = images.shape
    if height % n or width % n:
        raise ValueError(f"cannot cut {height}×{width} into {n}×{n} equal tiles")
    tiles = images.reshape(batch, channels, n, height // n, n, width // n).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(batch * n * n, channels, height // n, width // n)


def join_tiles(tiles: torch.Tensor, n: int) -> torch.Tensor:
    """Inverse of `split_tiles`, exactly. (N·n², K, h, w) → (N, K, n·h, n·w)."""
    count, channels, height, width = tiles.shape
    grid = tiles.reshape(count // (n * n), n, n, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(count // (n * n), channels, n * height, n * width)


def pad_to_multiple(images: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple[int, int]]:
    """Reflect at the right and the bottom, up to the next multiple. (N, C, H, W) → (N, C, H', W'), (H, W).

    Goes to and fro as often as needed; torch's own reflection refuses to pad by the image's size or more.
    """
    height, width = images.shape[-2:]
    for axis, size in ((-2, height), (-1, width)):
        if size % multiple:
            images = images.index_select(axis, _reflected(size, -(-size // multiple) * multiple, images.device))
    return images, (height, width)


def _reflected(size: int, length: int, device: torch.device) -> torch.Tensor:
    """Indices 0 1 … size−1 size−2 … 1 0 1 … of the given length; the edge is not repeated."""
    period = max(1, 2 * (size - 1))
    steps = torch.arange(length, device=device) % period
    return torch.minimum(steps, period - steps) if size > 1 else torch.zeros_like(steps)


def tiled_maps(images: torch.Tensor, n: int, stride: int, run: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Class maps of the n × n tiles, re-assembled: M^{1/n} before ReLU. (N, 3, H, W) → (N, K, ⌈H/stride⌉, ⌈W/stride⌉).

    `run` maps (N', 3, h, w) → (N', K, ⌈h/stride⌉, ⌈w/stride⌉) and is called once, with all tiles of all photos. Each
    tile is a multiple of `stride`, so its map covers the tile and nothing else, and lands on the photo's own grid.
    """
    padded, (height, width) = pad_to_multiple(images, n * stride)
    maps = join_tiles(run(split_tiles(padded, n)), n)
    return maps[..., : -(-height // stride), : -(-width // stride)]


def merge_maps(maps: Sequence[torch.Tensor], merge: Merge) -> torch.Tensor:
    """Eq (5): M^merge of the tilings' activated maps, each (N, K, h, w) ≥ 0 → (N, K, h, w)."""
    stacked = torch.stack(tuple(maps))
    return stacked.mean(0) if merge == "mean" else stacked.sum(0)


def tile_logits(maps: torch.Tensor, n: int, cls: TileTarget) -> torch.Tensor:
    """Logits that Eq (15) compares with the photo's tags, from class scores (before ReLU) of `tiled_maps`.

    `maps`: (N, K, h, w). merged: mean of the whole map, (N, K). per_tile: mean of each tile, (N·n², K), photo by photo
    and row by row; it blames every tile that lacks the object. tile_max: the largest of the tile means, (N, K).
    The last two need n to divide h and w (`ValueError`), hence crops that are multiples of n · stride.
    """
    if cls == "merged":
        return maps.mean((2, 3))
    means = split_tiles(maps, n).mean((2, 3))
    return means if cls == "per_tile" else means.reshape(len(maps), n * n, -1).amax(1)
