"""Training of the student: on pseudo-labels, and with teachers as far as the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from wsss.core.errors import UserError
from wsss.core.stage import Stage
from wsss.data.datasets import LabelSource, Photos, PseudoImages
from wsss.data.index import IGNORE, Index
from wsss.data.sampling import Plan
from wsss.data.transforms import AugmentSettings
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, weights_source
from wsss.models.checkpoint import NetworkCard, build_network, load_network, save_network
from wsss.models.oste import Oste
from wsss.models.student import Student
from wsss.stores.labels import PseudoStore
from wsss.training.follow import FollowLabels, FollowTeacher
from wsss.training.lessons import LessonSettings
from wsss.training.loop import History, fit
from wsss.training.pupils import Pupil, Pupils
from wsss.training.schedule import OptimSettings
from wsss.training.teacher import MovingAverage, OsteTeacher
from wsss.training.views import TaughtImages

PSEUDO = "pseudo"


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
    augment: AugmentSettings
    optim: OptimSettings

    def store(self, pseudo: Path) -> Path:
        """The folder of labels to learn from; `pseudo` is what stage `correct` wrote."""
        return pseudo if self.labels == PSEUDO else Path(self.labels)


def distill(
    stage: Stage,
    index: Index,
    photos: Photos,
    labels: LabelSource,
    oste: Path,
    seed: int,
    settings: DistillSettings,
    out: Path,
    upper_bound: bool = False,
) -> History:
    """Train the student on the labels of `photos` and write it to `out`. Returns the history.

    `oste` is the network file of the teacher, which the student may also start from. Of two students the first is
    written. `upper_bound`: the labels are masks, and the network's file is to say so.
    """
    check_lessons(settings)
    ids = [record.id for record in photos.records]
    if settings.seg.enabled and all(bool((labels.label(name) == IGNORE).all()) for name in ids):
        raise UserError(
            "pseudo-labels",
            f"not one pixel of {len(ids)} photos is labelled, so there is nothing to learn",
            "lower correct.fixed.alpha, or train the classifier longer (pretrain.optim.epochs)",
        )
    shape = {"channels": settings.channels, "dropout": settings.dropout}
    weights = weights_source(settings.backbone) + ("; UPPER BOUND: trained on masks" if upper_bound else "")
    card = NetworkCard("student", settings.backbone, shape, index.classes, weights)
    student = make_student(card, oste, index, seed, settings)
    if settings.labels_alone:
        alone = PseudoImages(photos, labels, seed, settings.augment)
        task = FollowLabels(student, settings.confidence_weights, settings.seg.weight)
        history = fit(task, alone, ids, seed, settings.optim, stage.scratch, stage.name)
    else:
        begins = settings.stage1.epochs
        strong = settings.ema.strong if settings.averages else None
        crops = TaughtImages(photos, labels, index.foreground, seed, settings.augment, strong, begins)
        taught = make_task(student, card, oste, index, seed, len(ids), settings)
        history = fit(taught, crops, ids, seed, settings.optim, stage.scratch, stage.name)
    save_network(out, student, card)
    return history


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


def check_lessons(settings: DistillSettings) -> None:
    """Raise `UserError` where there is an epoch in which nothing would be learnt, or a stage that never begins."""
    begins, epochs = settings.stage1.epochs, settings.optim.epochs
    if settings.stage2.enabled and begins >= epochs:
        raise UserError(
            "distill.stage1.epochs",
            f"found {begins} of {epochs} epochs, so that stage 2 never begins",
            f"lower it below {epochs}, or set distill.stage2.enabled: false",
        )
    for epoch in (0, min(begins, epochs - 1)):
        if not any(settings.parts(epoch).values()):
            raise UserError(
                "distill",
                f"no loss acts in epoch {epoch + 1}: every one is switched off or has weight 0",
                "set distill.seg.enabled: true and its weight above 0",
            )


def open_labels(pseudo: Path, settings: DistillSettings) -> PseudoStore:
    """The labels to learn from: `pseudo`, which stage `correct` wrote, or the store that `distill.labels` names.

    Raises `UserError` for masks that nobody asked for: a student of theirs is no weakly supervised one.
    """
    store = PseudoStore(settings.store(pseudo))
    if store.upper_bound and settings.labels == PSEUDO:
        raise UserError(
            store.path,
            "holds masks and not pseudo-labels (it is marked as an upper bound)",
            f"make pseudo-labels: dvc repro -f -s correct; or, for an upper bound, set distill.labels: {store.path}",
        )
    return store


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
