"""One training of one student, or of two together: settings, what it is made of, and the networks to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from wsss.core.errors import UserError
from wsss.data.datasets import LabelSource, Photos, PseudoImages
from wsss.data.index import Index
from wsss.data.sampling import Plan
from wsss.data.transforms import AugmentSettings
from wsss.inference.relabel import PhotoLabelSettings
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_network, load_network
from wsss.models.oste import Oste
from wsss.models.student import Student
from wsss.training.follow import FollowLabels, FollowTeacher
from wsss.training.lessons import LessonSettings
from wsss.training.loop import History, fit
from wsss.training.pupils import Pupil, Pupils
from wsss.training.schedule import OptimSettings
from wsss.training.teacher import MovingAverage, OsteTeacher
from wsss.training.views import TaughtImages

PSEUDO = "pseudo"


class FirstSettings(PhotoLabelSettings):
    """`teacher: first`."""

    restart: bool = Field(description="the second student begins where the first began; else where it ended")


class DistillSettings(LessonSettings):
    """Section `distill` of params.yaml."""

    labels: str = Field(description="pseudo: those of stage `correct`; else the folder of another store of labels")
    init: Literal["oste", "pretrained"] = Field(
        description="start the backbone from the trained OSTE (the same architecture) or from backbone.weights"
    )
    backbone: BackboneSettings
    # With 16, a group of GroupNorm would be the one channel of a pooled map: always 0, and an error for one photo.
    channels: int = Field(ge=32, multiple_of=16, description="width of the student's head")
    dropout: float = Field(ge=0, lt=1)
    freeze_bn: bool = Field(description="keep BatchNorm statistics and affine of the pretrained backbone as they are")
    frozen_levels: int = Field(ge=0, le=3, description="the backbone's first levels that keep their pretrained weights")
    first: FirstSettings
    augment: AugmentSettings
    optim: OptimSettings

    def store(self, pseudo: Path) -> Path:
        """The folder of labels to learn from; `pseudo` is what stage `correct` wrote."""
        return pseudo if self.labels == PSEUDO else Path(self.labels)


@dataclass(frozen=True)
class Material:
    """What every training of a student needs: the data set, its photos and their labels, OSTE's file, the seed.

    `upper_bound`: the labels are masks, and whatever comes of them is to say so.
    """

    index: Index
    photos: Photos
    labels: LabelSource
    oste: Path
    seed: int
    upper_bound: bool = False


def teach(
    student: Student,
    card: NetworkCard,
    given: Material,
    settings: DistillSettings,
    scratch: Path,
    label: str,
    each_epoch: Callable[[int], None],
) -> History:
    """Train `student` in place, with checkpoints in `scratch`; `label` names the progress; `each_epoch`: see `fit`."""
    photos, ids = given.photos, [record.id for record in given.photos.records]
    if settings.labels_alone:
        alone = PseudoImages(photos, given.labels, given.seed, settings.augment)
        task = FollowLabels(student, settings.confidence_weights, settings.seg.weight)
        return fit(task, alone, ids, given.seed, settings.optim, scratch, label, each_epoch)
    begins = settings.stage1.epochs
    strong = settings.ema.strong if settings.averages else None
    crops = TaughtImages(photos, given.labels, given.index.foreground, given.seed, settings.augment, strong, begins)
    taught = make_task(student, card, given.oste, given.index, given.seed, len(ids), settings)
    return fit(taught, crops, ids, given.seed, settings.optim, scratch, label, each_epoch)


def make_student(card: NetworkCard, oste: Path, index: Index, seed: int, settings: DistillSettings) -> Student:
    """A new student, its head drawn by `seed`."""
    torch.manual_seed(seed)
    network = build_network(card, load_weights=settings.init == "pretrained")
    assert isinstance(network, Student)
    if settings.init == "oste":
        start_from(network, oste, index, settings.backbone)
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    return network


def make_task(
    student: Student, card: NetworkCard, oste: Path, index: Index, seed: int, photos: int, settings: DistillSettings
) -> FollowTeacher:
    """What `student` learns with teachers: OSTE, and its own moving average or a second student if asked for."""
    optim = settings.optim
    network, _ = load_network(oste, "oste", index.classes)
    assert isinstance(network, Oste)
    teacher = OsteTeacher(network, optim.precision)
    channels = teacher.channels if settings.projects else None
    pupils = [Pupil(student, channels)]
    if settings.mutual:
        pupils.append(Pupil(make_student(card, oste, index, seed + 1, settings), channels))
    average = None
    if settings.averages:
        begins = settings.stage1.epochs * Plan(seed, photos, optim.batch, optim.epochs).steps_per_epoch
        average = MovingAverage(student, settings.ema.momentum, begins, optim.precision)
    return FollowTeacher(Pupils(*pupils), teacher, average, seed, settings)


def start_from(network: Student, oste: Path, index: Index, backbone: BackboneSettings) -> None:
    """Copy OSTE's trained backbone into `network`; its strides may differ, its architecture may not."""
    trained, card = load_network(oste, "oste", index.classes)
    if card.backbone.name != backbone.name:
        raise UserError(
            "distill.init",
            f"OSTE is a {card.backbone.name} and the student a {backbone.name}",
            "set distill.init: pretrained, or give both the same backbone",
        )
    network.backbone.load_state_dict(trained.backbone.state_dict())
