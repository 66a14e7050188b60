"""Training of a linear student on cells that were seen once: AdamW, of large steps, in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.environment import leads
from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.live import note_history
from wsss.core.log import Progress
from wsss.data.index import IGNORE
from wsss.distill.cells import Cells
from wsss.distill.data import TrainingData
from wsss.distill.settings import DistillSettings
from wsss.models.linear_student import LinearStudent
from wsss.training.loop import History
from wsss.training.sampling import Plan
from wsss.training.schedule import OptimSettings, learning_rate

SHOWN = 4
"""Epochs of a round whose masks are shown: to draw them takes longer than to train."""


def fit_linear(
    student: LinearStudent,
    cells: Cells,
    data: TrainingData,
    settings: DistillSettings,
    label: str,
    watch: Callable[[int], None],
) -> History:
    """Train the linear layers of `student` in place on the labels of `data`; a row of history per epoch.

    As many steps as a training on the photos themselves has, each on as many labelled cells as its photos have on
    average. It keeps no checkpoint: a signal stops it, and it begins again. Raises `UserError` if the loss is not
    finite.
    """
    optim, plan = settings.optim, Plan(data.seed, len(data.ids), settings.optim.batch, settings.optim.epochs)
    labels, confidence = cells.labels(data)
    labelled = np.flatnonzero(labels != IGNORE)
    where = next(student.parameters()).device
    student.eval()
    scale = cells.mean.to(where), cells.spread.to(where)
    weight, bias = (part.requires_grad_() for part in student.linear(*scale))
    updater = adamw(weight, bias, optim)
    history: History = []
    with Progress(label, plan.steps, "steps") as progress:
        for epoch in range(plan.epochs):
            order = np.random.default_rng((plan.seed, epoch)).permutation(labelled)
            sums: dict[str, float] = {}
            for number, chosen in enumerate(np.array_split(order, plan.steps_per_epoch)):
                check_stop()
                step = epoch * plan.steps_per_epoch + number
                rate = learning_rate(step, plan.steps, 1.0, optim.power, optim.warmup_steps)
                inputs = cells.inputs(chosen).to(where)
                targets, sure = (torch.from_numpy(part[chosen]).to(where) for part in (labels, confidence))
                values = update(updater, rate, inputs, targets, sure, settings)
                if not math.isfinite(values["loss"]):
                    what = f"loss not finite at learning rate {optim.lr * rate:.3g}"
                    raise UserError(f"{label} step {step + 1} (epoch {epoch + 1})", what, "lower distill.optim.lr")
                sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
                progress.advance(note=f"loss {values['loss']:.3f}")
            means = {name: total / plan.steps_per_epoch for name, total in sums.items()}
            history.append({"epoch": epoch + 1, "lr": optim.lr * rate, **means})
            note_history(history, plan.epochs)
            student.set_linear(weight.detach(), bias.detach(), *scale)
            if leads() and (epoch + 1 == plan.epochs or (epoch + 1) % -(-plan.epochs // SHOWN) == 0):
                watch(epoch + 1)
    return history


def adamw(weight: torch.Tensor, bias: torch.Tensor, settings: OptimSettings) -> torch.optim.AdamW:
    """An optimiser for logits ``weight @ x + bias``; no weight decay on the bias."""
    rate = settings.lr * settings.head_lr_factor
    groups = [{"params": [weight], "weight_decay": settings.weight_decay}, {"params": [bias], "weight_decay": 0.0}]
    made = torch.optim.AdamW(groups, lr=rate, betas=(settings.momentum, 0.999))
    for group in made.param_groups:
        group["base_lr"] = rate
    return made


def update(
    updater: torch.optim.AdamW,
    rate: float,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    confidence: torch.Tensor,
    settings: DistillSettings,
) -> dict[str, float]:
    """One step on n cells, at `rate` times the learning rate: the values of the loss and its terms, and the norm of the
    gradient before clipping. `inputs`: (n, 2C) float32; `labels`: (n,) uint8; `confidence`: (n,) float32.
    """
    (weight,), (bias,) = (group["params"] for group in updater.param_groups)
    for group in updater.param_groups:
        group["lr"] = group["base_lr"] * rate
    # To the loss, the cells are one photo of one row.
    logits = F.linear(inputs, weight, bias).T[None, :, None]
    found = settings.seg.of_pixels(logits, labels[None, None], confidence[None, None])
    terms = {name: settings.seg.weight * term.mean() for name, term in found.items()}
    loss = torch.stack(list(terms.values())).sum()
    updater.zero_grad()
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_([weight, bias], settings.optim.clip_norm or math.inf)
    updater.step()
    values = {"loss": loss, **terms, "grad_norm": norm}
    return {name: float(value.detach()) for name, value in values.items()}
