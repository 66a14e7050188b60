"""The image classifier whose weights are read as class activation maps."""

from __future__ import annotations

import torch
from torch import nn

from wsss.models.backbones.base import Backbone


class Classifier(nn.Module):
    """Backbone → dropout → global average pooling → 1×1 classifier without bias.

    Without a bias the logit is exactly the mean of the class map, so the map explains all of it.
    """

    def __init__(self, backbone: Backbone, foreground: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(backbone.levels[-1].channels, foreground, 1, bias=False)
        nn.init.normal_(self.head.weight, std=0.01)

    @property
    def stride(self) -> int:
        """Output stride of the class maps."""
        return self.backbone.levels[-1].stride

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores per position, before ReLU. (N, 3, H, W) float 0..255 → (N, K, ⌈H/stride⌉, ⌈W/stride⌉)."""
        maps: torch.Tensor = self.head(self.backbone(images)[-1])
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) float 0..255 → logits (N, K)."""
        pooled = self.dropout(self.backbone(images)[-1]).mean((2, 3), keepdim=True)
        logits: torch.Tensor = self.head(pooled).flatten(1)
        return logits
