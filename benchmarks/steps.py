"""Rows `facts` and `step` of `benchmarks.device`: what the card can do, and what a training step makes of it."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.stages import on_device, weights_of
from wsss.core.system import cores
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BACKBONES, BackboneSettings
from wsss.models.checkpoint import CLASSIFIER, NetworkCard
from wsss.models.classifier import build_classifier
from wsss.numeric.device import device, set_threads
from wsss.training.loop import make_learner, update
from wsss.training.pretrain import ClassifyTags, PretrainSettings
from wsss.training.schedule import GentleOptim

GOAL = 0.4
"""Of the card's measured peak, for a training step in bf16."""
BATCH, CLASSES = 32, 20
PACKAGES = (
    "torch",
    "numpy",
    "h5py",
    "scikit-learn",
    "scipy",
    "numba",
    "pillow",
    "pydantic",
    "ruamel.yaml",
    "pydensecrf2",
)


def facts(where: str, toy: bool) -> dict[str, Any]:
    """Device, versions, memory, and the measured peaks of large products of matrices, in 10¹² operations a second."""
    with on_device(where):
        chosen = device()
        found: dict[str, Any] = {"device": str(chosen), "name": platform.processor() or platform.machine()}
        if chosen.type == "cuda":
            properties = torch.cuda.get_device_properties(chosen)
            found |= {"name": properties.name, "memory_gb": round(properties.total_memory / 1e9, 1)}
            found |= {"driver": _driver(), "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
        found |= {"cores": cores(), "python": platform.python_version(), "toy": toy}
        found |= {"packages": {name: _version(name) for name in PACKAGES}}
        found |= {"weights": {name: weights_of(name) for name in ("efficientnet_lite0",)}}
        for name, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
            found[f"{name}_matmul_tflops"] = _peak(kind, 256 if toy else 8192, chosen) / 1e12
    return found


def training_step(backbone: str, crop: int, layout: str, peak: float | None, where: str, toy: bool) -> dict[str, Any]:
    """A whole step of the classifier in bf16: forward, backward, update. `peak`: operations a second of the card.

    `layout`: contiguous or channels_last, of the weights; the product's photos are channels_last in any case.
    """
    batch, steps = (2, 2) if toy else (BATCH, 10)
    with on_device(where):
        set_threads(cores())
        chosen = device()
        torch.manual_seed(0)
        weights = weights_of(backbone)
        settings = PretrainSettings(optim=GentleOptim(precision="bf16-mixed", batch=batch))
        stride = max(BACKBONES[backbone].strides)
        plain = BackboneSettings.model_validate({"name": backbone, "output_stride": stride, "weights": weights})
        classes = ("background", *(f"class {number}" for number in range(CLASSES)))
        card = NetworkCard(CLASSIFIER, plain, {"dropout": settings.dropout}, classes, weights)
        network = build_classifier(card, load_weights=True)
        freeze_batch_norm(network.backbone)
        freeze_levels(network.backbone, settings.frozen_levels)
        if layout == "channels_last":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        learner, task = make_learner(network.train(), settings.optim), ClassifyTags(network)
        photos = {
            "image": torch.randint(0, 256, (batch, 3, crop, crop), dtype=torch.uint8),
            "tags": (torch.rand(batch, CLASSES) < 0.2).float(),
        }

        def step() -> None:
            update(learner, task, photos, settings.optim.clip_norm)

        step()
        with FlopCounterMode(display=False) as counter:
            step()
        seconds = statistics.median(_seconds(step, chosen) for _ in range(steps))
        operations = counter.get_total_flops()
        share = None if peak is None else operations / seconds / peak
        found = {
            "backbone": backbone,
            "crop": crop,
            "batch": batch,
            "layout": layout,
            "weights": weights,
            "step_ms": round(1000 * seconds, 2),
            "photos_per_s": round(batch / seconds, 1),
            "step_tflop": operations / 1e12,
            "of_peak": None if share is None else round(share, 4),
            "goal": GOAL,
            "met": share is not None and share >= GOAL,
        }
        if chosen.type == "cuda":
            found["memory_gb"] = round(torch.cuda.max_memory_allocated(chosen) / 1e9, 2)
            del learner, task, network
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(chosen)
    return found


def _seconds(work: Callable[[], object], chosen: torch.device) -> float:
    """Seconds of `work`, to the end of what it has asked of the card."""
    _finish(chosen)
    begin = time.perf_counter()
    work()
    _finish(chosen)
    return time.perf_counter() - begin


def _finish(chosen: torch.device) -> None:
    if chosen.type == "cuda":
        torch.cuda.synchronize(chosen)


def _peak(kind: torch.dtype, side: int, chosen: torch.device) -> float:
    """Operations a second of the product of two random matrices of `side`; the best of several."""
    left, right = (torch.randn(side, side, device=chosen).to(kind) for _ in range(2))
    for _ in range(2):
        left @ right
    return 2 * side**3 / min(_seconds(lambda: left @ right, chosen) for _ in range(10))


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0]
    except (OSError, IndexError, subprocess.SubprocessError) as error:
        return f"unknown ({type(error).__name__})"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
