"""Dense Gaussian energy, Eqs (18)–(21) of OSTE: pixels that look alike and lie close should have one label."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, PositiveFloat
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from wsss.core.params import Settings
from wsss.data.index import IGNORE
from wsss.losses.term import Term

ALIGNMENT = 8
"""Attention kernels, on CPU and GPU, are fast where the length of a vector is a multiple of this."""


class EnergySettings(Settings):
    """The dense energy loss."""

    enabled: bool = Field(description="add the loss at all")
    sigma_xy: PositiveFloat = Field(description="σ_d of Eq (19): reach in pixels of the full-size crop")
    sigma_rgb: PositiveFloat = Field(description="σ_r of Eq (19): tolerance of colour, 0..255")
    stride: int = Field(ge=1, description="evaluated on one cell for so many pixels of the crop in each direction")
    gate: Literal["soft", "none"] = Field(description="soft: labelled pixels count by 1 − their largest probability")


def dense_energy(logits: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, settings: EnergySettings) -> Term:
    """Eqs (18)–(21) for a batch, on the grid ⌈H/stride⌉ × ⌈W/stride⌉.

    `logits`: (N, C, h, w) float of any grid; `images`: (N, 3, H, W) 0..255; `labels`: (N, H, W) integer, 255 where
    nothing is known. Logits are brought to the grid bilinearly and become probabilities there; a cell has the mean
    colour of its pixels and the label at its centre. Weight: N · cells, so that neither the size of the crop nor the
    number of labelled pixels changes what a weight of this loss means.
    """
    height, width = images.shape[-2:]
    size = (-(-height // settings.stride), -(-width // settings.stride))
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if scores.shape[-2:] != size:
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False, antialias=True)
    probabilities = scores.softmax(1)
    features = pixel_features(images.to(scores.dtype), size, settings.sigma_xy, settings.sigma_rgb)
    if settings.gate == "none":
        return potts_energy(probabilities, features, torch.ones_like(probabilities[:, 0]))
    return potts_energy(probabilities, features, soft_gate(probabilities, labels))


def pixel_features(images: torch.Tensor, size: tuple[int, int], sigma_xy: float, sigma_rgb: float) -> torch.Tensor:
    """What Eq (19) compares: f_i = (y/σ_d, x/σ_d, r/σ_r, g/σ_r, b/σ_r). (N, 3, H, W) 0..255 → (N, h·w, 5).

    Positions are the cells' centres in pixels of the *full-size* image, hence σ_d holds at every resolution.
    """
    colours = F.interpolate(images, size, mode="area") / sigma_rgb
    rows, columns = (
        (torch.arange(cells, device=images.device, dtype=images.dtype) + 0.5) * (pixels / cells / sigma_xy)
        for cells, pixels in zip(size, images.shape[-2:], strict=True)
    )
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(images), -1, -1, -1)
    features = torch.cat([grid, colours], 1).flatten(2).mT
    # Only differences matter. Around zero they lose the fewest digits.
    return features - features.mean(1, keepdim=True)


def soft_gate(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """1 on unlabelled cells, max(0, 1 − max_k P_k) on labelled ones; carries no gradient.

    A cell that has a label and is sure of its class is the cross-entropy's business. Without the stop, raising the
    largest probability would be a way to lower the loss. (N, C, h, w), (N, H, W) → (N, h, w) in [0, 1].
    """
    size = probabilities.shape[-2:]
    rows, columns = (
        ((torch.arange(cells, device=labels.device) + 0.5) * (pixels / cells)).long()
        for cells, pixels in zip(size, labels.shape[-2:], strict=True)
    )
    unlabelled = labels[:, rows][:, :, columns] == IGNORE
    unsure = (1 - probabilities.detach().amax(1)).clamp_min(0)
    return torch.where(unlabelled, torch.ones_like(unsure), unsure)


def potts_energy(probabilities: torch.Tensor, features: torch.Tensor, gate: torch.Tensor) -> Term:
    """Eq (18): ``Σ_i γ_i Σ_{j≠i} G(i,j) [1 − Σ_k P_k(i) P_k(j)]``, G(i,j) = K(i,j) / W(i), W(i) = Σ_j K(i,j).

    `probabilities`: (N, C, h, w), the only input that gets a gradient; `features`: (N, h·w, 5) of `pixel_features`;
    `gate` γ: (N, h, w), belongs to the pixel i that looks around, not to the j it sees: a labelled, sure pixel pays
    nothing but still draws its unlabelled neighbours. Weight: N·h·w.

    K(i, i) = 1 is part of W(i) and left out of the sum over j. So a pixel that resembles no other one pays about
    nothing; normalised over j ≠ i it would follow its least distant stranger at full weight. With (KP)(i) =
    Σ_j K(i,j) P(j) the inner sum is ``[W(i) − 1 − P(i)·(KP)(i) + P(i)·P(i)] / W(i)``.
    """
    p = probabilities.flatten(2).mT
    gathered = gaussian_filter(features, torch.cat([p, torch.ones_like(p[..., :1])], -1))
    agreement, norm = gathered[..., :-1], gathered[..., -1].detach()
    disagreement = norm - 1 - (p * (agreement - p)).sum(-1)
    total = (gate.flatten(1) / norm * disagreement).sum()
    return Term(total, torch.tensor(float(gate.numel()), device=total.device))


def gaussian_filter(features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``K @ values`` with K(i,j) = exp(−|f_i − f_j|²/2), diagonal included, not normalised; exact.

    `features`: (N, P, D), without gradient; `values`: (N, P, C) → (N, P, C). Time grows with P², memory with P: from
    about 100×100 cells on a lattice is faster.
    """
    filtered: torch.Tensor = _GaussianFilter.apply(features, values)  # type: ignore[no-untyped-call]
    return filtered


