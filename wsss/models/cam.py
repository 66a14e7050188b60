"""Class activation maps from class scores per position, and their normalisations. Pure tensor functions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

EPS = 1e-5


def activate(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Eq (1): ``Up(ReLU(maps))``, bilinear, to `size` = (h, w). `maps`: (N, K, h', w') → (N, K, h, w) float32 ≥ 0."""
    positive = maps.relu().to(torch.promote_types(maps.dtype, torch.float32))
    return F.interpolate(positive, size, mode="bilinear", align_corners=False)


def peaks(cams: torch.Tensor) -> torch.Tensor:
    """Maximum of each map. (…, h, w) → (…)."""
    return cams.flatten(-2).amax(-1)


def divide_by_peak(cams: torch.Tensor) -> torch.Tensor:
    """Each map divided by its maximum, into [0, 1]; a map without any activation stays 0. (…, h, w) → same."""
    return cams / peaks(cams).clamp_min(EPS)[..., None, None]
