"""The command of a stage that trains, in one process or in as many as `WSSS_PROCESSES` asks for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click
import torch

from wsss.core.ranks import asked_processes, run_ranks
from wsss.core.stage import stage_command
from wsss.numeric.device import device


def training_command(main: Callable[..., str]) -> click.Command:
    """`stage_command` of a stage that trains: it starts its processes itself where `WSSS_PROCESSES` asks for several.

    Each of them is this command with the same options.
    """

    @functools.wraps(main)
    def alone_or_not(**arguments: Any) -> str:
        count = asked_processes(gpus)
        if count == 1:
            return main(**arguments)
        module = sys.modules[main.__module__]
        name = module.__spec__.name if module.__spec__ else main.__module__
        run_ranks(["-m", name, *_options()], count)
        return ""  # the first of them has said it

    return stage_command(alone_or_not)


def gpus() -> int:
    """GPUs that a training may be spread over; 0 on a CPU, 1 where `WSSS_DEVICE` names one of them."""
    where = device()
    if where.type != "cuda":
        return 0
    return torch.cuda.device_count() if where.index is None else 1


def _options() -> list[str]:
    """The options of the running command, spelled out."""
    found: list[str] = []
    for name, value in click.get_current_context().params.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            found += [flag] * value
        elif value is not None:
            found += [flag, str(value)]
    return found
