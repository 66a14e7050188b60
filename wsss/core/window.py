"""Tasks in a sliding window: made one by one as their turn comes, and a few for each worker are in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, Generic, TypeVar

from wsss.core.processes import shielded

T = TypeVar("T")
EACH = 2
"""Tasks in flight for each worker: the one it runs, and one that it begins while this process looks elsewhere."""


class Window(Generic[T]):
    """The calls `fn(*task)` for all `tasks`, of which only those in flight are in memory.

    `sizes`: units of each task, by default 1. `waiting`: units of the tasks that nobody has begun.
    """

    def __init__(self, fn: Callable[..., T], tasks: Iterable[tuple[Any, ...]], sizes: Sequence[int] = ()) -> None:
        if not sizes:
            tasks = list(tasks)
            sizes = [1] * len(tasks)
        self._fn, self._tasks, self._sizes = fn, enumerate(tasks), sizes
        self._taken, self.waiting = 0, sum(sizes)
        self._flying: dict[Future[T], int] = {}

    def __len__(self) -> int:
        """Tasks that nobody has begun."""
        return len(self._sizes) - self._taken

    @property
    def flying(self) -> int:
        """Tasks that were submitted and have not ended."""
        return sum(not future.done() for future in self._flying)

    def units(self, number: int) -> int:
        """Units of a task."""
        return self._sizes[number]

    def run_next(self) -> tuple[int, T]:
        """Run the next task in this process; its number and result."""
        number, task = self._take()
        return number, self._fn(*task)

    def fill(self, executor: Executor, workers: int) -> bool:
        """Submit tasks up to the bound for so many workers. True if there is anything left to wait for."""
        with shielded():
            for _ in range(min(len(self), EACH * workers - self.flying)):
                number, task = self._take()
                self._flying[executor.submit(self._fn, *task)] = number
        return bool(self._flying)

    def landed(self, seconds: float) -> list[tuple[int, Future[T]]]:
        """Those that have ended, with their numbers; after `seconds` at the latest, and then perhaps none."""
        done, _ = wait(self._flying, timeout=seconds, return_when=FIRST_COMPLETED)
        return [(self._flying.pop(future), future) for future in done]

    def _take(self) -> tuple[int, tuple[Any, ...]]:
        number, task = next(self._tasks)
        self._taken += 1
        self.waiting -= self._sizes[number]
        return number, task
