"""Section `distill` of params.yaml: the student, its labels and losses, and its rounds of self-training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from wsss.core.errors import UserError
from wsss.core.params import Settings, unit
from wsss.data.index import Record
from wsss.data.transforms import AugmentSettings
from wsss.distill.losses.base import StudentLoss
from wsss.distill.losses.cams import CamLoss
from wsss.distill.losses.correspondence import CorrespondenceLoss
from wsss.distill.losses.energy import EnergyLoss
from wsss.distill.losses.features import FeatureLoss
from wsss.distill.losses.kl import KlLoss
from wsss.distill.losses.pseudo_labels import PseudoLabelLoss
from wsss.distill.losses.tags import TagLoss
from wsss.distill.rules import RelabelSettings
from wsss.models.backbones.registry import BackboneSettings
from wsss.training.rules import cropped, planned
from wsss.training.schedule import OptimSettings

PSEUDO = "pseudo"
"""`distill.labels` for the store that stage `correct` writes."""


CROP = 0.6
"""Of a photo's longer side. Labels are of pixels and as true on a crop, which costs a third of a whole photo."""


class StageOne(Settings):
    """Stage 1, our design after DKD-GC: OSTE teaches its features. Each field of a loss is a loss."""

    enabled: bool = Field(default=True, description="use the losses of stage 1")
    epochs: int = Field(
        default=0,
        ge=0,
        description="epochs before stage 2, even if stage 1 is off; with two rounds, those of the first (0: half)",
        json_schema_extra=unit("epochs"),
    )
    keep: bool = Field(default=True, description="go on with the losses of stage 1 when stage 2 has begun")
    feature: FeatureLoss = FeatureLoss()
    correspondence: CorrespondenceLoss = CorrespondenceLoss()


class StageTwo(Settings):
    """Stage 2, our design after DKD-GC: a teacher teaches its predictions. Each field of a loss is a loss."""

    enabled: bool = Field(default=True, description="use the losses of stage 2")
    kl: KlLoss = KlLoss()
    cam: CamLoss = CamLoss()
    energy: EnergyLoss = EnergyLoss()


class FirstStudent(Settings):
    """The student of the first of two rounds, whose only use is to correct the labels for the second."""

    head: Literal["same", "linear"] = Field(
        default="same",
        description="same: as the second student; linear: one linear layer on OSTE's backbone, which corrects labels "
        "nearly as well in a tenth of the time",
    )
    lr: float = Field(default=0.002, gt=0, description="learning rate of a linear first student")


