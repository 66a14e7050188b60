"""Losses between class activation maps: Eq (16) of OSTE, and the consistency that teaches the fusion module."""

from __future__ import annotations

import torch

from wsss.losses.term import Term

FLOOR = 0.1
"""Smallest peak that maps are divided by. Maps are scores, i.e. logits: below this a class has no evidence anywhere,
and stretching such a map to [0, 1] would multiply its gradient by 1/peak."""


def normalise(maps: torch.Tensor) -> torch.Tensor:
    """``norm`` of Eq (16): each map ≥ 0 divided by its maximum, gradient of the maximum included. (N, K, h, w).

    Included, because otherwise scaling a map up or down, which changes nothing, would seem to lower the loss.
    """
    return maps / maps.flatten(-2).amax(-1).clamp_min(FLOOR)[..., None, None]


def merge_consistency(merged: torch.Tensor, multiscale: torch.Tensor, tags: torch.Tensor) -> Term:
    """Eq (16), L_mae: mean of ``| norm(M^merge) − norm(M^MS) |`` over present classes and positions.

    `merged`, `multiscale`: (N, K, h, w) ≥ 0, both with gradient; `tags`: (N, K) in {0, 1}. Weight: Σ tags · h·w; a
    photo without tags has weight 0.
    """
    present = tags.float()
    distance = (normalise(merged.float()) - normalise(multiscale.float())).abs().sum((2, 3))
    height, width = merged.shape[-2:]
    return Term((distance * present).sum(), present.sum() * (height * width))


def ecr_loss(fused: torch.Tensor, original: torch.Tensor, tags: torch.Tensor, hardest: float) -> Term:
    """L_ecr: the fused maps should equal the original CAM where it is clear, over the hardest values.

    `fused` M̂ and `original`: (N, K, h, w) ≥ 0; `tags`: (N, K) in {0, 1}; `hardest` in (0, 1].
    1. Target: ``norm(original)`` of the present classes without gradient, gated: at each position only the largest
       of {background = 1 − max_k, present classes} keeps its value. Where background is largest, i.e. no class
       reaches 0.5, every class becomes 0. Of equal classes, both keep theirs.
    2. ``| norm(M̂) − target |`` for each present class and position; background itself, a function of the classes,
       is not compared a second time.
    3. Of each photo's |K+|·h·w values, the largest fraction `hardest` (rounded, at least one) is summed.
    Weight: the number of summed values. A photo without tags weighs nothing.
    """
    present = tags.float()[:, :, None, None]
    clear = normalise(original.detach().float()) * present
    strongest = clear.amax(1, keepdim=True)
    target = torch.where((clear >= strongest) & (strongest >= 1 - strongest), clear, torch.zeros_like(clear))
    # −1 sorts values of absent classes behind all others.
    distance = torch.where(present > 0, (normalise(fused.float()) - target).abs(), -1.0).flatten(1)
    positions = fused.shape[2] * fused.shape[3]
    counts = _share(tags.sum(1) * positions, hardest)
    most = max(1, round(hardest * distance.shape[1]))
    values, _ = distance.topk(most, 1)
    kept = torch.arange(most, device=values.device) < counts[:, None]
    return Term(torch.where(kept, values, 0.0).sum(), kept.sum().float())


def _share(available: torch.Tensor, share: float) -> torch.Tensor:
    """round(share · available), at least 1 where any is available. (N,) → (N,)."""
    # float64, where the device has it: the GPU of a Mac has none.
    exact = available if available.device.type == "mps" else available.double()
    return torch.minimum((share * exact).round().clamp_min(1), exact)
