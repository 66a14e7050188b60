"""Students while they are taught: with the projections that make their features comparable with a teacher's."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from wsss.models.student import Student


class PupilOutput(NamedTuple):
    """`logits` (N, K+1, h, w); `tags` (N, K), if the student learns them; where asked for, features projected to the
    teacher's channels, `fine` and `coarse`.
    """

    logits: torch.Tensor
    tags: torch.Tensor | None
    fine: torch.Tensor | None
    coarse: torch.Tensor | None


class Pupil(nn.Module):
    """A student and, if a teacher's `channels` (fine, coarse) are given, a 1×1 convolution to each of them.

    The student alone is saved in the end; the projections belong to the training.
    """

    def __init__(self, student: Student, channels: tuple[int, int] | None) -> None:
        super().__init__()
        self.student = student
        self.fine: nn.Conv2d | None = None
        self.coarse: nn.Conv2d | None = None
        if channels is not None:
            levels = student.backbone.levels
            self.fine = _projection(levels[student.fine].channels, channels[0])
            self.coarse = _projection(levels[student.coarse].channels, channels[1])

    def forward(self, images: torch.Tensor, features: bool) -> PupilOutput:
        """(N, 3, H, W) float 0..255 → logits and, where `features`, the projected maps."""
        seen = self.student.look(images)
        if not features:
            # What is returned and enters no loss, several processes would wait for.
            return PupilOutput(seen.logits, seen.tags, None, None)
        assert self.fine is not None
        assert self.coarse is not None
        return PupilOutput(seen.logits, seen.tags, self.fine(seen.fine), self.coarse(seen.coarse))


class Pupils(nn.Module):
    """One student, or two that teach each other."""

    def __init__(self, *pupils: Pupil) -> None:
        super().__init__()
        self.pupils = nn.ModuleList(pupils)

    def forward(self, images: torch.Tensor, features: bool) -> tuple[PupilOutput, ...]:
        """(N, 3, H, W) float 0..255 → what each of them makes of the same photos."""
        return tuple(pupil(images, features) for pupil in self.pupils)


def _projection(inputs: int, outputs: int) -> nn.Conv2d:
    """Starts as the identity where channels agree: a student that begins as its teacher has nothing to catch up."""
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    if inputs == outputs:
        nn.init.dirac_(layer.weight)
    else:
        nn.init.orthogonal_(layer.weight)
    return layer
