"""A student taught by a small OSTE: eight photos of noise, eight steps, stage 2 from the second epoch on."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests import toy_oste
from tests.helpers import CLASSES
from wsss.core.environment import leads
from wsss.core.folders import publish
from wsss.core.interrupt import catch_signals
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.data.samples import Batch
from wsss.distill import stage as distilling
from wsss.distill.data import TrainingData
from wsss.distill.networks import make_student, student_card
from wsss.distill.settings import DistillSettings
from wsss.distill.snapshots import Snapshots
from wsss.distill.step import DistillStep
from wsss.losses.term import Term
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import OSTE, NetworkCard, save_network
from wsss.models.oste import build_oste
from wsss.training.loop import History

STEPS = 8
"""Two an epoch; with `BOUNDARY` of them stage 2 begins."""
BOUNDARY = 2
INFERENCE = InferenceSettings(batch=3, threads=1, shard_size=3)

SETTINGS = DistillSettings.model_validate(
    {
        "rounds": 1,
        "init": "pretrained",
        "backbone": {"name": "tiny", "output_stride": 16, "weights": "random"},
        "channels": 32,
        "dropout": 0.3,
        "frozen_levels": 0,
        "tags": {"enabled": True, "weight": 0.6},
        "stage1": {
            "epochs": 1,
            "feature": {"weight": 0.5},
            "correspondence": {"weight": 0.3, "points": 9},
        },
        "stage2": {
            "kl": {"weight": 0.7, "teacher": "frozen"},
            "cam": {"weight": 0.4},
            "energy": {"weight": 0.2, "sigma_xy": 30.0, "stride": 8},
        },
        "relabel": {"tau_bg": 0.5, "tau_fg": 0.5, "overrule": True, "crf": toy_oste.CRF.model_dump()},
        "augment": {"crop": 64},
        "optim": {
            "epochs": 4,
            "batch": 4,
            "lr": 0.01,
            "head_lr_factor": 5.0,
            "weight_decay": 1e-3,
            "warmup_steps": 2,
            "precision": "32-true",
        },
    }
)
"""One round, every loss, OSTE's own predictions."""


def altered(settings: DistillSettings = SETTINGS, **changes: Any) -> DistillSettings:
    """`settings` with other values: ``stage1__feature__enabled=False``."""
    tree = settings.model_dump()
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = tree
        for parent in parents:
            place = place[parent]
        assert last in place, path
        place[last] = value
    return DistillSettings.model_validate(tree)


FROZEN = SETTINGS
MUTUAL = altered(stage2__kl__teacher="mutual")
TWO_ROUNDS = altered(rounds=2, stage2__kl__enabled=False)
VARIANTS = {"frozen": FROZEN, "mutual": MUTUAL, "two rounds": TWO_ROUNDS}


