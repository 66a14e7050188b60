"""The training loop: one optimiser step per batch, one row of history per epoch, and checkpoints.

One loop serves every network of the project: a `Task` says what one step computes. It is the same on one CPU, one GPU
or many processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from wsss.core.environment import checkpoint_seconds
from wsss.core.errors import InterruptedStage, UserError
from wsss.core.interrupt import check_stop, stop_requested
from wsss.core.live import note_history
from wsss.core.log import Progress
from wsss.data.samples import Batch
from wsss.losses.term import Term
from wsss.numeric.device import device, enough_memory
from wsss.training.batches import batches
from wsss.training.mixed import Mixed
from wsss.training.processes import Processes, current, together
from wsss.training.resume import load_training, save_training
from wsss.training.sampling import BatchSampler, Plan
from wsss.training.schedule import OptimSettings, learning_rate

History = list[dict[str, float]]


class Task(Protocol):
    """What one step computes."""

    network: nn.Module
    weights: dict[str, float]
    """Weight of each loss term by name; also the order of the history's columns."""
    monitors: tuple[str, ...]
    """Terms that are written to the history but are not part of the loss."""

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        """The loss terms of one batch. `batch["image"]` is (N, 3, H, W) float 0..255 on the device."""


@dataclass(frozen=True)
class Learner:
    """A network with what changes it. `wrapped` is what a step calls: the network, in the precision of the settings and
    over all `processes`. `scaler` keeps gradients in the range of fp16; in other precisions it does nothing.
    """

    processes: Processes
    wrapped: nn.Module
    optimizer: torch.optim.SGD
    scaler: torch.amp.GradScaler


def make_learner(network: nn.Module, settings: OptimSettings) -> Learner:
    """Make `network` learn by `settings`, on the device of this process."""
    processes = current()
    kind, wrapped = processes.device.type, processes.share(network)
    if settings.precision != "32-true":
        wrapped = Mixed(wrapped, settings.precision, kind)
    scaler = torch.amp.GradScaler(kind, enabled=settings.precision == "16-mixed")
    return Learner(processes, wrapped, make_optimizer(network, settings), scaler)


