"""ResNet-38, "model A1" of Wu, Shen and van den Hengel (Wider or Deeper, 2016): AffinityNet's and OSTE's network.

Written from the papers' tables: pre-activation blocks (He et al. 2016) without any pooling, wide instead of deep.
Where the grid or the width changes, BatchNorm and ReLU come before both the residual branch and the 1×1 shortcut.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.base import Backbone, ConvNorm, Level, dilate
from wsss.models.backbones.entry import Entry


class Stage(NamedTuple):
    """A row of the table: blocks of 3×3, 3×3 convolutions, or with three `channels` one of 1×1, 3×3, 1×1."""

    repeats: int
    stride: int
    channels: tuple[int, ...]
    dropout: float = 0.0


STEM = 64
STAGES = {
    "b2": Stage(3, 2, (128, 128)),
    "b3": Stage(3, 2, (256, 256)),
    "b4": Stage(6, 2, (512, 512)),
    "b5": Stage(3, 2, (512, 1024)),
    "b6": Stage(1, 2, (512, 1024, 2048), 0.3),
    "b7": Stage(1, 1, (1024, 2048, 4096), 0.5),
}
"""The strides are those of the ImageNet network; the papers' network has output stride 8."""


def _conv(in_channels: int, channels: int, kernel: int, *, dilation: int = 1) -> nn.Conv2d:
    """A convolution that no BatchNorm follows, as `ConvNorm` pads and starts its own."""
    conv = nn.Conv2d(in_channels, channels, kernel, 1, dilation * (kernel // 2), dilation, bias=False)
    nn.init.normal_(conv.weight, std=math.sqrt(2 / (kernel**2 * channels)))
    return conv


class PreActivationBlock(nn.Module):
    """`(N, in, H, W)` → `(N, channels[-1], ⌈H/stride⌉, …)` of any sign, and the activated input, ≥ 0, like the input.

    With two `channels` the first 3×3 has the stride and `dilations[0]`. With three the first 1×1 has the stride,
    so that the 3×3 behind it reads the new spacing: `dilations[1]`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        inner, middle, *outer = channels
        first, rest = dilations
        self.norm = nn.BatchNorm2d(in_channels)
        self.branch2a: nn.Module
        self.branch2b1: nn.Module
        self.branch2b2: nn.Module | None = None
        if outer:
            self.branch2a = ConvNorm(in_channels, inner, 1, stride=stride)
            self.branch2b1 = ConvNorm(inner, middle, 3, dilation=rest)
            self.branch2b2 = _conv(middle, outer[0], 1)
        else:
            self.branch2a = ConvNorm(in_channels, inner, 3, stride=stride, dilation=first)
            self.branch2b1 = _conv(inner, middle, 3, dilation=rest)
        identity = stride == 1 and in_channels == channels[-1]
        self.branch1 = None if identity else _conv(in_channels, channels[-1], 1)
        self.stride = stride
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        active = F.relu(self.norm(x), inplace=True)
        y = self.branch2b1(self.dropout(F.relu(self.branch2a(active), inplace=True)))
        if self.branch2b2 is not None:
            y = self.branch2b2(self.dropout(F.relu(y, inplace=True)))
        if self.branch1 is None:
            return y + x, active
        # What a 1×1 convolution with this stride reads. With the stride in the convolution, the backward pass of oneDNN
        # ends the process for 8 channels (width 1/8).
        return y + self.branch1(active[..., :: self.stride, :: self.stride]), active


class ResNet38d(Backbone):
    """Levels c2 … c7 of 128, 256, 512, 1024, 2048, 4096 channels at strides 2, 4, 8, 16, 32, 32, none above
    `output_stride` (8, the papers': dilation 2 in b5, 4 in b6 and b7; 16; 32).

    `width` in (0, 1] scales all channels. Public names for state dicts are those of AffinityNet's `.pth` files.
    """

    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)
    classifier_prefix = "fc8."

    def __init__(self, output_stride: int = 8, *, width: float = 1.0) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride {output_stride}: expected 8, 16 or 32")
        if not 0 < width <= 1:
            raise ValueError(f"width {width}: expected 0 < width ≤ 1")
        channels = _scaled(STEM, width)
        self.conv1a = _conv(3, channels, 3)
        self.blocks = nn.ModuleDict()
        plan = dilate([stage.stride for stage in STAGES.values()], output_stride)
        levels, reached = [], 1
        for (name, stage), (stride, first, rest) in zip(STAGES.items(), plan, strict=True):
            reached *= stride
            for repeat in range(stage.repeats):
                self.blocks[f"{name}_{repeat}" if repeat else name] = PreActivationBlock(
                    channels,
                    tuple(_scaled(number, width) for number in stage.channels),
                    stride=1 if repeat else stride,
                    dilations=(rest if repeat else first, rest),
                    dropout=stage.dropout,
                )
                channels = _scaled(stage.channels[-1], width)
            levels.append(Level(name.replace("b", "c"), channels, reached))
        self.bn7 = nn.BatchNorm2d(channels)
        self.levels = tuple(levels)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → maps of c2 … c7, all ≥ 0.

        A sum of residuals has no scale of its own, so a level is the sum as the next stage reads it: after that
        stage's first BatchNorm and ReLU.
        """
        x = self.conv1a(x)
        maps = []
        for name, block in self.blocks.items():
            x, active = block(x)
            if name in STAGES:
                maps.append(active)
        return (*maps[1:], F.relu(self.bn7(x), inplace=True))

    def up_to(self, levels: int) -> list[nn.Module]:
        """All blocks of the first `levels` stages, and the BatchNorm behind them."""
        following = [*STAGES, None][levels]
        modules: list[nn.Module] = [self.conv1a]
        for name, block in self.blocks.items():
            if name == following:
                assert isinstance(block, PreActivationBlock)
                return [*modules, block.norm]
            modules.append(block)
        return [*modules, self.bn7]

    @staticmethod
    def pretrained_key(key: str) -> str:
        """`blocks.b6.branch2a.bn.bias` → `b6.bn_branch2b1.bias`: the names of the public `.pth` conversions."""
        if not key.startswith("blocks."):
            return key
        _, block, *unit, tensor = key.split(".")
        return f"{block}.{_PUBLIC_NAMES['.'.join(unit)]}.{tensor}"


def _scaled(channels: int, width: float) -> int:
    return max(1, round(width * channels))


# Ours join a convolution with the BatchNorm that reads it; the public names pair a BatchNorm with what it feeds.
_PUBLIC_NAMES = {
    "norm": "bn_branch2a",
    "branch2a.conv": "conv_branch2a",
    "branch2a.bn": "bn_branch2b1",
    "branch2b1": "conv_branch2b1",
    "branch2b1.conv": "conv_branch2b1",
    "branch2b1.bn": "bn_branch2b2",
    "branch2b2": "conv_branch2b2",
    "branch1": "conv_branch1",
}


RESNET38D = Entry(lambda stride, width: ResNet38d(stride, width=width), widths=True)
