"""Multilevel Activation Fusion, Eqs (6)–(8) of OSTE: spread class evidence along the similarity of features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from wsss.core.errors import UserError, did_you_mean
from wsss.core.params import Settings, unit
from wsss.models.backbones.base import Level
from wsss.numeric.device import cell_means

EPS = 1e-5
BLOCK = 2**19
"""Affinities held at a time, of the whole batch: 2 MiB stay in a processor's cache."""
BLOCK_GPU = 2**24
"""The same for a GPU, which wants few and large steps."""


class FusionSettings(Settings):
    """The multilevel activation fusion module."""

    enabled: bool = Field(default=True, description="fuse the levels")
    levels: tuple[str, ...] = Field(
        default=("c3", "c4", "c5"), min_length=1, description="names of the backbone's levels that are compared"
    )
    grid: Literal["coarsest", "finest", "cam"] = Field(
        default="coarsest", description="whose positions are compared: of the coarsest or finest level, or of the maps"
    )
    channels: int = Field(
        default=128, ge=1, le=8192, description="width of θ, Eq (6)", json_schema_extra=unit("channels")
    )
    tied: bool = Field(default=True, description="φ is θ, Eq (7); otherwise φ only starts as a copy of it")
    g: Literal["mean", "conv"] = Field(
        default="mean", description="g of Eq (8): mean: the merged maps as they are; conv: a learned 1×1 convolution"
    )
    loss: Literal["ecr", "none"] = Field(
        default="ecr", description="what teaches θ: ecr: consistency with the original CAM; none: nothing"
    )
    hardest: float = Field(
        default=0.2, gt=0, le=1, description="fraction of each photo's values that the consistency loss looks at"
    )


class Fusion(nn.Module):
    """M̂ of Eq (8) from the backbone's levels, M^merge and M^MS.

    Features are detached: the one loss that reaches this module compares a photo's maps with themselves, and a
    backbone could satisfy it by making all features alike. Gradient goes to θ, φ, g and to both kinds of maps; who
    wants the loss to teach the module alone passes detached maps.
    """

    def __init__(self, levels: Sequence[Level], settings: FusionSettings, foreground: int) -> None:
        """Raises `UserError` where `settings.levels` names a level that the backbone does not have."""
        super().__init__()
        self.chosen = _find(levels, settings.levels)
        chosen = [levels[number] for number in self.chosen]
        self.grid = settings.grid
        strides = [level.stride for level in chosen]
        self.coarsest, self.finest = strides.index(max(strides)), strides.index(min(strides))
        inputs = sum(level.channels for level in chosen)
        self.theta = nn.Conv2d(inputs, settings.channels, 1, bias=False)
        # Orthonormal rows keep angles as well as a projection can that knows nothing of the data.
        nn.init.orthogonal_(self.theta.weight)
        self.phi: nn.Conv2d | None = None
        if not settings.tied:
            self.phi = nn.Conv2d(inputs, settings.channels, 1, bias=False)
            # Two unrelated projections would make f of Eq (7) noise.
            self.phi.load_state_dict(self.theta.state_dict())
        self.g: nn.Module = nn.Identity()
        if settings.g == "conv":
            self.g = nn.Conv2d(foreground, foreground, 1, bias=False)
            nn.init.dirac_(self.g.weight)  # starts as "mean"

    def forward(self, features: Sequence[torch.Tensor], merged: torch.Tensor, multiscale: torch.Tensor) -> torch.Tensor:
        """Eq (8). `features`: the maps of all levels of the backbone; `merged` M^merge and `multiscale` M^MS:
        (N, K, h, w) float ≥ 0 → M̂ (N, K, h, w) float32, ≥ 0 unless g mixes classes with negative weights.
        """
        with torch.autocast(merged.device.type, enabled=False):
            maps = [features[number].detach().float() for number in self.chosen]
            size = {"coarsest": maps[self.coarsest], "finest": maps[self.finest], "cam": merged}[self.grid].shape[2:]
            x = torch.cat([balance(resize(level, size)) for level in maps], 1)
            theta = directions(self.theta(x))
            phi = theta if self.phi is None else directions(self.phi(x))
            values = resize(self.g(merged.float()), size).flatten(2).mT
            gathered = propagate(theta, phi, torch.cat([values, torch.ones_like(values[..., :1])], -1))
            fused = gathered[..., :-1] / (gathered[..., -1:] + EPS)
            return resize(fused.mT.reshape(*multiscale.shape[:2], *size), multiscale.shape[2:]) + multiscale.float()


