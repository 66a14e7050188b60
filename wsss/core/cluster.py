"""Workers on other machines, by Dask, whatever starts them: one engine for every scheduler.

A task is pickled once and carries its own part only. Workers make files in the run's *desk*, a folder in the scratch
folder, and rename them from there. A stage that ends removes its desk: from then on no task of it can write anything.
"""

from __future__ import annotations

import itertools
import pickle
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client
from distributed import Future as Remote
from distributed.scheduler import KilledWorker

from wsss.core.atomic import explained_os_errors
from wsss.core.environment import scratch_root
from wsss.core.errors import EnvError, UserError, WsssError, raise_all
from wsss.core.folders import remove_dir
from wsss.core.lock import locked
from wsss.core.log import say, warn
from wsss.core.no_masks import told
from wsss.core.pool import Workers
from wsss.core.remote import PROBE, Outcome, Run, check, perform, versions
from wsss.core.schedulers import connect

T = TypeVar("T")
TRIES = 3
"""Workers that a task is given to, one after the other, while each of them loses its process with it."""
AGAIN = "finished work is kept: run the stage again"
MOST = 5
"""Workers whose errors are shown."""
NONE_YET = 15.0
"""Seconds without any worker after which that is said."""


@dataclass(eq=False)
class Task:
    """A call on its way. `data`: the pickled (function, arguments); `lost`: workers whose process ended with it."""

    number: int
    data: bytes
    what: str
    future: Future[Any] = field(default_factory=Future)
    lost: list[str] = field(default_factory=list)


