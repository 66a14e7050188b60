"""A training of seconds: twelve photos, nine steps, a tiny student; and the fixtures of all tests that train."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.helpers import CLASSES
from tests.toy_labels import ToyLabels
from wsss.core.interrupt import catch_signals
from wsss.core.processes import end_children
from wsss.data.samples import Batch
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import STUDENT, NetworkCard
from wsss.models.student import build_student
from wsss.numeric.device import set_threads
from wsss.training.loop import fit
from wsss.training.schedule import OptimSettings

IDS_OF_LABELS = [f"photo {number}" for number in range(ToyLabels.photos)]


class ToyTask:
    """Cross-entropy of a tiny student on labels; after `stop_after` steps a signal reaches the process."""

    monitors: tuple[str, ...] = ()

    def __init__(self, dropout: float = 0.3, stop_after: int | None = None, bad_step: int | None = None) -> None:
        torch.manual_seed(0)
        backbone = BackboneSettings(name="tiny", weights="random")
        self.card = NetworkCard(STUDENT, backbone, {"channels": 32, "dropout": dropout}, CLASSES, "random")
        network = build_student(self.card, load_weights=True)
        freeze_batch_norm(network.backbone)
        self.network: nn.Module = network
        self.weights = {"seg_background": 1.0, "seg_foreground": 1.0}
        self.steps, self.stop_after, self.bad_step = 0, stop_after, bad_step
        self.numbers: list[list[int]] = []

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        self.steps += 1
        self.numbers.append(batch["number"].tolist())
        if self.steps == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        confidence = batch["confidence"].float() / 255.0
        background, foreground = balanced_cross_entropy(network(batch["image"]), batch["label"], confidence)
        if self.steps == self.bad_step:
            foreground = Term(foreground.total * torch.nan, foreground.weight)
        return {"seg_background": background, "seg_foreground": foreground}


OPTIM = OptimSettings(
    epochs=3, batch=4, lr=0.02, head_lr_factor=2.0, weight_decay=1e-3, warmup_steps=2, precision="32-true"
)
"""Nine steps, three an epoch."""


def train_toy(
    task: ToyTask, scratch: Path, optim: OptimSettings = OPTIM, dataset: ToyLabels | None = None
) -> list[dict[str, float]]:
    scratch.mkdir(parents=True, exist_ok=True)
    with catch_signals():
        return fit(task, dataset or ToyLabels(), IDS_OF_LABELS, 0, optim, scratch, "distill")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Deterministic, on one thread; other tests get torch back as it was.

    Of a module, so that what its tests share is made in the same way as what they compare it with.
    """
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSSS_WORKERS", "0")
        patch.setenv("WSSS_DEVICE", "cpu")
        set_threads(1)
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def no_workers_left() -> Iterator[None]:
    """No worker process outlives its test."""
    yield
    if multiprocessing.active_children():
        # The traceback of an error keeps the loader it left; at its exit Python would wait for that worker for ever.
        gc.collect()
        end_children()
