"""The image classifier whose weights are read as class activation maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from wsss.models.backbones.base import Backbone
from wsss.models.checkpoint import CLASSIFIER, NetworkCard, Stride, backbone_of, load_network


class Classifier(nn.Module):
    """Backbone → dropout → global average pooling → 1×1 classifier.

    A logit is the mean of the class's map plus the `prior` of the class. The map's own bias, `head.bias`, is no weight
    that is learned: `centre` sets it so that a map is 0 at an average position of the training photos. All that makes a
    class rare is then in `prior`, and a rare class needs no map that is negative nearly everywhere.

    Without `bias` there is neither: a logit is the mean of the map, as in the papers, and to say that a photo lacks the
    class its features must be negative for it.
    """

    def __init__(self, backbone: Backbone, foreground: int, dropout: float, bias: bool = True) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(backbone.levels[-1].channels, foreground, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.head.bias.requires_grad_(False)  # its gradient is that of `prior`
        self.bias = bias
        self.prior = nn.Parameter(torch.zeros(foreground), requires_grad=bias)

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
        return self.logits(self.backbone(images)[-1])

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Class logits (N, K) of whole photos; `features` (N, C, h, w) are the backbone's last."""
        pooled = self.dropout(features).mean((2, 3), keepdim=True)
        logits: torch.Tensor = self.head(pooled).flatten(1) + self.prior
        return logits

    @torch.no_grad()
    def centre(self, mean: torch.Tensor) -> None:
        """Make the maps 0 where the features are `mean` (C,), the training photos' average. No logit changes.

        Raises `ValueError` without a bias.
        """
        if not self.bias:
            raise ValueError("maps without a bias cannot be centred")
        assert self.head.bias is not None
        bias = -(self.head.weight[:, :, 0, 0] @ mean.to(self.head.weight))
        self.prior.add_(self.head.bias - bias)
        self.head.bias.copy_(bias)


def build_classifier(card: NetworkCard, load_weights: bool) -> Classifier:
    """The classifier of `card`; `load_weights` puts the backbone's pretrained weights in, as for a new training."""
    return Classifier(backbone_of(card, load_weights), len(card.classes) - 1, **card.settings)


def load_classifier(
    path: Path, classes: Sequence[str], output_stride: Stride | None = None
) -> tuple[Classifier, NetworkCard]:
    """A trained classifier; arguments and errors as for `load_network`."""
    return load_network(path, CLASSIFIER, build_classifier, classes, output_stride)
