"""OSTE: one backbone, a classification branch that is read as CAMs, and a segmentation branch (Quan et al., 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from wsss.models.backbones.base import Backbone, Level
from wsss.models.cam import activate
from wsss.models.checkpoint import OSTE, NetworkCard, Stride, backbone_of, load_network
from wsss.models.classifier import Classifier
from wsss.models.expansion import ExpansionSettings, merge_maps, tiled_maps
from wsss.models.fusion import Fusion, FusionSettings

BASE_DILATION, BASE_STRIDE = 12, 8
"""The paper's segmentation branch: dilation 12 at stride 8. At another stride it covers the same part of a photo."""


GROUPS = 16


class Activations(NamedTuple):
    """Maps of the classification branch for N photos, all (N, K, h, w) on the grid of the output stride.

    `tiles`: class scores of any sign for each tiling, put together from its tiles. CAMs ≥ 0: `multiscale` M^MS, Eq (2);
    `merged` M^merge, Eq (5), None without expansion; `enhanced` M̂, Eq (8), without gradient to the other two.
    """

    tiles: dict[int, torch.Tensor]
    multiscale: torch.Tensor
    merged: torch.Tensor | None
    enhanced: torch.Tensor


class OsteOutput(NamedTuple):
    """What one training step needs: `logits` (N, K), `prior` (K,) that makes logits of the mean class scores of the
    `tiles`, and, after the warm-up, `cams` and the `segmentation` logits (N, K+1, h, w).
    """

    logits: torch.Tensor
    prior: torch.Tensor
    tiles: dict[int, torch.Tensor]
    cams: Activations | None
    segmentation: torch.Tensor | None


class Oste(Classifier):
    """The classifier, with location expansion, multilevel fusion and a segmentation branch.

    The segmentation branch reads the last stage of the backbone (an ImageNet head of 1280 channels behind it would
    make its first convolution dearer than the backbone). `norm`: the paper's branch has none, and at its learning
    rate a small backbone is lost within thirty steps. Without `branch` there is none, and what would need it fails.
    """

    def __init__(
        self,
        backbone: Backbone,
        foreground: int,
        dropout: float,
        channels: int,
        norm: Literal["group", "none"],
        expansion: ExpansionSettings,
        fusion: FusionSettings,
        branch: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(backbone, foreground, dropout, bias)
        self.expansion = expansion
        self.fusion = Fusion(backbone.levels, fusion, foreground) if fusion.enabled else None
        self.last_stage = max(number for number, level in enumerate(backbone.levels) if level.name != "head")
        last = backbone.levels[self.last_stage]
        self.segmentation = _branch(last, channels, foreground + 1, norm) if branch else None

    @property
    def enhances(self) -> bool:
        """True if M̂ can differ from M^MS."""
        return self.expansion.enabled or self.fusion is not None

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """The segmentation branch alone. (N, 3, H, W) float 0..255 → logits (N, K+1, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return self.segmented(self.backbone(images))

    def segmented(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """`segment` from the backbone's maps. Raises `ValueError` without a branch."""
        if self.segmentation is None:
            raise ValueError("this OSTE has no segmentation branch")
        logits: torch.Tensor = self.segmentation(features[self.last_stage])
        return logits

    @property
    def segment_parts(self) -> None:
        """As of `Student`: nothing is left out of a photo, so its pieces are segmented like whole photos."""

    def forward(  # type: ignore[override]
        self, images: torch.Tensor, scales: Sequence[float] = (1.0,), warm_up: bool = False
    ) -> OsteOutput:
        """(N, 3, H, W) float 0..255 → everything that a training step needs. `warm_up`: classification alone."""
        # Mixed precision hands photos over in half: whole numbers to 255 are exact there, resized photos are not.
        images = images.float()
        features = self.backbone(images)
        logits = self.logits(features[-1])
        if warm_up:
            return OsteOutput(logits, self.prior, self.tiled(images), None, None)
        cams = self.activations(images, features, scales)
        return OsteOutput(logits, self.prior, cams.tiles, cams, self.segmented(features))

    def activations(
        self, images: torch.Tensor, features: Sequence[torch.Tensor], scales: Sequence[float]
    ) -> Activations:
        """All maps of the classification branch; `features` are the backbone's of `images`."""
        maps: torch.Tensor = self.head(features[-1])
        grid = (maps.shape[-2], maps.shape[-1])
        multiscale = self.multiscale(images, maps, scales)
        tiles = self.tiled(images)
        merged = None
        if tiles:
            merged = merge_maps([activate(found, grid) for found in tiles.values()], self.expansion.merge)
        # M̂ makes labels and teaches the fusion. If its loss reached the CAMs too, it would push to 0 what they have
        # below one half: the very places that expansion has found.
        enhanced = self.enhance(features, None if merged is None else merged.detach(), multiscale.detach())
        return Activations(tiles, multiscale, merged, enhanced)

    def enhance(
        self, features: Sequence[torch.Tensor], merged: torch.Tensor | None, multiscale: torch.Tensor
    ) -> torch.Tensor:
        """M̂ of Eq (8). Without fusion the affinity is the identity, without expansion M^MS is what is fused."""
        if self.fusion is not None:
            fused: torch.Tensor = self.fusion(tuple(features), multiscale if merged is None else merged, multiscale)
            return fused
        return multiscale if merged is None else merged + multiscale

    def multiscale(self, images: torch.Tensor, maps: torch.Tensor, scales: Sequence[float]) -> torch.Tensor:
        """Eq (2) on the grid of `maps`, the class scores at scale 1. Only scale 1 carries gradient."""
        height, width = images.shape[-2:]
        grid = (maps.shape[-2], maps.shape[-1])
        total = activate(maps, grid) if 1.0 in scales else torch.zeros_like(maps)
        for scale in scales:
            if scale != 1.0:
                size = (max(1, round(height * scale)), max(1, round(width * scale)))
                view = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=scale < 1)
                with torch.no_grad():
                    other = activate(self.maps(view), grid)
                total = total + other
        return total / len(scales)

    def tiled(self, images: torch.Tensor) -> dict[int, torch.Tensor]:
        """Class scores of each tiling, all tiles of one tiling in one batch: {n: (N, K, h, w)}."""
        if not self.expansion.enabled:
            return {}
        return {n: tiled_maps(images, n, self.stride, self.maps) for n in self.expansion.tilings}


def _branch(level: Level, channels: int, classes: int, norm: Literal["group", "none"]) -> nn.Sequential:
    dilation = max(1, round(BASE_DILATION * BASE_STRIDE / level.stride))
    layers = nn.Sequential(
        nn.Conv2d(level.channels, channels, 3, padding=dilation, dilation=dilation),
        nn.GroupNorm(GROUPS, channels) if norm == "group" else nn.Identity(),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, classes, 3, padding=dilation, dilation=dilation),
    )
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return layers


def build_oste(card: NetworkCard, load_weights: bool) -> Oste:
    """The OSTE of `card`; `load_weights` as for `build_classifier`."""
    modules = {
        "expansion": ExpansionSettings.model_validate(card.settings["expansion"], strict=False),
        "fusion": FusionSettings.model_validate(card.settings["fusion"], strict=False),
    }
    return Oste(backbone_of(card, load_weights), len(card.classes) - 1, **{**card.settings, **modules})


def load_oste(path: Path, classes: Sequence[str], output_stride: Stride | None = None) -> tuple[Oste, NetworkCard]:
    """A trained OSTE; arguments and errors as for `load_network`."""
    return load_network(path, OSTE, build_oste, classes, output_stride)