class Cluster(Workers):
    """The workers that `asked`, the value of WSSS_EXECUTOR, names. They are looked for when the first task is there."""

    def __init__(self, asked: str) -> None:
        self._asked, self._numbers = asked, itertools.count()
        self._token = uuid.uuid4().hex
        self._client: Client | None = None
        self._closing = ExitStack()
        self._turn = threading.Lock()
        self._units: dict[int, int] = {}
        self._told = 0
        self._remotes: set[Remote] = set()
        self._over = False
        self._since: float | None = time.monotonic()

    @property
    def count(self) -> int:  # type: ignore[override]
        """Tasks that can run at a time, at least 1: a worker may still be on its way."""
        client = self._client
        if client is None or client.status != "running":
            return 1
        found = 0
        with suppress(OSError, TimeoutError):
            found = sum(client.nthreads().values())
        if found:
            self._since = None
        elif self._since is not None and time.monotonic() - self._since > NONE_YET:
            self._since = None
            fix = f"start some (dask worker {client.scheduler.address}), or see why the queue starts none"
            warn(f"WSSS_EXECUTOR={self._asked}", "there is no worker yet", fix)
        return max(1, found)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Send ``fn(*args)``; functions and arguments must be importable on the workers. Raises `UserError` at the
        first call if no scheduler answers.
        """
        if self._client is None:
            self._open()
        place = args[0] if args else ""
        what = f"{fn.__name__} {place.name}" if isinstance(place, Path) else fn.__name__
        task = Task(next(self._numbers), pickle.dumps((fn, args)), what)
        self._send(task)
        return task.future

    def units(self) -> int:
        with self._turn:
            count = sum(self._units.values())
            new, self._told = count - self._told, count
        return new

    def stop(self) -> None:
        self._over = True
        self._closing.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.stop()

    def _open(self) -> None:
        with ExitStack() as closing:
            link = connect(self._asked)
            closing.callback(link.close)
            self._client = client = link.client
            desk = closing.enter_context(_Desk(self._token))
            self._run = Run(self._token, desk.path, Path.cwd(), versions(), told())
            closing.callback(self._cancel)
            client.subscribe_topic(self._token, self._hear)
            answers = client.run(check, pickle.dumps(self._run), on_error="return")
            # An OSError is a worker that has just gone.
            refused = {
                at: found for at, found in answers.items() if found is not None and not isinstance(found, OSError)
            }
            if len(refused) > MOST:
                say(f"cluster: {len(refused)} of {len(answers)} workers cannot take part; the first {MOST}:")
            raise_all([_refusal(address, found) for address, found in refused.items()][:MOST])
            say(f"cluster: {link.name}, {len(answers)} workers, dashboard {client.dashboard_link}")
            self._closing = closing.pop_all()

    def _cancel(self) -> None:
        remotes = list(self._remotes)
        if self._client is not None and self._client.status == "running":
            with suppress(OSError, TimeoutError):
                self._client.cancel(remotes, force=True)

    def _hear(self, event: tuple[float, tuple[int, int]]) -> None:
        """A worker tells how many units of a task it has done. A task that is done again counts once."""
        number, done = event[1]
        with self._turn:
            self._units[number] = max(done, self._units.get(number, 0))

    def _send(self, task: Task) -> None:
        assert self._client is not None
        order = pickle.dumps((self._run, task.number, task.data))
        key = f"{task.what.split()[0]}-{self._token}-{task.number}-{len(task.lost)}"  # grouped by its first part
        try:
            known = self._client.nthreads() if task.lost else ()
            others = [address for address in known if not any(address in name for name in task.lost)]
            # A key of its own, and `pure=False`: a task writes a file, so its result is never "known already".
            prefer = {"workers": others, "allow_other_workers": True} if others else {}
            remote = self._client.submit(perform, order, pure=False, key=key, **prefer)
        except Exception as error:  # Dask raises several kinds for a client that is closed or closing
            _fail(task, _scheduler_lost(self._asked, error))
            return
        self._remotes.add(remote)
        remote.add_done_callback(lambda remote: self._end(task, remote))

    def _end(self, task: Task, remote: Remote) -> None:
        """What comes of a task that has ended on a worker, or never will. Runs in a thread of the client."""
        self._remotes.discard(remote)
        if self._over:
            return
        try:
            outcome: Outcome = remote.result()
        except KilledWorker as error:
            _fail(task, _worker_lost(f"worker {error.last_worker.address}", task, error.allowed_failures + 1))
        except Exception as error:
            lost = remote.status == "cancelled"
            _fail(task, _scheduler_lost(self._asked, error) if lost else _unknown(error))
        else:
            self._take(task, outcome)

    def _take(self, task: Task, outcome: Outcome) -> None:
        if outcome.kind == "lost":
            task.lost.append(outcome.worker)
            if len(task.lost) >= TRIES:
                _fail(task, _worker_lost(", ".join(dict.fromkeys(task.lost)), task, len(task.lost)))
            else:
                warn(outcome.worker, f"its process ended with {task.what}", "none needed: it is done again")
                self._send(task)
            return
        value = pickle.loads(outcome.data)  # noqa: S301 -- from a worker, to which Dask gives the right to run any code
        if outcome.kind == "done":
            task.future.set_result(value)
            return
        if type(value) in (UserError, EnvError) and outcome.worker not in value.where:
            value = type(value)(value.where, f"{value.what} ({outcome.worker})", value.fix)
        _fail(task, value)


class _Desk:
    """The folder in which a run's files are made, for as long as its block lasts; its lock says that the run lives."""

    def __init__(self, token: str) -> None:
        root = scratch_root().absolute() / "runs"
        self.path, self._token, self._held = root / token, token, ExitStack()

    def __enter__(self) -> _Desk:
        root = self.path.parent
        with explained_os_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            for lock in root.glob("*.lock"):  # of runs that were killed: their tasks may still be at work somewhere
                with suppress(UserError), locked(lock, "a run goes on"):
                    remove_dir(lock.with_suffix(""))
            self._held.enter_context(locked(self.path.with_suffix(".lock"), "a run goes on"))
            self.path.mkdir()
            (self.path / PROBE).write_text(self._token)
        return self

    def __exit__(self, *_: object) -> None:
        with self._held:
            remove_dir(self.path)


def _fail(task: Task, error: BaseException) -> None:
    if not task.future.done():
        task.future.set_exception(error)


def _refusal(address: str, found: object) -> WsssError:
    """What a worker has answered to `check`, if not None: its own error, or that it could not even do that."""
    if isinstance(found, WsssError):
        return found
    what = f"cannot run the stage's code ({type(found).__name__}: {found})"
    return EnvError(f"worker {address}", what, "start it in the environment of the stage: pip install -e '.[cluster]'")


def _worker_lost(where: str, task: Task, count: int) -> EnvError:
    what = f"ended unexpectedly with {task.what}, the last of {count} attempts (killed, or out of memory)"
    return EnvError(where, what, f"give each worker more memory; {AGAIN}")


def _scheduler_lost(asked: str, error: Exception) -> EnvError:
    what = f"the scheduler is gone, or was started anew ({type(error).__name__})"
    return EnvError(f"WSSS_EXECUTOR={asked}", what, f"see that it runs; {AGAIN}")


def _unknown(error: Exception) -> Exception:
    """An error of Dask itself, as a worker reports it that cannot even load the task."""
    if isinstance(error, ImportError):
        return _refusal("of this scheduler", error)
    return error
