"""Settings of what a student learns from: pseudo-labels, a teacher's features (stage 1), predictions (stage 2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from wsss.core.params import Settings
from wsss.losses.energy import EnergySettings
from wsss.training.relabel import RelabelSettings
from wsss.training.views import StrongSettings


class Part(Settings):
    """A loss that can be left out, and its weight."""

    enabled: bool = Field(description="add the loss at all")
    weight: NonNegativeFloat


class CorrespondencePart(Part):
    """L_corr."""

    points: int = Field(ge=2, description="places in each of the two sets of a photo; all pairs between them count")


class KlPart(Part):
    """L_kl."""

    temperature: PositiveFloat = Field(description="T by which the logits of both sides are divided")


class EnergyPart(EnergySettings):
    """L_energy."""

    weight: NonNegativeFloat


class TagsPart(Part):
    """L_tags: which classes are in the photo."""

    threshold: float = Field(gt=0, lt=1, description="classes less probable than this are left out of the masks")


class FeatureStage(Settings):
    """Stage 1: OSTE's features."""

    enabled: bool = Field(description="teach features at all")
    epochs: int = Field(ge=0, description="first epochs, before stage 2 begins; also where stage 1 is not enabled")
    keep: bool = Field(description="go on teaching features when stage 2 has begun")
    feature: Part
    correspondence: CorrespondencePart


class PredictionStage(Settings):
    """Stage 2: the teacher's predictions."""

    enabled: bool = Field(description="teach predictions at all")
    kl: KlPart
    cam: Part
    energy: EnergyPart


class AverageSettings(Settings):
    """`teacher: ema`."""

    momentum: float = Field(ge=0, lt=1, description="of the first step; it rises to 1 until the last")
    relabel: RelabelSettings
    strong: StrongSettings


class LessonSettings(Settings):
    """Everything that a student can learn from."""

    teacher: Literal["frozen", "ema", "mutual", "first"] = Field(
        description="whose predictions stage 2 teaches: OSTE's, the student's moving average's, a second student's; "
        "or those of the student that stage 1 has trained to its end, as corrected labels of whole photos"
    )
    confidence_weights: bool = Field(description="weigh each pixel by the confidence of its pseudo-label")
    seg: Part = Field(description="cross-entropy on the pseudo-labels, in all epochs")
    tags: TagsPart = Field(description="learn the photo's tags as well, in all epochs, and mask the probable alone")
    stage1: FeatureStage
    stage2: PredictionStage
    ema: AverageSettings

    @property
    def averages(self) -> bool:
        """True if a moving average of the student teaches."""
        wanted = self.stage2.kl.enabled or self.ema.relabel.enabled
        return self.stage2.enabled and self.teacher == "ema" and wanted

    @property
    def mutual(self) -> bool:
        """True if two students teach each other."""
        return self.stage2.enabled and self.teacher == "mutual" and self.stage2.kl.enabled

    @property
    def in_turn(self) -> bool:
        """True if a first student relabels the photos for a second one."""
        return self.stage2.enabled and self.teacher == "first"

    @property
    def labels_alone(self) -> bool:
        """True if nothing but the pseudo-labels teaches."""
        return not self.averages and self.parts().keys() <= {"seg_background", "seg_foreground"}

    @property
    def projects(self) -> bool:
        """True if features are compared."""
        return self.stage1.enabled and self.stage1.feature.enabled

    def parts(self, epoch: int | None = None) -> dict[str, float]:
        """Weights of the losses that act in `epoch`, counted from 0; of all that ever act if it is None."""
        stage1, stage2 = self.stage1, self.stage2
        parts: dict[str, Part | EnergyPart] = {
            "seg_background": self.seg,
            "seg_foreground": self.seg,
            "tags": self.tags,
        }
        if stage1.enabled and (epoch is None or stage1.keep or epoch < stage1.epochs):
            parts |= {"feature_fine": stage1.feature, "feature_coarse": stage1.feature, "corr": stage1.correspondence}
        if stage2.enabled and (epoch is None or epoch >= stage1.epochs):
            # What a first student predicts is in the labels already.
            parts |= {} if self.in_turn else {"kl": stage2.kl}
            parts |= {"cam": stage2.cam, "energy": stage2.energy}
        return {name: part.weight for name, part in parts.items() if part.enabled}
