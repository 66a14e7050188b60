"""Signals become one flag that long work looks at between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from wsss.core.errors import InterruptedStage

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

_received: list[int] = []


@contextmanager
def catch_signals() -> Iterator[None]:
    """While inside, SIGTERM, SIGINT and SIGUSR1 (SLURM's warning) ask for a stop; a second SIGINT is the usual one."""
    _received.clear()
    previous = {number: signal.signal(number, _note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _received.clear()


def stop_requested() -> bool:
    """True once a signal has asked the stage to stop."""
    return bool(_received)


def check_stop() -> None:
    """Raise `InterruptedStage` if a signal has asked the stage to stop. Call between two units of work."""
    if _received:
        name = signal.Signals(_received[0]).name
        raise InterruptedStage(name, "stopped; finished work is kept", "run the same command again to continue")


def _note(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and signal.SIGINT in _received:
        raise KeyboardInterrupt
    _received.append(number)
