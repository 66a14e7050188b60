"""What a stage may see, as a type: tags (`WeakImages`), pseudo-labels (`PseudoImages`), or masks (`MaskedImages`).

The promise of weak supervision is kept by these classes: only evaluation and report use `MaskedImages`, and a test of
the imports says so.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from pydantic import ConfigDict, Field
from torch.utils.data import Dataset

from wsss.core.errors import UserError
from wsss.core.params import Settings
from wsss.data.images import decode_image, load_mask
from wsss.data.index import IGNORE, Record
from wsss.data.transforms import AugmentSettings, Sample, augment

Batch = dict[str, torch.Tensor]


class Location(Settings):
    """Where the data set lies: the part of section `dataset` that stages after `index` read.

    Moving a data set changes no result, so it is part of no stage's identity. `index` checks the whole section.
    """

    model_config = ConfigDict(extra="ignore")

    root: str
    max_megapixels: float = Field(gt=0)

    def photos(self, records: Sequence[Record]) -> Photos:
        """`records` at this place."""
        return Photos(Path(self.root), self.max_megapixels, records)


@dataclass(frozen=True)
class Photos:
    """Photos on disk: their records and where they lie."""

    root: Path
    max_megapixels: float
    records: Sequence[Record]

    def image(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8 RGB. `UserError` if the file is gone or is not the one that was indexed."""
        path = self.root / record.image
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(
                path, f"cannot be read ({error.strerror})", "restore the photo, or run: dvc repro index"
            ) from error
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise UserError(path, "has changed since it was indexed", "run: dvc repro index")
        return decode_image(data, path, self.max_megapixels)


class LabelSource(Protocol):
    """Anything that gives label maps by id, such as `stores.labels.LabelStore`."""

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8."""

    def confidence(self, name: str) -> np.ndarray:
        """(H, W) float32 in [0, 1]."""


class _Training(Dataset[Batch], ABC):
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
        """What the network is to learn from the augmented sample."""


class WeakImages(_Training):
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


class PseudoImages(_Training):
    """Photos with pseudo-labels. Items: `image`, `label` and `confidence` (crop, crop) uint8, `number`, `epoch`."""

    def __init__(self, photos: Photos, labels: LabelSource, seed: int, settings: AugmentSettings) -> None:
        super().__init__(photos, seed, settings)
        self.labels = labels

    def sample(self, record: Record) -> Sample:
        confidence = np.rint(self.labels.confidence(record.id) * 255).astype(np.uint8)
        return Sample(self.photos.image(record), self.labels.label(record.id), confidence)

    def targets(self, record: Record, sample: Sample) -> Batch:
        return {"label": torch.from_numpy(sample.label), "confidence": torch.from_numpy(sample.confidence)}


@dataclass(frozen=True)
class MaskedImages:
    """Photos with ground truth. For evaluation and report only."""

    photos: Photos
    classes: int

    def mask(self, record: Record) -> np.ndarray | None:
        """(H, W) uint8, 0..K and 255, or None where the photo has no mask."""
        if record.mask is None:
            return None
        return load_mask(self.photos.root / record.mask, (record.height, record.width), self.classes)


def tag_vector(record: Record, foreground: int) -> np.ndarray:
    """(K,) float32 in {0, 1} from a record's tags."""
    vector = np.zeros(foreground, np.float32)
    vector[[tag - 1 for tag in record.tags]] = 1.0
    return vector
