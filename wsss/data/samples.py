"""Augmented training samples: photos with tags. Those with pseudo-labels are in `distill.data`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch.utils.data import Dataset

from wsss.data.index import IGNORE, Record
from wsss.data.photos import Photos, tag_vector
from wsss.data.transforms import AugmentSettings, Sample, augment

Batch = dict[str, torch.Tensor]


class TrainingSamples(Dataset[Batch], ABC):
    """Augmented samples by (epoch, number). The generator is keyed by (seed, epoch, number), never by a worker."""

    def __init__(self, photos: Photos, seed: int, settings: AugmentSettings) -> None:
        self.photos, self.seed, self.settings = photos, seed, settings

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, number = key
        record = self.photos.records[number]
        sample = augment(self.sample(record), self.settings, np.random.default_rng((self.seed, epoch, number)))
        item = {
            "number": torch.tensor(number),
            "epoch": torch.tensor(epoch),
            "image": torch.from_numpy(sample.image).permute(2, 0, 1),
        }
        return item | self.targets(record, sample)

    @abstractmethod
    def sample(self, record: Record) -> Sample:
        """The whole photo with what belongs to its pixels."""

    @abstractmethod
    def targets(self, record: Record, sample: Sample) -> Batch:
        """The training targets of the augmented sample."""


class WeakImages(TrainingSamples):
    """Photos with tags.

    Items: `image` (3, crop, crop) uint8; `inside` (crop, crop) bool, False where the crop goes beyond the photo;
    `tags` (K,) float32 in {0, 1}; `number` and `epoch` int64.
    """

    def __init__(self, photos: Photos, foreground: int, seed: int, settings: AugmentSettings) -> None:
        super().__init__(photos, seed, settings)
        self.foreground = foreground

    def sample(self, record: Record) -> Sample:
        image = self.photos.image(record)
        return Sample(image, label=np.zeros(image.shape[:2], np.uint8))

    def targets(self, record: Record, sample: Sample) -> Batch:
        assert sample.label is not None
        tags = torch.from_numpy(tag_vector(record, self.foreground))
        return {"tags": tags, "inside": torch.from_numpy(sample.label != IGNORE)}
