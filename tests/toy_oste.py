"""A small OSTE, its settings, and a training of it: eight photos of noise, eight steps, one epoch of warm-up."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tests.helpers import CLASSES
from wsss.core.interrupt import catch_signals
from wsss.core.stage import Stage
from wsss.correct.fixed import FixedSettings
from wsss.crf.settings import PUBLISHED
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.data.samples import Batch
from wsss.data.transforms import AugmentSettings
from wsss.losses.energy import EnergySettings
from wsss.losses.term import Term
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.classifier import build_classifier
from wsss.models.expansion import ExpansionSettings
from wsss.models.fusion import FusionSettings
from wsss.models.oste import Oste
from wsss.training import oste
from wsss.training.loop import History
from wsss.training.oste import LearnEverything, LossWeights, TrainSettings
from wsss.training.schedule import OsteOptim

EXPANSION = ExpansionSettings()
FUSION = FusionSettings(channels=32)
CRF = PUBLISHED.model_copy(update={"iterations": 3, "bilateral_xy": 20.0})
SETTINGS = TrainSettings(
    dropout=0.3,
    channels=32,
    frozen_levels=0,
    scales=(1.0, 0.5),
    expansion=EXPANSION,
    fusion=FUSION,
    enhance=FixedSettings(alpha=0.5, crf=CRF),
    energy=EnergySettings(sigma_xy=30, stride=8),
    weights=LossWeights(tiles=0.5, mae=0.7, seg=0.9, ecr=0.3),
    augment=AugmentSettings(crop=64),
    optim=OsteOptim(
        epochs=4,
        batch=4,
        lr=0.01,
        head_lr_factor=5.0,
        weight_decay=1e-3,
        warmup_steps=2,
        clip_norm=0.0,
        precision="32-true",
    ),
)
"""Eight steps, two an epoch; the first two are warm-up."""

TAGS = ((1,), (2, 3), (), (1, 2, 3), (3,), (1, 2), (2,), (1, 3))


def altered(settings: TrainSettings = SETTINGS, **changes: Any) -> TrainSettings:
    """`settings` with other values; a value that is a dict changes a part: ``expansion={"enabled": False}``."""
    parts = {
        name: getattr(settings, name).model_copy(update=value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return settings.model_copy(update=parts)


def without_crf(settings: TrainSettings = SETTINGS) -> TrainSettings:
    return altered(settings, enhance={"crf": None})


SHARED = altered(
    without_crf(), dropout=0.0, enhance={"alpha": 0.8}, optim={"epochs": 10, "lr": 0.0005, "head_lr_factor": 10.0}
)
"""For two processes. At a higher rate the kinks of ReLU amplify the rounding of a sum in another order."""


def toy_network(settings: TrainSettings = SETTINGS, stride: int = 16) -> Oste:
    """Tiny backbone, three classes, class maps of either sign that reach about 1."""
    torch.manual_seed(0)
    backbone = build_backbone(BackboneSettings(name="tiny", output_stride=stride, weights="random"))
    network = Oste(backbone, 3, settings.dropout, settings.channels, settings.norm, settings.expansion, settings.fusion)
    nn.init.normal_(network.head.weight, std=0.1)
    return network


def toy_classifier(path: Path, stride: int = 32, bias: bool = True) -> Path:
    """The file of a tiny classifier with random weights."""
    torch.manual_seed(1)
    backbone = BackboneSettings(name="tiny", output_stride=stride, weights="random")
    card = NetworkCard("classifier", backbone, {"dropout": 0.5, "bias": bias}, CLASSES, "random")
    network = build_classifier(card, load_weights=True)
    nn.init.normal_(network.head.weight, std=0.1)
    save_network(path, network, card)
    return path


def toy_photos(folder: Path) -> Photos:
    """Eight photos with soft blobs of colour and `TAGS`, some smaller than the crop."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number, tags in enumerate(TAGS):
        size = (72, 96) if number % 2 else (40, 88)
        small = np.random.default_rng(number).integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        records.append(Record(f"photo {number}", "train", path.name, None, tags, *size, digest))
    return Photos(folder, 1.0, tuple(records))


class ToyOste(LearnEverything):
    """After `stop_after` steps a signal reaches the process; in step `bad_step` a weight of the network is NaN."""

    def __init__(
        self, network: nn.Module, settings: TrainSettings, stop_after: int | None = None, bad_step: int | None = None
    ) -> None:
        super().__init__(network, settings)
        self.steps, self.stop_after, self.bad_step = 0, stop_after, bad_step
        self.numbers: list[list[int]] = []

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        self.steps += 1
        self.numbers.append(batch["number"].tolist())
        if self.steps == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.steps == self.bad_step:
            with torch.no_grad():
                self.network.head.weight[0] = torch.nan
        return super().terms(network, batch)


def train_toy_oste(
    folder: Path, settings: TrainSettings = SETTINGS, bias: bool = True, **task: int
) -> tuple[History, ToyOste]:
    """The stage's training in `folder`, which also holds its photos, its classifier, its scratch and its `oste.pt`."""
    made: list[ToyOste] = []

    def make(network: nn.Module, chosen: TrainSettings) -> ToyOste:
        made.append(ToyOste(network, chosen, **task))
        return made[0]

    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    photos = toy_photos(folder / "photos")
    stage = Stage("train", "f" * 16, folder / "scratch")
    index = Index(CLASSES, tuple(photos.records))
    classifier = toy_classifier(folder / "backbone.pt", bias=bias)
    before, oste.LearnEverything = oste.LearnEverything, make  # type: ignore[assignment, misc]
    try:
        with catch_signals():
            history = oste.train(stage, index, photos, classifier, 0, settings, folder / "oste.pt").history
    finally:
        oste.LearnEverything = before  # type: ignore[misc]
    return history, made[0]
