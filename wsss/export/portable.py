"""A network in the form that is exported: one input, every normalisation folded into its convolution."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from wsss.models.backbones.base import ConvNorm
from wsss.models.base_student import BaseStudent
from wsss.models.oste import Oste


class Portable(nn.Module):
    """(N, 3, H, W) float32 RGB 0..255, any H, W ≥ 1 → logits (N, K+1, h, w). The given network is not changed.

    Of OSTE, the segmentation branch: location expansion and fusion are for making labels.
    """

    def __init__(self, network: BaseStudent | Oste) -> None:
        super().__init__()
        inner = copy.deepcopy(network).eval()
        _fold(inner)
        self.network: nn.Module = Branch(inner) if isinstance(inner, Oste) else inner
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits on the network's own grid."""
        logits: torch.Tensor = self.network(images)
        return logits


class PortableStudent(Portable):
    """The same for a student that learns tags, with its logits before and after the tags change them."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Logits as the student gives them, and of all classes."""
        assert isinstance(self.network, BaseStudent)
        seen = self.network.look(images)
        return self.network.probable(seen), seen.logits


class WithLabels(nn.Module):
    """The outputs of a portable network, and after the first of them the labels (N, H, W) uint8 of the photos' pixels:
    the arg-max of its logits, enlarged bilinearly.
    """

    def __init__(self, portable: Portable) -> None:
        super().__init__()
        self.portable = portable

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits, labels, and what else there is."""
        found = self.portable(images)
        logits, *others = found if isinstance(found, tuple) else (found,)
        return logits, labels_of(logits, images), *others


def labels_of(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """The labels (N, H, W) uint8 of `images` (N, 3, H, W) by their logits (N, K+1, h, w)."""
    whole = F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)
    return whole.argmax(1).to(torch.uint8)


class Branch(nn.Module):
    """OSTE's backbone and segmentation branch."""

    def __init__(self, oste: Oste) -> None:
        super().__init__()
        assert oste.segmentation is not None
        self.backbone, self.segmentation, self.level = oste.backbone, oste.segmentation, oste.last_stage

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """As `Oste.segment`."""
        logits: torch.Tensor = self.segmentation(self.backbone(images)[self.level])
        return logits


class FoldedConv(nn.Module):
    """`ConvNorm` in evaluation: the kernel times the normalisation's factor, and a bias.

    SAME padding of a strided convolution depends on whether a side is odd. `ConvNorm` widens the kernel, which no
    graph can do for a size that it does not know yet; padding the map instead is the same sum.
    """

    def __init__(self, unit: ConvNorm) -> None:
        super().__init__()
        conv, bn = unit.conv, unit.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)
        self.weight = nn.Parameter((conv.weight * scale.view(-1, 1, 1, 1)).detach())
        self.bias = nn.Parameter((bn.bias - bn.running_mean * scale).detach())
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        self.before = int(conv.padding[0])
        self.same = unit.same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) → (N, channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        pad = self.before
        if self.same:
            x = F.pad(x, (pad - 1 + x.shape[3] % 2, pad, pad - 1 + x.shape[2] % 2, pad))
            pad = 0
        return F.conv2d(x, self.weight, self.bias, self.stride, pad, self.dilation, self.groups)


def _fold(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, FoldedConv(child))
        else:
            _fold(child)
