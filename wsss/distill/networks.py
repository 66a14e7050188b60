"""Networks of the distillation: the student, with projections onto OSTE's features while it trains, and frozen OSTE."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from wsss.core.errors import UserError
from wsss.data.index import Index
from wsss.distill.settings import DistillSettings
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import architecture_of, weights_source
from wsss.models.base_student import BaseStudent
from wsss.models.checkpoint import STUDENT, NetworkCard
from wsss.models.linear_student import LINEAR, LinearStudent
from wsss.models.oste import Oste, load_oste
from wsss.models.student import build_student, pyramid_levels
from wsss.numeric.half import Precision


def student_card(index: Index, settings: DistillSettings, remark: str = "") -> NetworkCard:
    """The card that the student's file carries. `remark`: see `TrainingData`."""
    weights = weights_source(settings.backbone) + (f"; {remark}" if remark else "")
    backbone = settings.backbone
    shape, architecture = student_shape(settings), architecture_of(backbone)
    card = NetworkCard(STUDENT, backbone, shape, index.classes, weights, index.sizes, architecture=architecture)
    return replace(card, precision=settings.optim.precision)


def student_shape(settings: DistillSettings) -> dict[str, Any]:
    """What builds the head of the student, as a card holds it."""
    head = {"head": LINEAR} if settings.head == LINEAR else {"channels": settings.channels, "dropout": settings.dropout}
    if not settings.tags.enabled:
        return {**head, "tag_threshold": None}
    return {**head, "tag_threshold": settings.tags.threshold, "tag_exponent": settings.tags.exponent}


def make_student(card: NetworkCard, oste: Path, seed: int, settings: DistillSettings) -> BaseStudent:
    """A new student: its head initialised by `seed`, its backbone from the network file `oste` or from ImageNet."""
    torch.manual_seed(seed)
    network = build_student(card, load_weights=settings.init == "pretrained")
    if settings.init == "oste":
        start_from(network, oste, card)
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    return network


def start_from(network: BaseStudent, oste: Path, card: NetworkCard) -> None:
    """Copy OSTE's trained backbone into `network`; its strides may differ, its architecture may not. A linear student,
    whose backbone stays that of OSTE's classifier, takes the tags of that too.
    """
    trained, found = load_oste(oste, card.classes)
    if found.architecture != card.architecture or (not card.architecture and found.backbone.name != card.backbone.name):
        raise UserError(
            "distill.init",
            f"OSTE is a {found.backbone.name} and the student a {card.backbone.name}",
            "set distill.init: pretrained, or give both the same backbone",
        )
    network.backbone.load_state_dict(trained.backbone.state_dict())
    if isinstance(network, LinearStudent) and network.tags is not None:
        assert trained.head.bias is not None
        with torch.no_grad():
            network.tags.weight.copy_(trained.head.weight[:, :, 0, 0])
            network.tags.bias.copy_(trained.head.bias + trained.prior)


class ProjectedOutput(NamedTuple):
    """`logits` (N, K+1, h, w); `tags` (N, K), if the student learns them; where asked for, features projected to the
    teacher's channels, `fine` and `coarse`.
    """

    logits: torch.Tensor
    tags: torch.Tensor | None
    fine: torch.Tensor | None
    coarse: torch.Tensor | None


class ProjectedStudent(nn.Module):
    """A student and, if the teacher's `channels` (fine, coarse) are given, a 1×1 projection to each of them.

    Only the student is saved in the end. The projections are used for training only.
    """

    def __init__(self, student: BaseStudent, channels: tuple[int, int] | None) -> None:
        super().__init__()
        self.student = student
        self.fine: nn.Conv2d | None = None
        self.coarse: nn.Conv2d | None = None
        if channels is not None:
            levels = student.backbone.levels
            coarse, fine = pyramid_levels(levels)
            self.fine = _projection(levels[fine].channels, channels[0])
            self.coarse = _projection(levels[coarse].channels, channels[1])

    def forward(self, images: torch.Tensor, features: bool) -> ProjectedOutput:
        """(N, 3, H, W) float 0..255 → logits and, where `features`, the projected maps."""
        seen = self.student.look(images)
        if not features:
            # With several processes, DDP would wait for the gradient of outputs that enter no loss.
            return ProjectedOutput(seen.logits, seen.tags, None, None)
        assert self.fine is not None
        assert self.coarse is not None
        return ProjectedOutput(seen.logits, seen.tags, self.fine(seen.fine), self.coarse(seen.coarse))


class Students(nn.Module):
    """One student, or two that teach each other."""

    def __init__(self, *students: ProjectedStudent) -> None:
        super().__init__()
        self.students = nn.ModuleList(students)

    def forward(self, images: torch.Tensor, features: bool) -> tuple[ProjectedOutput, ...]:
        """(N, 3, H, W) float 0..255 → the output of each of them for the same crops."""
        return tuple(student(images, features) for student in self.students)


class OsteOutput(NamedTuple):
    """OSTE's output for N crops: `fine` and `coarse` features (N, c, h, w), `cams` (N, K, h, w) ≥ 0, `logits`
    (N, K+1, h, w) of its segmentation branch, if it has one. Float, without gradient.
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    cams: torch.Tensor
    logits: torch.Tensor | None


class FrozenOste:
    """A trained OSTE as a teacher. It never gets a gradient."""

    def __init__(self, network: Oste, precision: Precision) -> None:
        self.network = network.eval().requires_grad_(False)
        self.precision = precision
        self.coarse, self.fine = pyramid_levels(network.backbone.levels)

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of `fine` and of `coarse`."""
        levels = self.network.backbone.levels
        return levels[self.fine].channels, levels[self.coarse].channels

    def __call__(self, images: torch.Tensor) -> OsteOutput:
        """(N, 3, H, W) float 0..255 → features, logits and CAMs of one forward pass of the backbone.

        The CAMs are fused but not expanded: tiles would need further passes.
        """
        network = self.network.to(images.device)
        dtype = torch.float16 if self.precision == "16-mixed" else torch.bfloat16
        autocast = torch.autocast(images.device.type, dtype, enabled=self.precision != "32-true")
        with torch.inference_mode(), autocast:
            features = network.backbone(images)
            scores = network.head(features[-1]).relu().float()
            cams = network.enhance(features, None, scores)
            logits = None if network.segmentation is None else network.segmented(features)
        # Copies, because autograd refuses to keep tensors made in inference mode for its backward pass.
        fine, coarse, cams = (part.clone() for part in (features[self.fine], features[self.coarse], cams))
        return OsteOutput(fine, coarse, cams, None if logits is None else logits.clone())


def _projection(inputs: int, outputs: int) -> nn.Conv2d:
    """Starts as the identity where channels agree: a student initialised as its teacher then starts at distance 0."""
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    if inputs == outputs:
        nn.init.dirac_(layer.weight)
    else:
        nn.init.orthogonal_(layer.weight)
    return layer
