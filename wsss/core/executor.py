"""One seam for parallel work: a shard is a task, `concurrent.futures.Executor` is the interface.

`WSSS_EXECUTOR=local` (default) is a process pool of `WSSS_WORKERS` processes; 0 workers run in this process. Where
nobody has set their number, work begins in this process, and the pool starts once the rest is worth it (`core.pace`).
Tasks are pure functions of their arguments, so the bytes they write do not depend on who ran them. A task calls
`units.unit_done` after each photo, and whoever waits for it sees that at once.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from wsss.core.environment import asked_workers, workers
from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.core.pace import Pace, worth_workers
from wsss.core.processes import worker_begins, worker_lost
from wsss.core.units import listening, nobody, tell
from wsss.core.window import Window

T = TypeVar("T")
POLL_SECONDS = 0.5


class SerialExecutor(Executor):
    """Runs a task when it is submitted, in this process."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class WorkerPool(ProcessPoolExecutor):
    """Worker processes whose tasks report their units through one pipe.

    A byte a unit: such writes are atomic, so that no lock is left behind by a worker that is killed.
    """

    def __init__(self, count: int) -> None:
        self._reports, writer = multiprocessing.Pipe(duplex=False)
        for end in (self._reports, writer):  # neither side ever waits for the other
            os.set_blocking(end.fileno(), False)
        # spawn: a forked child would inherit torch's thread pools and locks in an unknown state.
        context = multiprocessing.get_context("spawn")
        self.count = count
        super().__init__(count, mp_context=context, initializer=_pool_worker_begins, initargs=(writer,))

    def units(self) -> int:
        """Units that were finished since the last call."""
        try:
            return len(os.read(self._reports.fileno(), 1 << 16))
        except BlockingIOError:
            return 0


class LatePool(Executor):
    """Runs tasks in this process until `start`, and from then on in `count` worker processes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool: WorkerPool | None = None

    def start(self) -> None:
        """From here on there are worker processes."""
        self.pool = WorkerPool(self.count)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return (self.pool or SerialExecutor()).submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait, cancel_futures=cancel_futures)


def make_executor(in_process: bool = False) -> Executor:
    """The executor that the environment asks for; `in_process` where workers cannot share the device."""
    kind = os.environ.get("WSSS_EXECUTOR", "local")
    if kind != "local":
        raise UserError("WSSS_EXECUTOR", f"found {kind!r}, expected 'local'", "unset WSSS_EXECUTOR")
    count = workers()
    if in_process or count == 0:
        return SerialExecutor()
    return LatePool(count) if asked_workers() is None else WorkerPool(count)


@contextmanager
def workers_for(in_process: bool = False, shared: Executor | None = None) -> Iterator[Executor]:
    """An executor whose workers end with the block; or `shared`, whose owner ends them."""
    if shared is not None and not in_process:
        yield shared
        return
    executor = make_executor(in_process)
    try:
        yield executor
    finally:
        stop_workers(executor)


def run_tasks(
    executor: Executor,
    fn: Callable[..., T],
    tasks: Iterable[tuple[Any, ...]],
    each_unit: Callable[[int], None] = nobody,
    sizes: Sequence[int] = (),
) -> Iterator[tuple[int, T]]:
    """Run `fn(*task)` for every task; yield (task number, result) as they finish. Tasks are taken as their turn comes.

    `each_unit` is called with the number of units that tasks have reported (`unit_done`), at least every half second
    where workers run them, also with 0. `sizes`: units of each task, by default 1. A signal to the stage ends it within
    half a second, or where no worker has started, when the task looks for it: running tasks are abandoned (their shard
    is written by rename only, so nothing half-made stays), finished ones are kept.
    """
    window = Window(fn, tasks, sizes)
    try:
        if isinstance(executor, SerialExecutor | LatePool):
            yield from _run_here(executor, window, each_unit)
        count = executor.count if isinstance(executor, LatePool | WorkerPool) else 1
        while window.fill(executor, count):
            landed = window.landed(POLL_SECONDS)
            check_stop()
            each_unit(_units(executor))
            window.fill(executor, count)  # before the caller takes its time for the results
            for number, future in landed:
                yield number, _result(future)
    except BaseException:
        stop_workers(executor)
        raise


def _run_here(
    executor: SerialExecutor | LatePool, window: Window[T], each_unit: Callable[[int], None]
) -> Iterator[tuple[int, T]]:
    """Run the tasks of `window` in this process, one by one, and yield their results.

    As soon as those that wait are worth worker processes, they get them, and this process only finishes the task it is
    in.
    """
    pace, done, finished = Pace(), 0, 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        each_unit(count + _units(executor))
        start_if_worth()

    def start_if_worth() -> None:
        if not isinstance(executor, LatePool):
            return
        seconds = pace.seconds(done) * window.waiting
        if executor.pool is None and worth_workers(seconds, min(executor.count, len(window))):
            executor.start()
        if executor.pool is not None:
            window.fill(executor, executor.count)

    while len(window) and (isinstance(executor, SerialExecutor) or executor.pool is None):
        check_stop()
        with listening(advance):
            number, result = window.run_next()
        finished += window.units(number)
        done = max(done, finished)
        start_if_worth()
        yield number, result


def _units(executor: Executor) -> int:
    pool = executor.pool if isinstance(executor, LatePool) else executor
    return pool.units() if isinstance(pool, WorkerPool) else 0


def run_counted(
    executor: Executor,
    fn: Callable[..., T],
    tasks: Iterable[tuple[Any, ...]],
    sizes: Sequence[int],
    progress: Progress,
) -> Iterator[tuple[int, T]]:
    """`run_tasks` with a `progress` that moves unit by unit. `sizes`: units of each task.

    A finished task counts in full, whether it has reported its units or not.
    """
    reported = finished = 0

    def advance(count: int) -> None:
        nonlocal reported
        reported += count
        progress.advance(count)

    for number, result in run_tasks(executor, fn, tasks, advance, sizes):
        finished += sizes[number]
        advance(max(0, finished - reported))
        yield number, result


def stop_workers(executor: Executor) -> None:
    """End the pool's processes now, without waiting for the tasks they are in."""
    pool = executor.pool if isinstance(executor, LatePool) else executor
    processes = list((getattr(pool, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise worker_lost() from error


def _pool_worker_begins(writer: Connection) -> None:
    """The same for a process of `WorkerPool`, which reports finished units through `writer`."""
    worker_begins()

    def report(count: int) -> None:
        # A full pipe or a parent that is gone loses a count, which the end of the task makes good, and no work.
        with suppress(OSError):
            os.write(writer.fileno(), b"." * count)

    tell(report)