@together()
def fit(
    task: Task,
    dataset: Any,
    ids: list[str],
    seed: int,
    settings: OptimSettings,
    scratch: Path,
    label: str,
    each_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train `task.network` in place and return its history, a row per epoch. Continues from a checkpoint in `scratch`.

    `dataset` gives samples by (epoch, number); `ids` name the photos in messages. After each epoch one process calls
    `each_epoch` with its number, counted from 1; after a resumption, possibly twice for one epoch. Raises
    `InterruptedStage` after a signal (checkpoint written), `UserError` at the first loss that is not finite (last
    checkpoint kept).
    """
    if settings.precision == "16-mixed" and device().type == "cpu":
        raise UserError(f"{label}.optim.precision", "16-mixed needs a GPU", "set it to bf16-mixed or 32-true")
    processes = current()
    plan = Plan(seed, len(ids), settings.batch, settings.epochs)
    shared = min(settings.batch, len(ids))
    if shared < processes.size:
        raise UserError(
            f"{label}.optim.batch",
            f"found {shared} photos a step for {processes.size} processes",
            "raise it, or start fewer processes",
        )
    network = task.network
    learner = make_learner(network, settings)
    optimizer = learner.optimizer
    at = load_training(scratch, network, optimizer)
    note_history(at.history, plan.epochs)
    sampler = BatchSampler(plan, at.step, processes.rank, processes.size)
    network.train()
    # With fp16 the gradient is scaled, and the scaler finds its scale by occasional overflows.
    checked = {"loss", *task.weights} | (set() if settings.precision == "16-mixed" else {"grad_norm"})
    last_saved = time.monotonic()

    def save() -> None:
        if processes.rank == 0:
            save_training(scratch, network, optimizer, at)
        processes.wait()

    with Progress(label, plan.steps, "steps", at.step) as progress:
        for batch in batches(dataset, sampler, len(sampler), pinned=processes.device.type == "cuda"):
            rate = learning_rate(at.step, plan.steps, 1.0, settings.power, settings.warmup_steps)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate
            # Dropout's numbers are keyed by the step: a resumed run draws the same ones as an uninterrupted run.
            torch.manual_seed(hash((seed, at.step, processes.rank)) % 2**63)
            crops, _, height, width = batch["image"].shape
            doing = f"in a step of {crops} crops of {height}×{width} pixels"
            with enough_memory(label, doing, f"lower {label}.optim.batch or {label}.augment.crop"):
                values = update(learner, task, batch, settings.clip_norm)
            if not all(math.isfinite(value) for name, value in values.items() if name in checked):
                raise _not_finite(label, plan, at.step, settings.lr * rate, values, ids)
            at.step += 1
            for name, value in values.items():
                at.sums[name] = at.sums.get(name, 0.0) + value
            if at.step % plan.steps_per_epoch == 0:
                means = {name: total / plan.steps_per_epoch for name, total in at.sums.items()}
                at.history.append({"epoch": at.step // plan.steps_per_epoch, "lr": settings.lr * rate, **means})
                at.sums = {}
                note_history(at.history, plan.epochs)
                if each_epoch and processes.rank == 0:
                    each_epoch(at.step // plan.steps_per_epoch)
            progress.advance(note=f"loss {values['loss']:.3f}")
            if processes.any(stop_requested()):
                save()
                check_stop()
                raise InterruptedStage(
                    "another process", "the checkpoint is kept", "the same command goes on from there"
                )
            if processes.any(time.monotonic() - last_saved > checkpoint_seconds()):
                save()
                last_saved = time.monotonic()
    return at.history


def update(learner: Learner, task: Task, batch: Batch, clip_norm: float) -> dict[str, float]:
    """One update. Returns the values of the loss and its terms, and the norm of the gradient before clipping."""
    processes, network, optimizer, scaler = learner.processes, learner.wrapped, learner.optimizer, learner.scaler
    pinned = processes.device.type == "cuda"  # of other memory, a copy that is not waited for may come too late
    batch = {name: tensor.to(processes.device, non_blocking=pinned) for name, tensor in batch.items()}
    batch["image"] = batch["image"].float()
    terms = task.terms(network, batch)
    names = (*task.weights, *task.monitors)
    weights = processes.total(torch.stack([terms[name].weight.detach().float() for name in names]))
    # Processes average their gradients; the losses are sums over one common weight, hence the factor.
    shares = [
        task.weights.get(name, 1.0)
        * terms[name].total
        * processes.size
        # With a weight of 0 the gradient must be 0, and 0 · (several times 1 / tiny) would be 0 · ∞.
        / torch.where(weight > 0, weight, 1.0)
        for name, weight in zip(names, weights, strict=True)
    ]
    loss = torch.stack(shares[: len(task.weights)]).sum()
    optimizer.zero_grad()
    torch.autograd.backward(scaler.scale(loss))
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    if clip_norm:
        learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(learned, clip_norm)
    scaler.step(optimizer)
    scaler.update()
    values = processes.total(torch.stack([loss.detach(), *(share.detach() for share in shares)])) / processes.size
    row = dict(zip(["loss", *names], values.tolist(), strict=True))
    return row | {"grad_norm": float(norm)}


def make_optimizer(network: nn.Module, settings: OptimSettings) -> torch.optim.SGD:
    """SGD with the backbone at the base rate and new layers faster; no weight decay on biases and normalisation."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = settings.lr * (1.0 if ".backbone." in f".{name}" else settings.head_lr_factor)
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": params, "lr": rate, "base_lr": rate, "weight_decay": decay}
            for (rate, decay), params in groups.items()
        ],
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
    )


def _not_finite(
    label: str, plan: Plan, step: int, rate: float, values: Mapping[str, float], ids: list[str]
) -> UserError:
    epoch, photos = plan.batch_at(step)
    bad = ", ".join(name for name, value in values.items() if not math.isfinite(value))
    shown = ", ".join(ids[number] for number in photos[:8])
    return UserError(
        f"{label} step {step + 1} (epoch {epoch + 1})",
        f"{bad} not finite at learning rate {rate:.3g}, photos {shown}",
        f"lower {label}.optim.lr; the last good checkpoint is kept in the scratch folder",
    )
