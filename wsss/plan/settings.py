"""What a plan reads of params.yaml: every section but those of the demo."""

from __future__ import annotations

from wsss.cams.stage import CamsSettings
from wsss.core.params import Seed, Settings
from wsss.correct.settings import CorrectSettings
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Location
from wsss.distill.settings import DistillSettings
from wsss.evaluation.sources import EvaluateSettings
from wsss.formats.settings import DatasetSettings
from wsss.report.gallery import GallerySettings
from wsss.training.oste import TrainSettings
from wsss.training.pretrain import PretrainSettings
from wsss.training.schedule import ComputeSettings


class Params(Settings):
    """The sections that the stages read."""

    seed: Seed
    compute: ComputeSettings
    dataset: DatasetSettings
    pretrain: PretrainSettings
    train: TrainSettings
    inference: InferenceSettings
    cams: CamsSettings
    correct: CorrectSettings
    distill: DistillSettings
    evaluate: EvaluateSettings
    gallery: GallerySettings

    @property
    def location(self) -> Location:
        """Where the photos lie, as the stages after `index` read it."""
        return Location.model_validate(self.dataset.model_dump())
