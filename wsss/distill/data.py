"""Training samples of the student: crops with pseudo-labels, their confidence, and the photo's tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from wsss.core.errors import UserError
from wsss.core.labels_fit import labels_fit
from wsss.core.log import say
from wsss.data.index import IGNORE, Index, Record
from wsss.data.origins import remark
from wsss.data.photos import Photos, tag_vector
from wsss.data.samples import Batch, TrainingSamples
from wsss.data.transforms import AugmentSettings, Sample
from wsss.distill.settings import PSEUDO, DistillSettings
from wsss.stores.filled import FilledStore
from wsss.stores.labels import PseudoStore


class LabelSource(Protocol):
    """Anything that gives label maps by id, such as `stores.labels.LabelStore`."""

    def __contains__(self, name: str) -> bool:
        """True if it has a label map of this photo."""

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8."""

    def confidence(self, name: str) -> np.ndarray:
        """(H, W) float32 in [0, 1]."""


@dataclass(frozen=True)
class TrainingData:
    """What a student is trained on: the index, the training photos and their labels, OSTE's network file, the seed.

    `upper_bound`: the labels are masks; `by_hand`: of so many photos a person has corrected them; `from_network`: of so
    many they are a network's masks. What is trained on them must be marked as such. `learned`: the checksum of the
    store that `distill.labels` names, which no stage makes.
    """

    index: Index
    photos: Photos
    labels: LabelSource
    oste: Path
    seed: int
    upper_bound: bool = False
    by_hand: int = 0
    from_network: int = 0
    learned: str = ""

    @property
    def ids(self) -> list[str]:
        """Ids of the training photos."""
        return [record.id for record in self.photos.records]

    @property
    def remark(self) -> str:
        """What beside tags the labels rest on; empty if nothing."""
        if self.upper_bound:
            return "UPPER BOUND: trained on masks"
        return remark(self.by_hand, self.from_network)

    def check(self, settings: DistillSettings) -> None:
        """Raise `UserError` if no pixel is labelled, or if masks or a person's corrections would be overruled."""
        if (self.upper_bound or self.by_hand) and settings.rounds == 2 and settings.relabel.overrule:
            lost = "masks, and the result would be no upper bound" if self.upper_bound else "labels corrected by hand"
            raise UserError(
                "distill.relabel.overrule",
                f"found true: a first student would overrule the {lost}",
                "set it to false; or set distill.rounds: 1",
            )
        if settings.seg.enabled and all(bool((self.labels.label(name) == IGNORE).all()) for name in self.ids):
            raise UserError(
                "pseudo-labels",
                f"not one pixel of {len(self.ids)} photos is labelled, so there is nothing to learn",
                "lower correct.fixed.alpha, or train the classifier longer (pretrain.optim.epochs)",
            )


class LabelledImages(TrainingSamples):
    """Photos with pseudo-labels and tags.

    Items: `image` (3, crop, crop) uint8; `label` and `confidence` (crop, crop) uint8; `inside` (crop, crop) bool, False
    where the crop goes beyond the photo; `tags` (K,) float32 in {0, 1}; `number` and `epoch` int64.
    """

    def __init__(
        self, photos: Photos, labels: LabelSource, foreground: int, seed: int, settings: AugmentSettings
    ) -> None:
        super().__init__(photos, seed, settings)
        self.labels, self.foreground = labels, foreground

    def sample(self, record: Record) -> Sample:
        confidence = np.rint(self.labels.confidence(record.id) * 255).astype(np.uint8)
        # At least 1 of 255, so that 0 means outside the photo: crops are padded with 0.
        return Sample(self.photos.image(record), self.labels.label(record.id), np.maximum(confidence, 1))

    def targets(self, record: Record, sample: Sample) -> Batch:
        confidence = torch.from_numpy(sample.confidence)
        return {
            "label": torch.from_numpy(sample.label),
            "confidence": confidence,
            "inside": confidence > 0,
            "tags": torch.from_numpy(tag_vector(record, self.foreground)),
        }


def open_labels(pseudo: Path, settings: DistillSettings, index: Index) -> PseudoStore:
    """The labels to learn from: `pseudo`, which stage `correct` wrote, or the store that `distill.labels` names. Photos
    of `index` that the latter lacks learn from `pseudo`, if it holds no masks; those that it has beyond are left out.

    Raises `UserError` for masks in `pseudo`: a student trained on masks must be asked for, as it is not weakly
    supervised; and for labels of other classes, or masks that lack a photo to learn from.
    """
    place = settings.store(pseudo)
    store = PseudoStore(place)
    if settings.labels == PSEUDO:
        if store.upper_bound:
            raise UserError(
                store.path,
                "holds masks and not pseudo-labels (it is marked as an upper bound)",
                f"make pseudo-labels: dvc repro -f -s correct; or, for an upper bound, set distill.labels: {place}",
            )
        store.expect_classes(index.classes)
        return store
    fit = labels_fit(place, {record.id: record.split for record in index.records}, index.classes)
    if fit is not None:
        fit.check()
        if fit.told and not store.upper_bound:
            say(f"distill: {place}: {fit.told}")
    store.expect_classes(index.classes)
    if store.upper_bound:
        return store
    ids = [record.id for record in index.records]
    rest = PseudoStore(pseudo) if any(name not in store for name in ids) else store
    rest.expect_classes(index.classes)
    return FilledStore(store, rest, ids)
