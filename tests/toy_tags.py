"""Photos whose tags a linear probe can tell, or cannot: patches of colour on grey noise, tagged by their colours."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import CLASSES
from wsss.core.stage import Stage
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.data.transforms import AugmentSettings
from wsss.models.backbones.registry import BackboneSettings
from wsss.training.pretrain import Pretrained, PretrainSettings, pretrain
from wsss.training.schedule import GentleOptim

COLOURS = ((220, 40, 40), (40, 220, 40), (10, 10, 10))
SIZE = (48, 64)
SETTINGS = PretrainSettings(
    backbone=BackboneSettings(name="tiny", output_stride=32, weights="random"),
    dropout=0.3,
    frozen_levels=0,
    augment=AugmentSettings(crop=64),
    optim=GentleOptim(epochs=4, batch=4, lr=0.001, warmup_steps=2, precision="32-true"),
)
"""24 photos, six steps an epoch."""


def coloured(folder: Path, train: int = 24, val: int = 12, honest: bool = True) -> tuple[Index, Photos]:
    """`train` + `val` photos in `folder`; not `honest`: their tags have nothing to do with what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(train + val):
        generator = np.random.default_rng(number)
        shown = [k for k in range(3) if number >> k & 1]
        pixels = generator.integers(100, 156, (*SIZE, 3), np.uint8)
        for k in shown:
            pixels[4:44, 2 + 20 * k : 20 + 20 * k] = COLOURS[k]
        path = folder / f"{number:02}.png"
        Image.fromarray(pixels).save(path)
        tags = shown if honest else [k for k in range(3) if generator.random() < 0.5]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        split = "train" if number < train else "val"
        named = tuple(k + 1 for k in tags)
        records.append(Record(f"photo {number:02}", split, path.name, None, named, *SIZE, digest))
    return Index(CLASSES, tuple(records)), Photos(folder, 1.0, tuple(records))


def pretrain_toy(folder: Path, settings: PretrainSettings = SETTINGS, honest: bool = True, val: int = 12) -> Pretrained:
    """The stage in `folder`, which also holds its photos, its scratch and its `backbone.pt`."""
    index, photos = coloured(folder / "photos", honest=honest, val=val)
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    stage = Stage("pretrain", "f" * 16, folder / "scratch")
    return pretrain(stage, index, photos, 0, settings, folder / "backbone.pt")