class ToyStore:
    """Labels of `toy_oste.toy_photos`: a third unsure, never a class that is not tagged; every fourth photo all 255."""

    def __init__(self, photos: Photos) -> None:
        self.records = {record.id: (number, record) for number, record in enumerate(photos.records)}

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def label(self, name: str) -> np.ndarray:
        number, record = self.records[name]
        generator = np.random.default_rng(number)
        choices = np.array([0, 0, *record.tags, 255, 255], np.uint8)
        label = np.full((record.height, record.width), 255, np.uint8)
        if number % 4 != 3:
            coarse = choices[generator.integers(0, len(choices), (record.height // 8, record.width // 8))]
            label = coarse.repeat(8, 0).repeat(8, 1)
        return label

    def confidence(self, name: str) -> np.ndarray:
        number, record = self.records[name]
        sure = np.random.default_rng((number, 1)).random((record.height, record.width)).astype(np.float32)
        return np.where(self.label(name) == 255, np.float32(0), sure)


class Unknown(ToyStore):
    """Not one pixel is labelled."""

    def label(self, name: str) -> np.ndarray:
        return np.full_like(super().label(name), 255)


def write_oste(
    path: Path, backbone: str = "tiny", stride: int = 16, width: float = 1.0, classes: Any = CLASSES
) -> Path:
    """The file of an OSTE with random weights and class maps of either sign that reach about 1."""
    torch.manual_seed(5)
    card = NetworkCard(
        OSTE,
        BackboneSettings(name=backbone, output_stride=stride, weights="random", width=width),  # type: ignore[arg-type]
        {
            "dropout": 0.3,
            "channels": 32,
            "norm": "group",
            "expansion": json.loads(toy_oste.EXPANSION.model_dump_json()),
            "fusion": json.loads(toy_oste.FUSION.model_dump_json())
            | ({} if backbone == "tiny" else {"enabled": False}),
        },
        classes,
        "random",
    )
    network = build_oste(card, load_weights=True)
    nn.init.normal_(network.head.weight, std=0.1)
    for layer in network.segmentation:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.05)
    save_network(path, network, card)
    return path


def toy_data(folder: Path, upper_bound: bool = False, labels: type[ToyStore] = ToyStore) -> TrainingData:
    """Photos and OSTE's file in `folder`, made if they are not there; `labels` of the photos; seed 0."""
    photos = toy_oste.toy_photos(folder / "photos")
    oste = folder / "oste.pt"
    if not oste.exists():
        write_oste(oste)
    return TrainingData(Index(CLASSES, tuple(photos.records)), photos, labels(photos), oste, 0, upper_bound)


def toy_stage(folder: Path) -> Stage:
    """Stage `distill` with its scratch in `folder`."""
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    return Stage("distill", "f" * 16, folder / "scratch")


class ToyStep(DistillStep):
    """After `stop_after` steps, those of `before` counted, a signal reaches the process. Keeps what it has seen."""

    stop_after: int | None = None
    steps = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.epochs: list[int] = []

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        self.steps += 1
        self.epochs.append(int(batch["epoch"][0]))
        if self.steps == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().terms(network, batch)


def train_student(
    folder: Path,
    settings: DistillSettings = SETTINGS,
    stop_after: int | None = None,
    upper_bound: bool = False,
    labels: type[ToyStore] = ToyStore,
    by_hand: int = 0,
    from_network: int = 0,
    learned: str = "",
) -> tuple[History, list[ToyStep]]:
    """The stage in `folder`, which also holds its photos, its teacher, its scratch and its three results: `student.pt`,
    and the folders `relabelled` and `epochs`. Returns the history and the steps of each round that was trained.
    """
    made: list[ToyStep] = []

    def make(*arguments: Any) -> ToyStep:
        step = ToyStep(*arguments)
        step.stop_after, step.steps = stop_after, made[-1].steps if made else 0
        made.append(step)
        return step

    with catch_signals(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(distilling, "DistillStep", make)
        data = replace(toy_data(folder, upper_bound, labels), by_hand=by_hand)
        data = replace(data, from_network=from_network, learned=learned)
        found = distilling.distill(toy_stage(folder), data, settings, INFERENCE, folder / "student.pt")
    if leads():
        publish(found.relabelled, folder / "relabelled")
        publish(found.epochs, folder / "epochs")
    return found.history, made


def first_step(folder: Path, settings: DistillSettings = SETTINGS) -> tuple[DistillStep, Any]:
    """The step of a training that is about to begin, and its data set."""
    found: list[tuple[DistillStep, Any]] = []
    data = toy_data(folder)
    card = student_card(data.index, settings, data.remark)
    student = make_student(card, data.oste, data.seed, settings)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(distilling, "fit", lambda step, crops, *_: found.append((step, crops)) or [])
        distilling.train_round(
            student,
            card,
            data,
            settings,
            toy_stage(folder),
            "toy",
            Snapshots(student, card.classes, data.photos, folder / "epochs"),
        )
    return found[0]
