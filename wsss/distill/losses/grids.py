"""Brings maps of two networks to one grid: the coarser one, so that no values between cells are interpolated."""

from __future__ import annotations

import torch

from wsss.numeric.device import cell_means


def to_coarser(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both maps on the grid that is coarser in each direction, by averaging cells. (N, C, h, w), (N, D, h', w')."""
    size = (min(first.shape[-2], second.shape[-2]), min(first.shape[-1], second.shape[-1]))
    return _means(first, size), _means(second, size)


def shrink(inside: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """(N, H, W) bool → the fraction of each cell of `maps` (N, C, h, w) that is True: (N, h, w) float32."""
    return _means(inside.float(), (maps.shape[-2], maps.shape[-1]))


def _means(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return maps if maps.shape[-2:] == size else cell_means(maps, size)
