"""Teachers: the trained OSTE network, and the moving average of a student. Neither ever gets a gradient."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch

from wsss.models.oste import Oste
from wsss.models.student import Student, pyramid_levels

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class Lesson(NamedTuple):
    """What OSTE makes of N photos in one pass: `fine` and `coarse` features (N, c, h, w), `logits` (N, K+1, h, w) of
    its segmentation branch, `cams` (N, K, h, w) ≥ 0. Float, without gradient.
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    logits: torch.Tensor
    cams: torch.Tensor


class OsteTeacher:
    """A trained OSTE, frozen."""

    def __init__(self, network: Oste, precision: Precision) -> None:
        self.network = network.eval().requires_grad_(False)
        self.precision = precision
        self.coarse, self.fine = pyramid_levels(network.backbone.levels)

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of `fine` and of `coarse`."""
        levels = self.network.backbone.levels
        return levels[self.fine].channels, levels[self.coarse].channels

    def teach(self, images: torch.Tensor) -> Lesson:
        """(N, 3, H, W) float 0..255 → features, logits and CAMs of one forward pass of the backbone.

        The CAMs are fused but not expanded: tiles would be further passes.
        """
        network = self.network.to(images.device)
        with torch.inference_mode(), _autocast(images, self.precision):
            features = network.backbone(images)
            scores = network.head(features[-1]).relu().float()
            cams = network.enhance(features, None, scores)
            logits = network.segmentation(features[network.last_stage])
        parts = (features[self.fine], features[self.coarse], logits, cams)
        return Lesson(*(usable(part) for part in parts))


class MovingAverage:
    """The exponential moving average of a student's parameters and buffers: ``θ' ← m θ' + (1 − m) θ``.

    After step number `starts` it is a copy of the student; each later step moves it, with m rising from `momentum` to 1
    as half a cosine. An early student is forgotten, and in the end the teacher stands still.
    """

    def __init__(self, student: Student, momentum: float, starts: int, precision: Precision) -> None:
        self.student, self.momentum, self.starts, self.precision = student, momentum, starts, precision
        self.network = copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self, step: int, steps: int) -> None:
        """Take in the student as it is after `step` of `steps`."""
        if step < self.starts:
            return
        keep = 0.0 if step == self.starts else momentum_at(self.momentum, step - self.starts - 1, steps - self.starts)
        network = self.network.to(next(self.student.parameters()).device)
        for mine, theirs in zip(network.state_dict().values(), self.student.state_dict().values(), strict=True):
            if mine.is_floating_point() and keep:
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) float 0..255 → logits (N, K+1, h, w) of all classes, without gradient."""
        network = self.network.to(images.device)
        with torch.inference_mode(), _autocast(images, self.precision):
            logits = network.look(images).logits
        return usable(logits)

    def state_dict(self) -> dict[str, Any]:
        """The average's own tensors."""
        return dict(self.network.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state)


def momentum_at(first: float, step: int, steps: int) -> float:
    """``1 − (1 − first) · (1 + cos(π · step / steps)) / 2``: `first` at step 0, 1 at step `steps`."""
    return 1 - (1 - first) * (1 + math.cos(math.pi * step / steps)) / 2


def usable(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that autograd may keep for its backward pass; tensors made in inference mode it refuses."""
    return tensor.clone()


def _autocast(images: torch.Tensor, precision: Precision) -> torch.autocast:
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(images.device.type, dtype, enabled=precision != "32-true")
