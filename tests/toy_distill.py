"""A student taught by a small OSTE: eight photos of noise, eight steps, stage 2 from the second epoch on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from wsss.distill.students import DistillSettings, Material

from tests import toy_oste
from tests.helpers import CLASSES
from wsss.core.interrupt import catch_signals
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.photos import Photos
from wsss.data.samples import Batch
from wsss.distill import students
from wsss.distill.stage import distill
from wsss.distill.step import FollowTeacher
from wsss.losses.term import Term
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_network, save_network
from wsss.training.loop import History

STEPS = 8
"""Two an epoch; with `BOUNDARY` of them stage 2 begins."""
BOUNDARY = 2

SETTINGS = DistillSettings.model_validate(
    {
        "labels": "pseudo",
        "teacher": "frozen",
        "init": "pretrained",
        "backbone": {"name": "tiny", "output_stride": 16, "weights": "random"},
        "channels": 32,
        "dropout": 0.3,
        "freeze_bn": True,
        "frozen_levels": 0,
        "confidence_weights": True,
        "seg": {"enabled": True, "weight": 1.0},
        "tags": {"enabled": True, "weight": 0.6, "threshold": 0.1},
        "stage1": {
            "enabled": True,
            "epochs": 1,
            "keep": True,
            "feature": {"enabled": True, "weight": 0.5},
            "correspondence": {"enabled": True, "weight": 0.3, "points": 9},
        },
        "stage2": {
            "enabled": True,
            "kl": {"enabled": True, "weight": 0.7, "temperature": 2.0},
            "cam": {"enabled": True, "weight": 0.4},
            "energy": {
                "enabled": True,
                "weight": 0.2,
                "sigma_xy": 30.0,
                "sigma_rgb": 15.0,
                "stride": 8,
                "gate": "soft",
            },
        },
        "ema": {
            "momentum": 0.6,
            "relabel": {
                "enabled": True,
                "tau_bg": 0.5,
                "tau_fg": 0.5,
                "overrule": True,
                "agree": False,
                "fill": False,
                "crf": toy_oste.CRF.model_copy(update={"enabled": False}).model_dump(),
            },
            "strong": {"jitter": 0.5, "blur": 1.0, "cutout": 0.3},
        },
        "first": {
            "restart": True,
            "scales": (1.0,),
            "flip": True,
            "rules": {
                "tau_bg": 0.5,
                "tau_fg": 0.5,
                "overrule": True,
                "fill": True,
                "agree": False,
                "crf": toy_oste.CRF.model_dump(),
            },
            "batch": 3,
            "threads": 1,
            "shard_size": 3,
        },
        "augment": {"crop": 64, "scale": (0.7, 1.5), "flip": True, "jitter": 0.2},
        "optim": {
            "epochs": 4,
            "batch": 4,
            "lr": 0.01,
            "head_lr_factor": 5.0,
            "momentum": 0.9,
            "weight_decay": 1e-3,
            "power": 0.9,
            "warmup_steps": 2,
            "clip_norm": 0.0,
            "precision": "32-true",
        },
    }
)


def altered(settings: DistillSettings = SETTINGS, **changes: Any) -> DistillSettings:
    """`settings` with other values: ``stage1__feature__enabled=False``."""
    tree = settings.model_dump()
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = tree
        for parent in parents:
            place = place[parent]
        place[last] = value
    return DistillSettings.model_validate(tree)


class ToyStore:
    """Labels of `toy_oste.toy_photos`: a third unsure, never a class that is not tagged; every fourth photo all 255."""

    def __init__(self, photos: Photos) -> None:
        self.records = {record.id: (number, record) for number, record in enumerate(photos.records)}

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


def write_oste(
    path: Path, backbone: str = "tiny", stride: int = 16, width: float = 1.0, classes: Any = CLASSES
) -> Path:
    """The file of an OSTE with random weights and class maps of either sign that reach about 1."""
    torch.manual_seed(5)
    card = NetworkCard(
        "oste",
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
    network = build_network(card, load_weights=True)
    nn.init.normal_(network.head.weight, std=0.1)
    for layer in network.segmentation:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.05)
    save_network(path, network, card)
    return path


class ToyLessons(FollowTeacher):
    """After `stop_after` steps a signal reaches the process. Keeps what it has seen."""

    stop_after: int | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.steps = 0
        self.epochs: list[int] = []

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        self.steps += 1
        self.epochs.append(int(batch["epoch"][0]))
        if self.steps == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().terms(network, batch)


def train_student(
    folder: Path, settings: DistillSettings = SETTINGS, stop_after: int | None = None
) -> tuple[History, ToyLessons | None]:
    """The stage's training in `folder`, which also holds its photos, its teacher, its scratch and its `student.pt`."""
    made: list[ToyLessons] = []

    def make(*arguments: Any) -> ToyLessons:
        made.append(ToyLessons(*arguments))
        made[-1].stop_after = stop_after
        made[-1].steps = made[-2].steps if len(made) > 1 else 0  # of two students in turn
        return made[-1]

    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    photos = toy_oste.toy_photos(folder / "photos")
    oste = folder / "oste.pt"
    if not oste.exists():
        write_oste(oste)
    stage = Stage("distill", "f" * 16, folder / "scratch")
    index = Index(CLASSES, tuple(photos.records))
    before, students.FollowTeacher = students.FollowTeacher, make  # type: ignore[assignment, misc]
    try:
        with catch_signals():
            material = Material(index, photos, ToyStore(photos), oste, 0)
            outs = (folder / "student.pt", folder / "relabelled", folder / "epochs")
            history = distill(stage, material, settings, *outs)
    finally:
        students.FollowTeacher = before  # type: ignore[misc]
    return history, made[0] if made else None
