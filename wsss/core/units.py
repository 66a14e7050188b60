"""Units of work, photos mostly: a task says that one is finished, and whoever waits for the task hears it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def nobody(count: int) -> None:
    """Where nobody waits for a task's units."""


_listener: Callable[[int], None] = nobody
"""Who is told of finished units in this process: the progress itself, or in a worker the pipe to it."""


def unit_done() -> None:
    """Tell whoever waits for the running task that one more of its units is finished."""
    _listener(1)


def tell(listener: Callable[[int], None]) -> None:
    """From here on `listener` is told of finished units."""
    global _listener
    _listener = listener


@contextmanager
def listening(listener: Callable[[int], None]) -> Iterator[None]:
    """The same, to the end of the block."""
    before = _listener
    tell(listener)
    try:
        yield
    finally:
        tell(before)
