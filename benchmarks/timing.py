"""Ratios that mean something on a noisy machine: both sides in turn in one run, medians."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

REPEATS = 5


@dataclass(frozen=True)
class Result:
    """One row of results.json. `ratio` > 1 means that ours is better; `quality` says that both did the same.

    Seconds are medians: on the clock, and of the processor in all threads of this process.
    """

    row: str
    reference: str
    ours_s: float | None
    reference_s: float | None
    ratio: float
    target: float
    quality: dict[str, Any] = field(default_factory=dict)
    ours_cpu_s: float | None = None
    reference_cpu_s: float | None = None
    machine: str = ""


class Timing(NamedTuple):
    """Median seconds of ours and of the reference, on the clock and of the processor."""

    ours: float
    reference: float
    ours_cpu: float
    reference_cpu: float

    def row(self, row: str, reference: str, target: float, quality: dict[str, Any], of_cpu: bool = False) -> Result:
        """The ratio of these times, on the clock or, if `of_cpu`, of the processor, as a row."""
        ratio = self.reference_cpu / self.ours_cpu if of_cpu else self.reference / self.ours
        seconds, cpu = (self.ours, self.reference), (self.ours_cpu, self.reference_cpu)
        return Result(row, reference, *seconds, ratio, target, quality, *cpu)


def alternate(
    ours: Callable[[], object], reference: Callable[[], object], repeats: int = REPEATS, warm_up: bool = True
) -> Timing:
    """Time both in turn, `repeats` times; `warm_up` runs each once before, not counted."""
    if warm_up:
        ours()
        reference()
    times: tuple[list[tuple[float, float]], ...] = ([], [])
    for _ in range(repeats):
        for run, record in zip((ours, reference), times, strict=True):
            start = time.perf_counter(), time.process_time()
            run()
            record.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    (ours_s, ours_cpu), (reference_s, reference_cpu) = (
        (statistics.median(column) for column in zip(*record, strict=True)) for record in times
    )
    return Timing(ours_s, reference_s, ours_cpu, reference_cpu)


def machine() -> str:
    """Processor, cores and torch version, for the record."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {versions}"
