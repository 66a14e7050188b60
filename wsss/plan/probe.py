"""How long the networks of some settings take on this machine: each runs once or twice on a piece of a real photo."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from wsss.core.interrupt import check_stop
from wsss.numeric.device import device

ENOUGH = 0.5
"""Seconds that a measurement takes; ten of them make a person wait about ten seconds."""
UNITS = 8
"""Most photos or crops of one measurement."""


@dataclass(frozen=True)
class Cost:
    """What one photo or crop costs: `seconds`, and bytes of `memory` while it is worked on."""

    seconds: float
    memory: float

    def scaled(self, factor: float) -> Cost:
        """Of a photo of `factor` times as many pixels."""
        return Cost(self.seconds * factor, self.memory * factor)


@dataclass(frozen=True)
class Probe:
    """Costs by what was measured; `base`: bytes of a process that has its networks and does nothing; `took` seconds;
    `cores` that this process may use, `load`: how many others were asked for (mean of a minute).
    """

    costs: Mapping[str, Cost]
    base: float
    took: float
    cores: int
    load: float


def measured(run: Callable[[int], object], most: int = UNITS) -> Cost:
    """The cost of one unit of `run`, which is given how many to work on at once, at most `most`.

    The first call is with one unit and does not count: libraries choose and compile their kernels in it. Where it takes
    long by itself, it is all there is.
    """
    check_stop()
    with _peak() as first:
        begin = time.perf_counter()
        run(1)
        _finish()
        alone = time.perf_counter() - begin
    if alone > 4 * ENOUGH and not _compiles(run):
        return Cost(alone, first[0])
    units = max(1, min(most, int(ENOUGH / alone)))
    with _peak() as peak:
        begin = time.perf_counter()
        run(units)
        _finish()
        seconds = time.perf_counter() - begin
    return Cost(seconds / units, peak[0] / units)


def compiling(run: Callable[[int], object]) -> Callable[[int], object]:
    """Mark `run` as one whose first call may have compiled for long, and has to be called again in any case."""
    run.compiles = True  # type: ignore[attr-defined]
    return run


def _compiles(run: Callable[[int], object]) -> bool:
    return bool(getattr(run, "compiles", False))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def resident() -> float:
    """Bytes of this process that are in memory now; on a GPU, those that torch has taken there."""
    if device().type == "cuda":
        return float(torch.cuda.memory_allocated())
    return _status("VmRSS")


@contextmanager
def _peak() -> Iterator[list[float]]:
    """A list that holds, once the block has ended, by how many bytes the memory rose in it."""
    found: list[float] = []
    before = resident()
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield found
        found.append(torch.cuda.max_memory_allocated() - before)
        return
    reset = _reset_peak()
    yield found
    # Where the kernel does not forget the highest value, the rise is a lower bound.
    found.append(max(0.0, (_status("VmHWM") if reset else _status("VmRSS")) - before))


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) * 1024
    return 0.0


def _finish() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()