class _GaussianFilter(torch.autograd.Function):
    """K is symmetric, so the gradient of ``K @ v`` in v is K @ gradient: the same filter once more, nothing stored.

    That covers the row-normalised G = diag(1/W) K, which is not symmetric: W does not depend on P, and autograd
    multiplies the gradient by γ/W before it comes here, i.e. it computes Gᵀ(γ x) = K (γ x / W) exactly.
    """

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(features)
        return _attend(features, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, _attend(ctx.saved_tensors[0], gradient)


def _attend(features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``K @ values`` by fused attention, which never holds the P×P matrix.

    With q_i = [f_i, 1, −|f_i|²/2] and k_j = [f_j, −|f_j|²/2, 1], q_i·k_j = −|f_i − f_j|²/2 is the logarithm of
    K(i,j). Softmax divides by the row sum; one more key, k = 0, has weight exp(0) = 1 in every row. So with the value
    1 in a channel of its own it returns 1 / (W(i) + 1), the factor by which all other channels are too small.
    """
    half = features.square().sum(-1, keepdim=True) / 2
    one = torch.ones_like(half)
    channels = values.shape[-1]
    # Fused kernels want vectors of one length for queries, keys and values.
    length = -(-max(channels + 1, features.shape[-1] + 2) // ALIGNMENT) * ALIGNMENT
    queries, keys = (
        F.pad(torch.cat([features, *ends], -1), (0, length - features.shape[-1] - 2))
        for ends in ((one, -half), (-half, one))
    )
    keys, payload = F.pad(keys, (0, 0, 0, 1)), F.pad(values, (0, length - channels, 0, 1))
    payload[:, -1, -1] = 1
    # In bfloat16 differences of squares as large as |f|² ≈ 300 would be noise.
    with torch.autocast(features.device.type, enabled=False):
        rows = F.scaled_dot_product_attention(queries[:, None], keys[:, None], payload[:, None], scale=1.0)[:, 0]
    return rows[..., :channels] / rows[..., -1:]
