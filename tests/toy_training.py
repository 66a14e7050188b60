"""A training of seconds: twelve photos, nine steps, a tiny student."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch

from tests.helpers import CLASSES, ToyLabels
from wsss.core.interrupt import catch_signals
from wsss.data.samples import Batch
from wsss.distill.step import FollowLabels
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_network
from wsss.training.loop import fit
from wsss.training.schedule import OptimSettings

IDS_OF_LABELS = [f"photo {number}" for number in range(ToyLabels.photos)]


class ToyTask(FollowLabels):
    """Follows labels with a tiny student; after `stop_after` steps a signal reaches the process."""

    def __init__(self, dropout: float = 0.3, stop_after: int | None = None, bad_step: int | None = None) -> None:
        torch.manual_seed(0)
        backbone = BackboneSettings(name="tiny", weights="random")
        self.card = NetworkCard("student", backbone, {"channels": 32, "dropout": dropout}, CLASSES, "random")
        network = build_network(self.card, load_weights=True)
        freeze_batch_norm(network.backbone)
        super().__init__(network, confidence_weights=True)
        self.steps, self.stop_after, self.bad_step = 0, stop_after, bad_step
        self.numbers: list[list[int]] = []

    def terms(self, network: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        self.steps += 1
        self.numbers.append(batch["number"].tolist())
        if self.steps == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        terms = super().terms(network, batch)
        if self.steps == self.bad_step:
            background, foreground = terms["seg_background"], terms["seg_foreground"]
            return {
                "seg_background": background,
                "seg_foreground": Term(foreground.total * torch.nan, foreground.weight),
            }
        return terms


OPTIM = OptimSettings(
    epochs=3,
    batch=4,
    lr=0.02,
    head_lr_factor=2.0,
    momentum=0.9,
    weight_decay=1e-3,
    power=0.9,
    warmup_steps=2,
    clip_norm=0.0,
    precision="32-true",
)
"""Nine steps, three an epoch."""


def train_toy(
    task: ToyTask, scratch: Path, optim: OptimSettings = OPTIM, dataset: ToyLabels | None = None
) -> list[dict[str, float]]:
    scratch.mkdir(parents=True, exist_ok=True)
    with catch_signals():
        return fit(task, dataset or ToyLabels(), IDS_OF_LABELS, 0, optim, scratch, "distill")
