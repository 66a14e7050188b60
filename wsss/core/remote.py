"""What a worker of a cluster does with a task. This module loads neither torch nor anything that reads photos.

Each thread of a Dask worker has one process of its own, which is begun as a worker process of one machine is, and does
one task at a time in its main thread, in the working folder of the stage. So a task finds relative paths, and meets the
same state of the libraries, wherever it runs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import multiprocessing
import os
import pickle
import platform
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from distributed import Status, Worker, get_worker

from wsss.core.atomic import sha256_file, write_through
from wsss.core.errors import EnvError, UserError, WsssError
from wsss.core.no_masks import begin_without_masks
from wsss.core.pool import WorkerPool

LOOKS = 0.3
"""Seconds between two looks at the running task."""
PATIENCE = 5.0
"""Seconds until a folder that was just made must be seen on another machine: network file systems remember."""
PROBE = "probe"
LIBRARIES = ("torch", "numpy", "h5py", "numba", "pydensecrf2")
"""Those whose versions can change a result."""


@dataclass(frozen=True)
class Run:
    """What a worker has to know of the stage that sends it tasks.

    `desk`: folder where its files are made; without it, nothing can be written. `folder`: the stage's working folder.
    `needs`: name and version of the code, as `versions` gives them. `closed`: what a task may not open, as
    `no_masks.told` gives it.
    """

    token: str
    desk: Path
    folder: Path
    needs: Mapping[str, str]
    closed: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a task has ended, on the worker called `worker`.

    `data`: the pickled result, or the pickled exception of a task that has `raised`. `lost`: its process is gone.
    """

    kind: Literal["done", "raised", "lost"]
    worker: str
    data: bytes = b""


def perform(order: bytes) -> Outcome:
    """Run a task, of the pickled (run, number, task), in this thread's process; tell the stage of its units.

    The task itself, pickled (function, arguments), is opened in that process alone.
    """
    run, number, task = pickle.loads(order)  # noqa: S301 -- by Dask, which could run any code here anyway
    worker = get_worker()
    name, key = name_of(worker), worker.get_current_task()
    try:
        pool = _pool(run, name)
    except WsssError as error:
        return Outcome("raised", name, pickle.dumps(error))
    try:
        future = pool.submit(_call, task)
        done = 0
        while not wait([future], LOOKS).done:
            if count := pool.units():
                done += count
                worker.log_event(run.token, [number, done])
            if _unwanted(worker, key):
                pool.stop()
        good, data = future.result()
    except BrokenExecutor:
        pool.stop()
        _mine.pool = None
        return Outcome("lost", name)
    return Outcome("done" if good else "raised", name, data)


def check(pickled: bytes, dask_worker: Worker) -> WsssError | None:
    """What keeps this worker from taking part in a run: other code, other libraries, or another file system."""
    run: Run = pickle.loads(pickled)  # noqa: S301 -- as above
    return problem(run, name_of(dask_worker))


def problem(run: Run, name: str) -> WsssError | None:
    """`check` of the worker called `name`."""
    found = versions()
    differing = [f"{key} {found.get(key, 'none')}, not {value}" for key, value in run.needs.items()]
    if found != run.needs:
        differing = [text for text, key in zip(differing, run.needs, strict=True) if found.get(key) != run.needs[key]]
        fix = "start all workers from one environment and one checkout (constraints.txt pins both)"
        return EnvError(name, f"has other code than the stage: {'; '.join(differing)}", fix)
    shared = (
        "put the checkout, the data set and WSSS_SCRATCH on a file system that all machines see under the same names"
    )
    if not _sees(run.desk / PROBE, run.token):
        return UserError(name, f"does not see {run.desk.parent}", shared)
    if not run.folder.is_dir():
        return UserError(name, f"does not see {run.folder}", shared)
    try:
        written = run.desk / f"{uuid.uuid4()}.tmp"
        written.write_text(name)
        written.unlink()
    except OSError as error:
        what = f"cannot write into {run.desk.parent} ({error.strerror})"
        return UserError(name, what, "start workers as the user who runs the stage, and let them write there")
    return None


def name_of(worker: Worker) -> str:
    """How messages call a worker: its address and machine."""
    return f"worker {worker.address} on {socket.gethostname()}"


def versions() -> dict[str, str]:
    """Versions of what can change a result, and as ``wsss`` 12 hex digits of all its code.

    Read from the disk, as the process of a task does that is begun now; the worker itself may be older.
    """
    package = Path(__file__).parent.parent
    files = sorted(path for path in package.rglob("*") if path.is_file() and path.suffix == ".py")
    listing = "\n".join(f"{path.relative_to(package).as_posix()} {sha256_file(path)}" for path in files)
    found = {"wsss": hashlib.sha256(listing.encode()).hexdigest()[:12], "Python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            found[library] = "none"
    return found


class _Mine(threading.local):
    """The process of a thread, and the token of the run that it works for."""

    pool: WorkerPool | None = None
    token = ""


_mine = _Mine()


def _pool(run: Run, name: str) -> WorkerPool:
    """This thread's process, begun anew for each run. Raises `WsssError` where this worker cannot take part."""
    if _mine.pool is None or _mine.token != run.token:
        if _mine.pool is not None:
            _mine.pool.stop()
            _mine.pool = None
        if (found := problem(run, name)) is not None:
            raise found
        # A nanny starts its worker as a daemon, which may have no children for Python; ours end with it by themselves.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        _mine.pool, _mine.token = WorkerPool(1, partial(_begin, run)), run.token
        threading.Thread(target=_end_with, args=(_mine.pool, run.desk), daemon=True).start()
    return _mine.pool


def _begin(run: Run) -> None:
    """What the process does first."""
    os.chdir(run.folder)
    write_through(run.desk)
    begin_without_masks(run.closed)


def _end_with(pool: WorkerPool, desk: Path) -> None:
    """Kill the process once the run is over, whether it has a task or not."""
    while desk.is_dir():
        time.sleep(LOOKS)
    pool.stop()


def _unwanted(worker: Worker, key: Any) -> bool:
    """True if nobody waits for the task `key` any more: its stage or scheduler is gone, or the worker is closing."""
    state = worker.state.tasks.get(key)
    cancelled = state is None or state.state in ("cancelled", "resumed")
    return cancelled or worker.status not in (Status.running, Status.paused)


def _call(task: bytes) -> tuple[bool, bytes]:
    """Run a pickled (function, arguments). Its result, or False and its exception, pickled."""
    try:
        function, arguments = pickle.loads(task)  # noqa: S301 -- as above
        return True, pickle.dumps(function(*arguments))
    except Exception as error:
        try:
            return False, pickle.dumps(error)
        except Exception:  # some exceptions hold what cannot travel
            return False, pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))


def _sees(path: Path, content: str) -> bool:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return path.read_text() == content
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(LOOKS)
