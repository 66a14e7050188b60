"""One seam for parallel work: a shard is a task, `concurrent.futures.Executor` is the interface.

`WSSS_EXECUTOR=local` (default) is a process pool of `WSSS_WORKERS` processes; 0 workers run in this process. Tasks are
pure functions of their arguments, so the bytes they write do not depend on who ran them. A task calls `unit_done` after
each photo, and whoever waits for it sees that at once.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from wsss.core.environment import workers
from wsss.core.errors import EnvError, UserError
from wsss.core.interrupt import STOP_SIGNALS, check_stop
from wsss.core.log import Progress

T = TypeVar("T")
PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.5


def _nobody(count: int) -> None:
    """Where nobody waits for a task's units."""


_listener: Callable[[int], None] = _nobody
"""Who is told of finished units in this process: the progress itself, or in a worker the pipe to it."""


def unit_done() -> None:
    """Tell whoever waits for the running task that one more of its units (a photo) is finished."""
    _listener(1)


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
        super().__init__(count, mp_context=context, initializer=_pool_worker_begins, initargs=(writer,))

    def units(self) -> int:
        """Units that were finished since the last call."""
        try:
            return len(os.read(self._reports.fileno(), 1 << 16))
        except BlockingIOError:
            return 0


def make_executor(in_process: bool = False) -> Executor:
    """The executor that the environment asks for; `in_process` where workers cannot share the device."""
    kind = os.environ.get("WSSS_EXECUTOR", "local")
    if kind != "local":
        raise UserError("WSSS_EXECUTOR", f"found {kind!r}, expected 'local'", "unset WSSS_EXECUTOR")
    count = workers()
    if in_process or count == 0:
        return SerialExecutor()
    return WorkerPool(count)


@contextmanager
def shielded() -> Iterator[None]:
    """Processes that start inside never receive the signals that ask a stage to stop.

    Ctrl-C, `timeout` and SLURM signal the whole process group; the parent decides, and ends its workers itself.
    """
    resource_tracker.ensure_running()  # its own start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_children() -> None:
    """Kill worker processes that are still there when a stage ends; else Python would wait for them at its exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises when a loader's worker is killed
    for child in multiprocessing.active_children():
        child.kill()


def run_tasks(
    executor: Executor,
    fn: Callable[..., T],
    tasks: Iterable[tuple[Any, ...]],
    each_unit: Callable[[int], None] = _nobody,
) -> Iterator[tuple[int, T]]:
    """Run `fn(*task)` for every task; yield (task number, result) as they finish.

    `each_unit` is called with the number of units that tasks have reported (`unit_done`), at least every half second
    where workers run them, also with 0. A signal to the stage ends it within half a second: running tasks are abandoned
    (their shard is written by rename only, so nothing half-made stays), finished ones are kept.
    """
    queue = enumerate(tasks)
    if isinstance(executor, SerialExecutor):
        for number, task in queue:
            check_stop()
            with _listening(each_unit):
                result = executor.submit(fn, *task).result()
            yield number, result
        return
    with shielded():
        pending = {executor.submit(fn, *task): number for number, task in queue}
    try:
        while pending:
            done, _ = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            check_stop()
            each_unit(executor.units() if isinstance(executor, WorkerPool) else 0)
            for future in done:
                yield pending.pop(future), _result(future)
    except BaseException:
        stop_workers(executor)
        raise


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

    for number, result in run_tasks(executor, fn, tasks, advance):
        finished += sizes[number]
        advance(max(0, finished - reported))
        yield number, result


@contextmanager
def _listening(listener: Callable[[int], None]) -> Iterator[None]:
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def stop_workers(executor: Executor) -> None:
    """End the pool's processes now, without waiting for the tasks they are in."""
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise worker_lost() from error


def worker_lost() -> EnvError:
    """What to say of a worker process that is gone."""
    return EnvError(
        "worker process",
        "ended unexpectedly (killed, or out of memory)",
        "lower WSSS_WORKERS, then run the stage again",
    )


def die_with_parent(signal_number: int, parent: int) -> None:
    """Ask the kernel to send this process a signal when its parent ends, so that no orphan goes on writing."""
    asked = ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) == 0
    if asked and os.getppid() != parent:  # it has ended before we could ask
        os.kill(os.getpid(), signal_number)


def die_with_dvc() -> None:
    """Stop with DVC, also where the shell that DVC starts a stage in (dash, for one) stays between the two."""
    die_with_parent(signal.SIGTERM, os.getppid())
    shell = Path("/proc") / str(os.getppid())
    if (shell / "comm").read_text().strip().endswith("sh"):
        above = int((shell / "stat").read_text().rsplit(")", 1)[1].split()[1])
        with suppress(OSError):  # a kernel or a container without pidfd
            threading.Thread(target=_stop_after, args=(os.pidfd_open(above),), daemon=True).start()


def _stop_after(process: int) -> None:
    select.select([process], [], [])  # readable once it has ended
    os.kill(os.getpid(), signal.SIGTERM)


def worker_begins(number: int = 0) -> None:
    """What worker process `number` does first."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    die_with_parent(signal.SIGKILL, parent.pid)
    for ignored in STOP_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)


def _pool_worker_begins(writer: Connection) -> None:
    """The same for a process of `WorkerPool`, which reports finished units through `writer`."""
    global _listener
    worker_begins()

    def report(count: int) -> None:
        # A full pipe or a parent that is gone loses a count, which the end of the task makes good, and no work.
        with suppress(OSError):
            os.write(writer.fileno(), b"." * count)

    _listener = report
