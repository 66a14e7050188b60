"""Ratios that mean something on a noisy machine: both sides alternately in one run, medians."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

REPEATS = 5


@dataclass(frozen=True)
class Result:
    """One row of results.json. `ratio` > 1 means that ours is better; `quality` says that both did the same."""

    row: str
    reference: str
    ours_s: float | None
    reference_s: float | None
    ratio: float
    target: float
    quality: dict[str, Any] = field(default_factory=dict)
    machine: str = ""


def alternate(
    ours: Callable[[], object],
    reference: Callable[[], object],
    repeats: int = REPEATS,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Median seconds of both by `clock`, run in turn `repeats` times; `warm_up` runs each once before, not counted."""
    if warm_up:
        ours()
        reference()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for run, record in zip((ours, reference), times, strict=True):
            start = clock()
            run()
            record.append(clock() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def machine() -> str:
    """Processor, cores and torch version, for the record."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {versions}"
