"""Dense Gaussian energy, Eqs (18)–(21) of OSTE: similar pixels close to each other should have one label."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat
from torch.nn import functional as F

from wsss.core.params import Settings, unit
from wsss.data.index import IGNORE
from wsss.losses.gaussian import gaussian_filter
from wsss.losses.term import Term
from wsss.numeric.device import cell_means


class EnergySettings(Settings):
    """The dense energy loss."""

    enabled: bool = Field(default=True, description="add this loss")
    sigma_xy: PositiveFloat = Field(
        default=100, description="σ_d of Eq (19): reach, in the full-size crop", json_schema_extra=unit("pixels")
    )
    sigma_rgb: PositiveFloat = Field(
        default=15, description="σ_r of Eq (19): tolerance of colour", json_schema_extra=unit("0..255")
    )
    stride: int = Field(
        default=4, ge=1, description="side of one cell of the grid it is computed on", json_schema_extra=unit("pixels")
    )
    gate: Literal["soft", "none"] = Field(
        default="soft", description="soft: labelled pixels count by 1 − their largest probability; none: all count by 1"
    )


def dense_energy(
    logits: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: EnergySettings,
    inside: torch.Tensor | None = None,
) -> Term:
    """Eqs (18)–(21) for a batch, on the grid ⌈H/stride⌉ × ⌈W/stride⌉.

    `logits`: (N, C, h, w) float of any grid; `images`: (N, 3, H, W) 0..255; `labels`: (N, H, W) integer, 255 where
    nothing is known; `inside`: (N, H, W) bool, False where a crop reaches beyond its photo (None: nowhere). Logits are
    brought to the grid bilinearly and become probabilities there; a cell has the mean colour of its pixels and the
    label at its centre, and is weighted by the fraction of it that is photo. Weight: the sum of these fractions, so
    that neither the size of the crop nor the number of labelled pixels changes what a weight of this loss means.
    """
    height, width = images.shape[-2:]
    size = (-(-height // settings.stride), -(-width // settings.stride))
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if scores.shape[-2:] != size:
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False, antialias=True)
    probabilities = scores.softmax(1)
    features = pixel_features(images.to(scores.dtype), size, settings.sigma_xy, settings.sigma_rgb)
    gate = torch.ones_like(probabilities[:, 0]) if settings.gate == "none" else soft_gate(probabilities, labels)
    share = None if inside is None else cell_means(inside[:, None].to(scores.dtype), size)[:, 0]
    return potts_energy(probabilities, features, gate, share)


def pixel_features(images: torch.Tensor, size: tuple[int, int], sigma_xy: float, sigma_rgb: float) -> torch.Tensor:
    """The feature vectors of Eq (19): f_i = (y/σ_d, x/σ_d, r/σ_r, g/σ_r, b/σ_r). (N, 3, H, W) 0..255 → (N, h·w, 5).

    Positions are the cells' centres in pixels of the *full-size* image, hence σ_d holds at every resolution.
    """
    colours = cell_means(images, size) / sigma_rgb
    rows, columns = (
        (torch.arange(cells, device=images.device, dtype=images.dtype) + 0.5) * (pixels / cells / sigma_xy)
        for cells, pixels in zip(size, images.shape[-2:], strict=True)
    )
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(images), -1, -1, -1)
    features = torch.cat([grid, colours], 1).flatten(2).mT
    # Only differences matter, and around zero they lose the fewest digits.
    return features - features.mean(1, keepdim=True)


def soft_gate(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """1 on unlabelled cells, max(0, 1 − max_k P_k) on labelled ones; carries no gradient.

    A labelled cell that is confident of its class is left to the cross-entropy. With a gradient through the gate,
    raising the largest probability would lower the loss. (N, C, h, w), (N, H, W) → (N, h, w) in [0, 1].
    """
    size = probabilities.shape[-2:]
    rows, columns = (
        ((torch.arange(cells, device=labels.device) + 0.5) * (pixels / cells)).long()
        for cells, pixels in zip(size, labels.shape[-2:], strict=True)
    )
    unlabelled = labels[:, rows][:, :, columns] == IGNORE
    unsure = (1 - probabilities.detach().amax(1)).clamp_min(0)
    return torch.where(unlabelled, torch.ones_like(unsure), unsure)


def potts_energy(
    probabilities: torch.Tensor, features: torch.Tensor, gate: torch.Tensor, share: torch.Tensor | None = None
) -> Term:
    """Eq (18): ``Σ_i γ_i Σ_{j≠i} G(i,j) [1 − Σ_k P_k(i) P_k(j)]``, G(i,j) = K(i,j) / W(i), W(i) = Σ_j K(i,j).

    `probabilities`: (N, C, h, w), the only input that gets a gradient; `features`: (N, h·w, 5) of `pixel_features`;
    `gate` γ: (N, h, w), weights the pixel i of the outer sum, not its neighbours j: a labelled, confident pixel adds no
    energy of its own but still attracts its unlabelled neighbours. `share` s: (N, h, w) in [0, 1], the fraction of a
    pixel that is photo (None: all of each); it multiplies γ_i and K(i,j) as i and as j. Weight: Σ_i s_i, which is N·h·w
    without `share`.

    K(i,i) is part of W(i) and left out of the sum over j. So a pixel that resembles no other adds almost no energy.
    Normalised over j ≠ i, it would follow the least dissimilar pixel at full weight. With (KP)(i) = Σ_j K(i,j) P(j) the
    inner sum is ``[W(i) − K(i,i) − P(i)·((KP)(i) − K(i,i) P(i))] / W(i)``. That is ≥ 0 for every K ≥ 0, the lattice's
    too, as long as K(i,i) is the diagonal of the same K.
    """
    # One copy in the filter's layout, because otherwise each operation below would read it with strides.
    p = probabilities.flatten(2).mT.contiguous()
    gate, given = gate.flatten(1), F.pad(p, (0, 1), value=1.0)
    weight = torch.tensor(float(gate.numel()), device=p.device)
    if share is not None:
        share = share.flatten(1)
        gate, given, weight = gate * share, given * share[..., None], share.sum()
    gathered, own = gaussian_filter(features, given)
    if share is not None:
        own = own * share
    agreement, norm = gathered[..., :-1], gathered[..., -1].detach()
    disagreement = norm - own - (p * (agreement - own[..., None] * p)).sum(-1)
    # A pixel outside the photo may resemble nothing in it: 0 / 0, for a pixel of weight 0.
    total = (gate / norm.clamp_min(torch.finfo(norm.dtype).tiny) * disagreement).sum()
    return Term(total, weight)
