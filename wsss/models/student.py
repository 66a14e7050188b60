"""The segmentation network that is used in the end: a backbone with an ASPP head and one finer level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from wsss.models.backbones.base import Backbone, Level
from wsss.models.base_student import BaseStudent, StudentOutput
from wsss.models.checkpoint import STUDENT, NetworkCard, backbone_of, load_network
from wsss.models.linear_student import LINEAR, LinearStudent

GROUPS = 16
BASE_RATES = (6, 12, 18)
BASE_STRIDE = 16
FINE_STRIDE = 8
FINE_CHANNELS = 32


class Student(BaseStudent):
    """Atrous spatial pyramid pooling (DeepLab v3) on the last convolutional level, joined with the level of stride 8.

    Normalisation in the head is by groups and not by batch: a batch of 8 crops on 2 processes is the batch of 8 on one.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        channels: int = 128,
        dropout: float = 0.1,
        tag_threshold: float | None = None,
        tag_exponent: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.coarse, self.fine = pyramid_levels(backbone.levels)
        coarse, fine = backbone.levels[self.coarse], backbone.levels[self.fine]
        # Rates are given for stride 16; at another stride they cover the same part of the photo.
        rates = [max(1, rate * BASE_STRIDE // coarse.stride) for rate in BASE_RATES]
        self.branches = nn.ModuleList(
            [
                _conv(coarse.channels, channels, 1),
                *(_separable(coarse.channels, channels, rate) for rate in rates),
            ]
        )
        self.context = _conv(coarse.channels, channels, 1)
        self.project = nn.Sequential(_conv(channels * (len(self.branches) + 1), channels, 1), nn.Dropout(dropout))
        self.lateral = _conv(fine.channels, FINE_CHANNELS, 1)
        self.refine = _separable(channels + FINE_CHANNELS, channels, 1)
        self.head = nn.Conv2d(channels, classes, 1)
        self.tag_threshold, self.tag_exponent = tag_threshold, tag_exponent
        self.tags = None if tag_threshold is None else nn.Linear(backbone.levels[-1].channels, classes - 1)

    def look(self, images: torch.Tensor) -> StudentOutput:
        """(N, 3, H, W) float 0..255 → logits of all classes (N, K+1, ⌈H/8⌉, ⌈W/8⌉), and the levels."""
        features = self.backbone(images)
        coarse, fine = features[self.coarse], features[self.fine]
        tags = None if self.tags is None else self.tags(features[-1].mean((2, 3)))
        context = self.context(coarse.mean((2, 3), keepdim=True)).expand(-1, -1, *coarse.shape[2:])
        pyramid = self.project(torch.cat([*(branch(coarse) for branch in self.branches), context], 1))
        lateral = self.lateral(fine)
        raised = F.interpolate(pyramid, lateral.shape[2:], mode="bilinear", align_corners=False)
        return StudentOutput(self.head(self.refine(torch.cat([raised, lateral], 1))), fine, coarse, tags)


def build_student(card: NetworkCard, load_weights: bool) -> BaseStudent:
    """The student of `card`, with the head that it names; `load_weights` as for `build_classifier`."""
    shape = dict(card.settings)
    head = LinearStudent if shape.pop("head", None) == LINEAR else Student
    return head(backbone_of(card, load_weights), len(card.classes), **shape)


def load_student(path: Path, classes: Sequence[str]) -> tuple[BaseStudent, NetworkCard]:
    """A trained student of any head; arguments and errors as for `load_network`."""
    return load_network(path, STUDENT, build_student, classes)


def pyramid_levels(levels: tuple[Level, ...]) -> tuple[int, int]:
    """Numbers of the coarse level (the last stage, not an ImageNet head) and of the finest one at stride ≥ 8."""
    stages = [number for number, level in enumerate(levels) if level.name != "head"]
    return stages[-1], next(number for number in stages if levels[number].stride >= FINE_STRIDE)


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, bias=False), nn.GroupNorm(GROUPS, outputs), nn.ReLU(inplace=True)
    )


def _separable(inputs: int, outputs: int, rate: int) -> nn.Sequential:
    spatial = nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False)
    return nn.Sequential(spatial, *_conv(inputs, outputs, 1))
