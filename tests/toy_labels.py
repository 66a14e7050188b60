"""Photos with labels for a training of seconds, good ones and bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from tests.helpers import die
from wsss.core.errors import UserError
from wsss.data.samples import Batch


class ToyLabels(Dataset[Batch]):
    """12 photos whose labels are unevenly spread: some without a labelled pixel, some with every pixel labelled."""

    photos = 12

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, number = key
        generator = np.random.default_rng((epoch, number))
        label = generator.integers(0, 4, (32, 32))
        label[generator.random((32, 32)) > (number % 4) / 3] = 255
        return {
            "number": torch.tensor(number),
            "image": torch.from_numpy(generator.integers(0, 256, (3, 32, 32), np.uint8)),
            "label": torch.from_numpy(label.astype(np.uint8)),
            "confidence": torch.from_numpy(generator.integers(0, 256, (32, 32), np.uint8)),
        }


class BadPhoto(ToyLabels):
    """Photo 5 cannot be read."""

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        if key[1] == 5:
            raise UserError("photo 5", "is bad", "mend it")
        return super().__getitem__(key)


class DeadlyPhoto(ToyLabels):
    """Photo 5 ends the process that reads it."""

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        return die(0) if key[1] == 5 else super().__getitem__(key)


class Opening(ToyLabels):
    """Reads `path` for photo 5."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        if key[1] == 5:
            self.path.read_bytes()
        return super().__getitem__(key)
