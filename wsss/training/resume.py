"""Checkpoints of a running training: all that the rest of the training depends on, in the stage's scratch folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wsss.core.atomic import write_bytes
from wsss.core.errors import IntegrityError, UserError
from wsss.core.log import say, warn
from wsss.models.canonical import canonical_bytes
from wsss.models.checkpoint import read_checkpoint

FORMAT = "wsss.training"
VERSION = 2
FILE = "training.pt"


@dataclass
class Progressed:
    """How far a training is: steps done, rows of finished epochs, sums of the current epoch."""

    step: int
    history: list[dict[str, float]]
    sums: dict[str, float]


def save_training(scratch: Path, network: nn.Module, optimizer: torch.optim.Optimizer, at: Progressed) -> None:
    """Write the checkpoint atomically. Random numbers are keyed by (seed, step), so none of their state is needed."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": at.step,
        "history": at.history,
        "sums": at.sums,
    }
    write_bytes(scratch / FILE, canonical_bytes(content))


def load_training(scratch: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> Progressed:
    """Continue from the checkpoint in `scratch`, if there is a valid one; else start from the beginning."""
    try:
        content: dict[str, Any] = read_checkpoint(scratch / FILE, FORMAT, VERSION)
        if missing := {"network", "optimizer", "step", "history", "sums"} - set(content):
            raise IntegrityError(scratch / FILE, f"has no {', '.join(sorted(missing))}", "none needed")
    except UserError:
        return Progressed(0, [], {})
    except IntegrityError as error:
        warn(error.where, error.what, "none needed: training starts again from the beginning")
        return Progressed(0, [], {})
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    say(f"continuing after step {content['step']}")
    return Progressed(content["step"], content["history"], content["sums"])