class DistillSettings(Settings):
    """Section `distill` of params.yaml."""

    labels: str = Field(
        default=PSEUDO,
        description="pseudo: the labels of stage `correct`; else the folder of another store of labels, and photos "
        "that it lacks learn from those of `correct`",
    )
    rounds: Literal[1, 2] = Field(
        default=2,
        description="rounds of self-training: after the first one, its student corrects the labels for the second",
    )
    first: FirstStudent = FirstStudent()
    restart: bool = Field(
        default=True,
        description="round 2 starts from the weights that round 1 started from; else from its end",
    )
    head: Literal["aspp", "linear"] = Field(
        default="aspp",
        description="aspp: a network of several layers, trained with its backbone; linear: one linear layer on OSTE's "
        "backbone, which stays as it is",
    )
    init: Literal["oste", "pretrained"] = Field(
        default="oste",
        description="start the backbone from the trained OSTE (same architecture) or from its weights",
    )
    backbone: BackboneSettings = BackboneSettings()
    # With 16, a group of GroupNorm would be a single channel of a pooled map: always 0, and an error for one photo.
    channels: int = Field(
        default=128,
        ge=32,
        le=8192,
        multiple_of=16,
        description="width of the head",
        json_schema_extra=unit("channels"),
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="fraction of the head's channels that is dropped")
    freeze_bn: bool = Field(default=True, description="keep the pretrained backbone's BatchNorm as it is")
    frozen_levels: int = Field(
        default=1, ge=0, le=3, description="the backbone's first levels that keep their pretrained weights"
    )
    seg: PseudoLabelLoss = PseudoLabelLoss()
    tags: TagLoss = TagLoss()
    stage1: StageOne = StageOne()
    stage2: StageTwo = StageTwo()
    relabel: RelabelSettings = RelabelSettings()
    augment: AugmentSettings = AugmentSettings()
    optim: OptimSettings

    def planned(self, records: Sequence[Record], classes: int) -> DistillSettings:
        """These settings with epochs and crop as numbers, derived from the training photos where they are left at 0."""
        least = 2 if self.rounds == 2 else 1
        optim = planned(self.optim, "distill", len(records), classes, least)
        half = self.rounds == 2 and not self.stage1.epochs
        stage1 = self.stage1.model_copy(update={"epochs": optim.epochs // 2}) if half else self.stage1
        augment = cropped(self.augment, records, CROP)
        return self.model_copy(update={"optim": optim, "stage1": stage1, "augment": augment})

    def losses(self, epoch: int | None = None) -> tuple[StudentLoss, ...]:
        """The losses active in `epoch`, counted from 0; without it, those active in any. In the order of the sum."""
        stage1, stage2 = self.stage1, self.stage2
        chosen = list(_losses_of(self))
        if stage1.enabled and (epoch is None or stage1.keep or epoch < stage1.epochs):
            chosen += _losses_of(stage1)
        if stage2.enabled and (epoch is None or epoch >= stage1.epochs):
            chosen += _losses_of(stage2)
        return tuple(chosen)

    @property
    def mutual(self) -> bool:
        """True if two students teach each other."""
        return self.stage2.enabled and self.stage2.kl.enabled and self.stage2.kl.teacher == "mutual"

    @property
    def linear_first(self) -> bool:
        """True if the first round's student is linear and the second's is not."""
        return self.rounds == 2 and self.head != "linear" and self.first.head == "linear"

    def each_round(self) -> tuple[DistillSettings, ...]:
        """The settings of each round: with two, the first has the epochs of stage 1, and the second all others."""
        if self.rounds == 1:
            return (self,)
        stage1, optim = self.stage1, self.optim
        first: dict[str, Any] = {
            "stage2": self.stage2.model_copy(update={"enabled": False}),
            "optim": optim.model_copy(update={"epochs": stage1.epochs}),
        }
        if self.linear_first:
            # As the recipe `quick` trains it: AdamW, at one rate for its one layer.
            each = {"epochs": stage1.epochs, "lr": self.first.lr, "head_lr_factor": 1.0, "clip_norm": 0.0}
            first |= {
                "head": "linear",
                "stage1": stage1.model_copy(update={"enabled": False}),
                "optim": optim.model_copy(update=each),
            }
        second = {
            "stage1": stage1.model_copy(update={"epochs": 0}),
            "optim": optim.model_copy(update={"epochs": optim.epochs - stage1.epochs}),
        }
        return self.model_copy(update=first), self.model_copy(update=second)

    def store(self, pseudo: Path) -> Path:
        """The folder of labels to learn from; `pseudo` is what stage `correct` wrote."""
        return pseudo if self.labels == PSEUDO else Path(self.labels)

    def check(self) -> None:
        """Raise `UserError` where nothing would be learned, or a stage or a setting would have no effect."""
        begins, epochs = self.stage1.epochs, self.optim.epochs
        if self.head == "linear":
            self._check_linear()
        if self.linear_first:
            self._check_linear_first()
        if self.rounds == 2 and not 0 < begins < epochs:
            raise UserError(
                "distill.stage1.epochs",
                f"found {begins} of {epochs} epochs, but each of two rounds needs some",
                "set it to about half of distill.optim.epochs, or set distill.rounds: 1",
            )
        if self.stage2.enabled and begins >= epochs:
            raise UserError(
                "distill.stage1.epochs",
                f"found {begins} of {epochs} epochs, so that stage 2 never begins",
                f"lower it below {epochs}, or set distill.stage2.enabled: false",
            )
        if self.rounds == 2 and self.stage2.enabled and self.stage2.kl.enabled:
            raise UserError(
                "distill.stage2.kl.enabled",
                "found true with two rounds, whose teacher's predictions are in the corrected labels already",
                "set it to false, or set distill.rounds: 1",
            )
        before = 0
        for part in self.each_round():
            for epoch in {0, min(part.stage1.epochs, part.optim.epochs - 1)}:
                if not any(loss.weight for loss in part.losses(epoch) if loss is not self.tags):
                    raise UserError(
                        "distill",
                        f"no loss acts in epoch {before + epoch + 1}: every one is switched off or has weight 0",
                        "set distill.seg.enabled: true and its weight above 0",
                    )
            before += part.optim.epochs

    def _check_linear(self) -> None:
        """What a linear head cannot have: its backbone learns nothing, and its tags are those of OSTE's classifier."""
        for name, enabled in {"stage1": self.stage1.enabled, "stage2": self.stage2.enabled}.items():
            if enabled:
                what = "found true, but a student with head: linear learns from labels alone"
                raise UserError(f"distill.{name}.enabled", what, "set it to false, or set distill.head: aspp")
        if self.init != "oste":
            what = f"found {self.init}, but a student with head: linear looks through OSTE's backbone"
            raise UserError("distill.init", what, "set it to oste, or set distill.head: aspp")

    def _check_linear_first(self) -> None:
        """What a second student must have that follows a linear one."""
        other = "or set distill.first.head: same"
        if not self.restart:
            what = "found false, but the second student has other layers than a linear first one and must start anew"
            raise UserError("distill.restart", what, f"set it to true, {other}")
        if self.init != "oste":
            what = f"found {self.init}, but a linear first student looks through OSTE's backbone"
            raise UserError("distill.init", what, f"set it to oste, {other}")


def _losses_of(settings: Settings) -> Iterator[StudentLoss]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, StudentLoss) and value.enabled:
            yield value
