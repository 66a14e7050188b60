"""One seam for parallel work: a shard is a task, `concurrent.futures.Executor` is the interface.

`WSSS_EXECUTOR=local` (default) is a process pool of `WSSS_WORKERS` processes; 0 workers run in this process. Where
nobody has set their number, work begins in this process, and the pool starts once the rest is worth it (`core.pace`).
Every other value names workers on other machines (`core.cluster`).
Tasks are pure functions of their arguments, so the bytes they write do not depend on who ran them. A task calls
`units.unit_done` after each photo, and whoever waits for it sees that at once.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from wsss.core.environment import asked_workers, workers
from wsss.core.errors import EnvError, UserError
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.core.pace import Pace, worth_workers
from wsss.core.pool import WorkerPool, Workers
from wsss.core.processes import worker_lost
from wsss.core.units import listening, nobody
from wsss.core.window import Window

T = TypeVar("T")
POLL_SECONDS = 0.5
ELSEWHERE = ("dask", "tls", "slurm", "pbs", "kubernetes")
EXPECTED = "'local', dask://HOST:PORT, tls://HOST:PORT, slurm, pbs or kubernetes"
"""Values of WSSS_EXECUTOR."""


class SerialExecutor(Executor):
    """Runs a task when it is submitted, in this process."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


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


def elsewhere() -> bool:
    """True if tasks run on other machines: then theirs is the device, and what this one has decides nothing.

    Raises `UserError` if WSSS_EXECUTOR is no such name.
    """
    kind = os.environ.get("WSSS_EXECUTOR", "local")
    if kind != "local" and kind.partition("://")[0] not in ELSEWHERE:
        what = f"found {kind!r}, expected {EXPECTED}"
        raise UserError("WSSS_EXECUTOR", what, "unset WSSS_EXECUTOR, or correct it")
    return kind != "local"


def make_executor(in_process: bool = False) -> Executor:
    """The executor that the environment asks for; `in_process` where workers cannot share the device."""
    if in_process:
        return SerialExecutor()
    if elsewhere():
        if importlib.util.find_spec("distributed") is None:
            what = f"{os.environ['WSSS_EXECUTOR']} needs Dask, which is not installed"
            raise EnvError("WSSS_EXECUTOR", what, "pip install 'wsss[cluster]', here and where the workers run")
        from wsss.core.cluster import Cluster

        return Cluster(os.environ["WSSS_EXECUTOR"])
    count = workers()
    if count == 0:
        return SerialExecutor()
    return LatePool(count) if asked_workers() is None else WorkerPool(count)


@contextmanager
def workers_for(in_process: bool = False, shared: Executor | None = None) -> Iterator[Executor]:
    """An executor whose workers end with the block; or `shared`, whose owner ends them.

    `in_process`: as for `make_executor`; it says nothing of workers on other machines.
    """
    in_process = in_process and not elsewhere()
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
        while window.fill(executor, _count(executor)):
            landed = window.landed(POLL_SECONDS)
            check_stop()
            each_unit(_units(executor))
            window.fill(executor, _count(executor))  # before the caller takes its time for the results
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


def _count(executor: Executor) -> int:
    return executor.count if isinstance(executor, LatePool | Workers) else 1


def _units(executor: Executor) -> int:
    pool = executor.pool if isinstance(executor, LatePool) else executor
    return pool.units() if isinstance(pool, Workers) else 0


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
    """End the workers now, without waiting for the tasks they are in."""
    pool = executor.pool if isinstance(executor, LatePool) else executor
    if isinstance(pool, Workers):
        pool.stop()


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise worker_lost() from error
