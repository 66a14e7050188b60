"""How long the networks of some settings take on this machine: each runs a few times on a piece of a real photo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from wsss.core.interrupt import check_stop
from wsss.numeric.device import device
from wsss.numeric.heap import give_back_freed_memory

ENOUGH = 0.6
"""Seconds that the last calls of a measurement take at most; nine make a person wait for some 15 seconds."""
LEAST = 0.05
"""Seconds that a measurement takes at least; some kernels count a process's seconds in hundredths."""
UNITS = 8
"""Most photos or crops of one measurement."""


@dataclass(frozen=True)
class Cost:
    """What photos or crops cost that are worked on together: `once` seconds, and for each of them `seconds`, and bytes
    of `memory` while it is worked on.
    """

    once: float
    seconds: float
    memory: float

    def scaled(self, factor: float) -> Cost:
        """Of photos of `factor` times as many pixels."""
        return Cost(self.once, self.seconds * factor, self.memory * factor)

    def stretched(self, factor: float) -> Cost:
        """In `factor` times as many seconds."""
        return Cost(self.once * factor, self.seconds * factor, self.memory)

    def of(self, units: int) -> float:
        """Seconds for `units` together."""
        return self.once + self.seconds * units


@dataclass(frozen=True)
class Probe:
    """Costs by what was measured; `base`: bytes of a process that has its networks and has not used them, and
    `settled` once it has; `took` seconds; `cores` that this process may use, `load`: how many others were asked for
    (mean of a minute).
    """

    costs: Mapping[str, Cost]
    base: float
    settled: float
    took: float
    cores: int
    load: float


class Timer:
    """Measures kinds of work one after the other. On a CPU it counts seconds of the processor: of other work that has
    the cores for a moment, a call of half a second would see all or nothing. How much longer a person waits is one
    `stretch` for all kinds, and steadier than each of them alone.
    """

    def __init__(self) -> None:
        self._clock = time.process_time if device().type == "cpu" else time.perf_counter
        self._waited = self._worked = 0.0

    @property
    def stretch(self) -> float:
        """Seconds that passed for each one that was counted, in all timed calls; below 1 where cores work together."""
        return self._waited / self._worked if self._worked else 1.0

    def measured(self, run: Callable[[int], object], most: int = UNITS) -> Cost:
        """The cost of `run`, which is given how many units to work on at once, at most `most`.

        The first call does not count, nor the first one with several units: libraries choose and compile their kernels
        in them and take memory, and a step took twice as long as those that followed. It is timed with one unit, and
        with as many as take a moment; of small crops, most of a step is the same for one and for eight.
        """
        check_stop()
        run(1)
        one, alone = self._timed(run, 1)
        units = min(most, int(ENOUGH / one))
        if units < 2:
            return Cost(0.0, one, alone)
        run(units)
        several, rise = min(self._timed(run, units) for _ in range(2))
        each = min(several / units, max(0.0, several - one) / (units - 1))
        return Cost(several - each * units, each, max(alone, rise / units))

    def _timed(self, run: Callable[[int], object], units: int) -> tuple[float, float]:
        """Seconds of one call, and the bytes by which the memory rose. What is over in a moment is called until the
        clock has seen enough of it.
        """
        calls, seconds = 0, 0.0
        with _peak() as peak:
            begin, counted = time.perf_counter(), self._clock()
            while seconds < LEAST:
                run(units)
                if device().type == "cuda":
                    torch.cuda.synchronize()
                calls, seconds = calls + 1, self._clock() - counted
            self._waited += time.perf_counter() - begin
            self._worked += seconds
        return seconds / calls, peak[0]


def resident() -> float:
    """Bytes of this process that are in memory now; on a GPU, those that torch has taken there."""
    if device().type == "cuda":
        return float(torch.cuda.memory_allocated())
    return _status("VmRSS")


@contextmanager
def _peak() -> Iterator[list[float]]:
    """A list that holds, once the block has ended, by how many bytes the memory rose in it."""
    found: list[float] = []
    give_back_freed_memory()  # else the work would take it again, and nothing would rise
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
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # on another system than Linux
        return float(psutil.Process().memory_info().rss)
    for line in text.splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) * 1024
    return 0.0
