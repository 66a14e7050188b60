"""Signals: while a program starts they end it with a line, and in a stage become a flag between two steps of work."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from wsss.core.errors import InterruptedStage
from wsss.core.system import STOP_SIGNALS

_Handler = Callable[[int, FrameType | None], object] | int | None
_received: list[int] = []


def end_while_starting() -> None:
    """From now on a signal ends the program with one line. For the seconds of imports, where nothing is begun yet.

    `catch_signals` and `end_by_signals` take over. Worker processes leave their signals to their parent.
    """
    if "multiprocessing.spawn" not in sys.modules:
        for number in STOP_SIGNALS:
            signal.signal(number, _end)


@contextmanager
def catch_signals() -> Iterator[None]:
    """While inside, SIGTERM, SIGINT and SIGUSR1 (SLURM's warning) ask for a stop; a second SIGINT is the usual one.

    Inside of another one it changes nothing.
    """
    if signal.getsignal(signal.SIGTERM) is _note:
        yield
        return
    _received.clear()
    previous = {number: signal.signal(number, _note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        _restore(previous)
        _received.clear()


@contextmanager
def end_by_signals() -> Iterator[None]:
    """While inside, SIGINT and SIGTERM unwind what they interrupt, so that no unfinished file is left behind."""
    wanted = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _unwind}
    previous = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        _restore(previous)


def stop_requested() -> bool:
    """True once a signal has asked the stage to stop."""
    return bool(_received)


def check_stop() -> None:
    """Raise `InterruptedStage` if a signal has asked the stage to stop. Call between two units of work."""
    if _received:
        name = signal.Signals(_received[0]).name
        raise InterruptedStage(name, "finished work is kept", "the same command goes on from there")


def _restore(previous: Mapping[signal.Signals, _Handler]) -> None:
    for number, handler in previous.items():
        # The work is done: what comes in the last milliseconds of a program cannot stop it any more.
        signal.signal(number, signal.SIG_IGN if handler is _end else handler)


def _note(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and signal.SIGINT in _received:
        raise KeyboardInterrupt
    _received.append(number)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: an import that is interrupted may swallow it, or print where it was.
    said = f"stopped ({signal.Signals(number).name}) before anything was begun; the same command starts again\n"
    os.write(2, said.encode())
    os._exit(InterruptedStage.exit_code)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
