"""A student that is one linear layer on a frozen backbone: its last three levels, and the photo's mean of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from wsss.models.backbones.base import Backbone, Level
from wsss.models.base_student import BaseStudent, StudentOutput

LINEAR = "linear"
"""What a student's settings hold as `head` if it is a `LinearStudent`; those of a `Student` hold nothing."""
LEVELS = 3
"""The last stages that are read: c3, c4 and c5 of most backbones."""


class LinearStudent(BaseStudent):
    """Logits = `local` of each position's features + `context` of the photo's mean of them.

    It has no normalisation of its own: that of the training features is folded into the two layers (`set_linear`). A
    linear problem has one solution, so both begin at 0. `tags` are the classifier's that the backbone belongs to.
    """

    def __init__(
        self, backbone: Backbone, classes: int, tag_threshold: float | None = None, tag_exponent: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.levels = linear_levels(backbone.levels)
        channels = sum(backbone.levels[number].channels for number in self.levels)
        self.local = nn.Conv2d(channels, classes, 1)
        self.context = nn.Linear(channels, classes, bias=False)
        for parameter in (*self.local.parameters(), *self.context.parameters()):
            nn.init.zeros_(parameter)
        self.tag_threshold, self.tag_exponent = tag_threshold, tag_exponent
        self.tags = None if tag_threshold is None else nn.Linear(backbone.levels[-1].channels, classes - 1)

    @property
    def stride(self) -> int:
        """Pixels to one cell of the logits: the coarsest stride of the levels that are read."""
        return max(self.backbone.levels[number].stride for number in self.levels)

    @property
    def channels(self) -> int:
        """Channels of `cells`."""
        return self.local.in_channels

    def look(self, images: torch.Tensor) -> StudentOutput:
        """(N, 3, H, W) float 0..255 → logits of all classes (N, K+1, ⌈H/stride⌉, ⌈W/stride⌉), and the levels."""
        features = self.backbone(images)
        cells = self.cells(features)
        logits = self.local(cells) + self.context(cells.mean((2, 3)))[:, :, None, None]
        tags = None if self.tags is None else self.tags(features[-1].mean((2, 3)))
        return StudentOutput(logits, features[self.levels[0]], features[self.levels[-1]], tags)

    def cells(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """The backbone's maps of N photos → the levels that are read, one after the other, finer ones as means over
        the coarsest one's cells: (N, channels, ⌈H/stride⌉, ⌈W/stride⌉).
        """
        pooled = []
        for number in self.levels:
            step = self.stride // self.backbone.levels[number].stride
            level = features[number]
            # At the border, the mean of the part of a cell that there is.
            pooled.append(level if step == 1 else F.avg_pool2d(level, step, ceil_mode=True, count_include_pad=False))
        return torch.cat(pooled, 1)

    @torch.no_grad()
    def set_linear(self, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor) -> None:
        """Make the logits ``weight @ ((x − mean) / spread) + bias``, x = a cell's features, then its photo's mean.

        `weight`: (K+1, 2 · channels); `bias`: (K+1,); `mean`, `spread`: (2 · channels,), the spread above 0.
        """
        # In float64, on the CPU: not every GPU has it.
        weight, bias, mean, spread = (part.cpu().double() for part in (weight, bias, mean, spread))
        folded = weight / spread
        self.local.weight.copy_(folded[:, : self.channels, None, None])
        self.context.weight.copy_(folded[:, self.channels :])
        assert self.local.bias is not None
        self.local.bias.copy_(bias - folded @ mean)

    def linear(self, mean: torch.Tensor, spread: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The `weight` and `bias` that `set_linear` was given with the same `mean` and `spread`, float32."""
        assert self.local.bias is not None
        where, mean, spread = mean.device, mean.cpu().double(), spread.cpu().double()
        folded = torch.cat([self.local.weight[:, :, 0, 0], self.context.weight], 1).detach().cpu().double()
        bias = self.local.bias.detach().cpu().double() + folded @ mean
        return (folded * spread).float().to(where), bias.float().to(where)


def linear_levels(levels: tuple[Level, ...]) -> tuple[int, ...]:
    """Numbers of the last `LEVELS` stages; an ImageNet head behind them is too wide to be segmented from."""
    return tuple(number for number, level in enumerate(levels) if level.name != "head")[-LEVELS:]
