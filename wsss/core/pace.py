"""When worker processes are worth their start: the rule, and the measurement that it goes by."""

from __future__ import annotations

import time

START_SECONDS = 5.0
"""What a worker process costs before its first task: it imports torch anew (4 to 6 seconds of a core)."""
clock = time.process_time
"""Of this process: on a machine with other work, everything takes longer, the start of workers too."""
WORTH = 2.0
"""Workers start where they save this many times their start: the estimate comes from the first photos alone."""


def worth_workers(seconds: float, count: int) -> bool:
    """True if work of so many `seconds` in one process is clearly faster in `count` worker processes."""
    return count > 1 and seconds * (1 - 1 / count) >= WORTH * START_SECONDS


class Pace:
    """Measures units of work as they are done, in seconds of the processor."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def seconds(self, done: int) -> float:
        """Seconds of one unit, now that `done` are: the mean since the first ones were, which alone wait for networks
        to load and code to compile. 0 as long as there are no others.
        """
        now = clock()
        begin, before = self._first = self._first or (now, done)
        return (now - begin) / (done - before) if done > before else 0.0
