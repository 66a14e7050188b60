"""What every backbone is: a network that takes 0..255 RGB, normalises it itself and declares its maps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.depthwise import depthwise


@dataclass(frozen=True)
class Level:
    """One feature map of a backbone: `(N, channels, ⌈H/stride⌉, ⌈W/stride⌉)`, stride after dilation.

    `name`: c2, c3 … by the undilated stride 2^n, which `train.fusion.levels` names; `head` for a map that belongs to an
    ImageNet classifier and is too wide to be segmented from.
    """

    name: str
    channels: int
    stride: int


class Backbone(nn.Module, ABC):
    """Base of all backbones; a subclass sets `levels`, `mean` and `std` and writes `features`.

    `levels` go from the finest map to the coarsest; classification heads use the last one.
    """

    levels: tuple[Level, ...]
    _mean: Tensor
    _std: Tensor

    mean: tuple[float, float, float]
    """RGB means, 0..255."""
    std: tuple[float, float, float]
    """RGB deviations, 0..255."""
    classifier_prefix: ClassVar[str | None] = None
    """Tensors of a pretrained file that start so belong to its ImageNet classifier and are not loaded."""

    def __init__(self) -> None:
        super().__init__()
        # Constants of the class and not learned, hence not part of the state dict.
        self.register_buffer("_mean", torch.tensor(self.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(self.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` float RGB in 0..255, any H, W ≥ 1 → one feature map for each of `levels`."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(f"expected images (N, 3, H, W) float, got {tuple(images.shape)} {images.dtype}")
        normalised = (images - self._mean) / self._std
        # In this layout a training step of lite0 on a CPU takes 0.7 of the time. The maps come out in it.
        return self.features(normalised.contiguous(memory_format=torch.channels_last))

    @abstractmethod
    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → one feature map for each of `levels`."""

    @abstractmethod
    def up_to(self, levels: int) -> Iterable[nn.Module]:
        """The modules that the first `levels` maps depend on."""

    @staticmethod
    def pretrained_key(key: str) -> str:
        """Name in this backbone's state dict → name of the same tensor in the public weights file."""
        return key


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm. `(N, in, H, W)` → `(N, channels, ⌈H/stride⌉, ⌈W/stride⌉)`.

    Padding is `dilation · (kernel − 1) / 2` on every side, or with `same` TensorFlow's SAME padding. The two
    differ only at stride 2 and for an even size, where SAME pads one row less before the image: the output at
    i is centred on pixel 2i + 1 instead of 2i.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        same: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0 or stride not in (1, 2) or (stride == 2 and dilation != 1):
            raise ValueError(f"no symmetric form of kernel {kernel}, stride {stride}, dilation {dilation}")
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, dilation, groups, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=eps, momentum=momentum)
        self.same = same and stride == 2
        # He's initialisation by fan-out; torch's own forgets the groups, and depthwise outputs would vanish.
        nn.init.normal_(self.conv.weight, std=math.sqrt(2 * groups / (kernel**2 * channels)))

    def forward(self, x: Tensor) -> Tensor:
        bn = self.bn
        if bn.training:
            return bn(self._convolve(x, self.conv.weight))
        # With fixed statistics the normalisation is a factor on the kernel and a bias: it needs no pass over
        # the maps, forward or backward. Gradients of kernel and affine flow through the product all the same.
        assert bn.running_mean is not None
        assert bn.running_var is not None
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)
        bias = bn.bias - bn.running_mean * scale
        return self._convolve(x, self.conv.weight * scale.view(-1, 1, 1, 1), bias)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        conv = self.conv
        if self.same:
            # A zero row before the kernel moves it by one pixel: SAME for even sizes, and no map is copied.
            weight = F.pad(weight, (1 - x.shape[3] % 2, 0, 1 - x.shape[2] % 2, 0))
        padding = conv.padding
        if conv.stride == (1, 1) and conv.dilation != (1, 1):
            weight, padding = _within_reach(weight, x.shape[2:], conv.dilation)
        if conv.groups == conv.in_channels == conv.out_channels and isinstance(padding, tuple):
            return depthwise(x, weight, bias, conv.stride[0], padding, conv.dilation[0])
        if x.shape[3] <= conv.stride[1] > 1:
            # With one column of results and several rows, oneDNN's bf16 convolutions for AMX give garbage (torch 2.13).
            turned = F.conv2d(x.mT, weight.mT, bias, conv.stride, padding, conv.dilation, conv.groups)
            return turned.mT
        return F.conv2d(x, weight, bias, conv.stride, padding, conv.dilation, conv.groups)


def _within_reach(weight: Tensor, size: Sequence[int], dilation: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
    """The part of a kernel (…, k, k) that can meet a map of `size`, and the padding for it: the same convolution.

    On tiles of 3×3 positions 16 of the 25 taps of a 5×5 kernel at dilation 2 only ever read padding, and take 5/6 of
    the time of the whole network.
    """
    padding = []
    for axis, (side, spacing) in enumerate(zip(size, dilation, strict=True), start=2):
        half = weight.shape[axis] // 2
        kept = min(half, (side - 1) // spacing)
        weight = weight.narrow(axis, half - kept, 2 * kept + 1)
        padding.append(spacing * kept)
    return weight, tuple(padding)


def dilate(strides: Sequence[int], output_stride: int) -> list[tuple[int, int, int]]:
    """Strides of the stages → (stride, dilation of the first block, dilation of the others) of the stages.

    Strides that would pass `output_stride` become dilation. The first block of such a stage keeps the
    dilation of the stage before, because what it reads still has that spacing: so the dilated network, looked
    at in every second position, is the undilated network exactly.
    """
    plan, reached, dilation = [], 1, 1
    for stride in strides:
        first = dilation
        if reached * stride > output_stride:
            dilation, stride = dilation * stride, 1
        reached *= stride
        plan.append((stride, first, dilation))
    return plan


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm that stays in eval mode, whatever `train()` its parents are told."""

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        return super().train(False)


def freeze_batch_norm(module: nn.Module) -> None:
    """Freeze every BatchNorm2d of `module`, in place and for good: statistics and affine stay as they are.

    Only the class of the layers changes. Parameters, buffers and state-dict keys remain the same, so that
    optimisers and checkpoints from before and after fit.
    """
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.__class__ = FrozenBatchNorm2d
            norm.requires_grad_(False).eval()


def freeze_levels(backbone: Backbone, levels: int) -> None:
    """Take the first `levels` maps out of training, in place.

    Edges and textures serve any photos, and these layers work on the finest grids: without their backward pass a
    step costs about half. Raises `ValueError` if there are not that many levels.
    """
    if not 0 <= levels < len(backbone.levels):
        raise ValueError(f"cannot freeze {levels} of {len(backbone.levels)} levels")
    for module in backbone.up_to(levels) if levels else ():
        module.requires_grad_(False)