def resize(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Means of cells where the grid becomes coarser, bilinear where finer. (N, C, h', w') → (N, C, h, w)."""
    height, width = size
    if maps.shape[2:] == (height, width):
        return maps
    if height <= maps.shape[2] and width <= maps.shape[3]:
        return cell_means(maps, (height, width))
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)


def balance(level: torch.Tensor) -> torch.Tensor:
    """Mean-centred over the photo, and the mean squared length of its vectors brought to 1. (N, C, h, w) → same.

    Levels differ in magnitude and width by orders; in a cosine of plain concatenated vectors the largest is all that
    counts. One factor for the whole level leaves alone which of its positions are strong and which are flat. The
    centring of Eq (6) may come before θ because θ is linear.
    """
    centred = level - level.mean((2, 3), keepdim=True)
    length = centred.square().sum(1, keepdim=True).mean((2, 3), keepdim=True).sqrt()
    return centred / (length + EPS)


def directions(projected: torch.Tensor) -> torch.Tensor:
    """Each position's vector at length 1; a zero vector stays 0. (N, c, h, w) → (N, h·w, c)."""
    vectors = projected.flatten(2).mT
    return vectors / (vectors.norm(dim=-1, keepdim=True) + EPS)


def propagate(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Numerators of Eq (8), ``ReLU(q kᵀ) v``, without ever holding the whole affinity: (N, P, c), (N, P, c), (N, P, d)
    → (N, P, d), all float of one dtype. Backward computes each block of the affinity a second time.
    """
    spread: torch.Tensor = _Propagate.apply(queries, keys, values)  # type: ignore[no-untyped-call]
    return spread


class _Propagate(torch.autograd.Function):
    """With A = ReLU(q kᵀ) and the gradient g of A v: v gets Aᵀ g; D = [A > 0] · (g vᵀ); q gets D k, k gets Dᵀ q."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(q, k, v)
        out = torch.empty_like(v)
        # Into one tensor: many small results among freed blocks would leave the heap in pieces (measured: 0.5 GB).
        for rows, result in _blocks(k, q, out):
            result.copy_((rows @ k.mT).relu_() @ v)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        for_affinity, for_values = any(ctx.needs_input_grad[:2]), ctx.needs_input_grad[2]
        grad_q, grad_k, grad_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for rows, upstream, result in _blocks(k, q, gradient, grad_q):
            affinity = (rows @ k.mT).relu_()
            if for_values:
                grad_v.baddbmm_(affinity.mT, upstream)
            if for_affinity:
                slope = affinity.sign_().mul_(upstream @ v.mT)
                result.copy_(slope @ k)
                grad_k.baddbmm_(slope.mT, rows)
        return (grad_q, grad_k, grad_v if for_values else None) if for_affinity else (None, None, grad_v)


def _blocks(keys: torch.Tensor, *tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Views of the same few rows of all `tensors`, each (N, P, …)."""
    size = max(1, (BLOCK_GPU if keys.is_cuda else BLOCK) // (keys.shape[0] * keys.shape[1]))
    return zip(*(torch.split(tensor, size, 1) for tensor in tensors), strict=True)


def _find(levels: Sequence[Level], wanted: Sequence[str]) -> list[int]:
    names = [level.name for level in levels]
    for name in wanted:
        if name not in names:
            what = f"the backbone has no level {name!r}{did_you_mean(name, names)}"
            raise UserError("train.fusion.levels", what, f"choose among {', '.join(names)}")
    return [names.index(name) for name in wanted]
