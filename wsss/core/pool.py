"""Worker processes of this machine, and what every kind of workers can be asked."""

from __future__ import annotations

import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection

from wsss.core.processes import worker_begins
from wsss.core.units import tell


class Workers(Executor, ABC):
    """Processes beside this one that run tasks. `count`: how many there are."""

    count: int

    @abstractmethod
    def units(self) -> int:
        """Units that were finished since the last call."""

    @abstractmethod
    def stop(self) -> None:
        """End the workers' tasks now, without waiting for them. A second call does nothing."""


class WorkerPool(ProcessPoolExecutor, Workers):
    """Worker processes whose tasks report their units through one pipe.

    A byte a unit: such writes are atomic, so that no lock is left behind by a worker that is killed. `begins`: what a
    process does before its first task.
    """

    def __init__(self, count: int, begins: Callable[[], None] | None = None) -> None:
        self._reports, writer = multiprocessing.Pipe(duplex=False)
        for end in (self._reports, writer):  # neither side ever waits for the other
            os.set_blocking(end.fileno(), False)
        # spawn: a forked child would inherit torch's thread pools and locks in an unknown state.
        context = multiprocessing.get_context("spawn")
        self.count = count
        super().__init__(count, mp_context=context, initializer=_pool_worker_begins, initargs=(writer, begins))

    def units(self) -> int:
        try:
            return len(os.read(self._reports.fileno(), 1 << 16))
        except BlockingIOError:
            return 0

    def stop(self) -> None:
        processes = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _pool_worker_begins(writer: Connection, begins: Callable[[], None] | None) -> None:
    """What a process of `WorkerPool` does first. It reports finished units through `writer`."""
    worker_begins()

    def report(count: int) -> None:
        # A full pipe or a parent that is gone loses a count, which the end of the task makes good, and no work.
        with suppress(OSError):
            os.write(writer.fileno(), b"." * count)

    tell(report)
    if begins is not None:
        begins()
