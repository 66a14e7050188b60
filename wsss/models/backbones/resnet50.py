"""ResNet-50 (He et al., Deep Residual Learning, 2015), with torchvision's names and both public conventions.

Written from the paper's table. "v1" is the paper's and Keras's network, with the stride in the first 1×1 convolution
of a stage and BatchNorm eps 1e-3; "v1.5" is torchvision's, with the stride in the 3×3 convolution and eps 1e-5.

A Keras file fits "v1" under torchvision's names once three of its own conventions are folded in: biases of convolutions
are subtracted from the running means behind them, and the first kernel, made for BGR without division by a deviation,
is turned to RGB and multiplied by `ResNet50.std` of each input channel.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.base import Backbone, ConvNorm, Level, dilate
from wsss.models.backbones.entry import Entry

Variant = Literal["v1", "v1.5"]
EPS: dict[Variant, float] = {"v1": 1e-3, "v1.5": 1e-5}

STEM, EXPANSION = 64, 4
STAGES = {"layer1": (3, 64, 1), "layer2": (4, 128, 2), "layer3": (6, 256, 2), "layer4": (3, 512, 2)}
"""Stage → (blocks, channels of the 3×3 convolutions, stride). The stem has two strides of 2 before them."""


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 beside the input or its 1×1 projection. `(N, in, H, W)` → `(N, 4·inner, ⌈H/stride⌉, …)`, ≥ 0.

    `dilations` are those of what the block reads and of what it gives. The 3×3 convolution works on the first
    where it has the stride itself (v1.5), and on the second where that is passed already (v1).
    """

    def __init__(
        self, in_channels: int, inner: int, *, stride: int, dilations: tuple[int, int], variant: Variant, project: bool
    ) -> None:
        super().__init__()
        conv = partial(ConvNorm, eps=EPS[variant])
        early, late = (stride, 1) if variant == "v1" else (1, stride)
        self.conv1 = conv(in_channels, inner, 1, stride=early)
        self.conv2 = conv(inner, inner, 3, stride=late, dilation=dilations[variant == "v1"])
        self.conv3 = conv(inner, EXPANSION * inner, 1)
        self.shortcut = conv(in_channels, EXPANSION * inner, 1, stride=stride) if project else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv2(F.relu(self.conv1(x), inplace=True)), inplace=True)
        return F.relu(self.conv3(y) + (x if self.shortcut is None else self.shortcut(x)), inplace=True)


class ResNet50(Backbone):
    """Levels c2 … c5: 256, 512, 1024, 2048 channels at strides 4, 8, 16, 32, none above `output_stride` (8, 16, 32).

    `width` > 0 scales all channels.
    """

    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)
    classifier_prefix = "fc."

    def __init__(self, output_stride: int = 16, *, variant: Variant = "v1.5", width: float = 1.0) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride {output_stride}: expected 8, 16 or 32")
        channels = max(1, round(width * STEM))
        self.stem = ConvNorm(3, channels, 7, stride=2, eps=EPS[variant])
        self.stages = nn.ModuleDict()
        plan = dilate([2, 2, *(stride for _, _, stride in STAGES.values())], output_stride)[2:]
        levels: list[Level] = []
        reached = 4
        for (name, (repeats, full, _)), (stride, first, rest) in zip(STAGES.items(), plan, strict=True):
            reached *= stride
            inner = max(1, round(width * full))
            blocks = nn.Sequential()
            for repeat in range(repeats):
                blocks.append(
                    Bottleneck(
                        channels,
                        inner,
                        stride=1 if repeat else stride,
                        dilations=(rest if repeat else first, rest),
                        variant=variant,
                        project=repeat == 0,
                    )
                )
                channels = EXPANSION * inner
            self.stages[name] = blocks
            levels.append(Level(f"c{len(levels) + 2}", channels, reached))
        self.levels = tuple(levels)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → maps of c2 … c5, all ≥ 0."""
        x = F.max_pool2d(F.relu(self.stem(x), inplace=True), 3, stride=2, padding=1)
        maps = []
        for stage in self.stages.values():
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def up_to(self, levels: int) -> list[nn.Module]:
        """Stem and the first `levels` stages."""
        return [self.stem, *list(self.stages.values())[:levels]]

    @staticmethod
    def pretrained_key(key: str) -> str:
        """`stages.layer1.0.conv1.bn.bias` → `layer1.0.bn1.bias`: torchvision's names."""
        *block, unit, layer, tensor = key.removeprefix("stages.").split(".")
        number = unit.removeprefix("conv") if block else "1"
        public = f"downsample.{int(layer == 'bn')}" if unit == "shortcut" else f"{layer}{number}"
        return ".".join([*block, public, tensor])


RESNET50 = Entry(lambda stride, width: ResNet50(stride))
RESNET50_V1 = Entry(lambda stride, width: ResNet50(stride, variant="v1"))
