"""A residual network of a quarter million parameters for tests: what the large ones do, in milliseconds."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.base import Backbone, ConvNorm, Level, dilate
from wsss.models.backbones.entry import Entry

STEM = 16
STAGES = {"c2": 24, "c3": 48, "c4": 64, "c5": 96}
"""Channels of the stages; each halves the grid, until `output_stride` is reached."""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a 1×1 shortcut. `(N, in, H, W)` → `(N, channels, ⌈H/stride⌉, …)`, ≥ 0."""

    def __init__(self, in_channels: int, channels: int, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, channels, 3, stride=stride, dilation=dilations[0])
        self.conv2 = ConvNorm(channels, channels, 3, dilation=dilations[1])
        self.shortcut = ConvNorm(in_channels, channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x), inplace=True))
        return F.relu(y + self.shortcut(x), inplace=True)


class Tiny(Backbone):
    """Levels c2 … c5: 24, 48, 64, 96 channels at strides 4, 8, 16, 32, none above `output_stride` (≥ 4)."""

    mean = (127.5, 127.5, 127.5)
    std = (63.75, 63.75, 63.75)

    def __init__(self, output_stride: int = 16) -> None:
        super().__init__()
        if output_stride not in (4, 8, 16, 32):
            raise ValueError(f"output_stride {output_stride}: expected 4, 8, 16 or 32")
        self.stem = ConvNorm(3, STEM, 3, stride=2)
        self.stages = nn.ModuleDict()
        levels, channels, reached = [], STEM, 2
        plan = dilate((2,) * (1 + len(STAGES)), output_stride)[1:]
        for (name, width), (stride, *dilations) in zip(STAGES.items(), plan, strict=True):
            self.stages[name] = ResidualBlock(channels, width, stride, (dilations[0], dilations[1]))
            channels, reached = width, reached * stride
            levels.append(Level(name, channels, reached))
        self.levels = tuple(levels)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → maps of c2 … c5, all ≥ 0."""
        x = F.relu(self.stem(x), inplace=True)
        maps = []
        for stage in self.stages.values():
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def up_to(self, levels: int) -> list[nn.Module]:
        """Stem and the first `levels` stages."""
        return [self.stem, *list(self.stages.values())[:levels]]


TINY = Entry(lambda stride, width: Tiny(stride))
