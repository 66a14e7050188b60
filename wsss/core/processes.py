"""Processes: how those that work for a stage begin, and that none outlives what it works for."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

from wsss.core.errors import EnvError
from wsss.core.no_masks import begin_without_masks, told
from wsss.core.system import STOP_SIGNALS

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


@contextmanager
def shielded() -> Iterator[None]:
    """Processes that start inside never receive the signals that ask a stage to stop.

    Ctrl-C, `timeout` and SLURM signal the whole process group; the parent decides, and ends its workers itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield  # Windows has no masks; workers ignore these signals as soon as they begin
        return
    resource_tracker.ensure_running()  # its own start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_children() -> None:
    """Kill worker processes that are still there when a stage ends; else Python would wait for them at its exit."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises when a loader's worker is killed
    for child in multiprocessing.active_children():
        child.kill()


def worker_lost(lacking: str = "memory") -> EnvError:
    """What to say of a worker process that is gone. `lacking`: what it may have had too little of."""
    return EnvError(
        "worker process",
        f"ended unexpectedly (killed, or out of {lacking})",
        "lower WSSS_WORKERS, then run the stage again",
    )


def die_with_parent(signal_number: int, parent: int) -> None:
    """Ask the kernel to send this process a signal when its parent ends, so that no orphan goes on writing.

    Linux alone can do so.
    """
    if not sys.platform.startswith("linux"):
        return
    asked = ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) == 0
    if asked and os.getppid() != parent:  # it has ended before we could ask
        os.kill(os.getpid(), signal_number)


def die_with_dvc() -> None:
    """Stop with DVC, also where the shell that DVC starts a stage in (dash, for one) stays between the two."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    die_with_parent(signal.SIGTERM, parent)
    above = dvc_process()
    if above not in (None, parent):
        with suppress(OSError):  # a kernel or a container without pidfd
            threading.Thread(target=_stop_after, args=(os.pidfd_open(above),), daemon=True).start()


def dvc_process() -> int | None:
    """The process of DVC that has started this one; None where it was not DVC, or that cannot be known."""
    if "DVC_STAGE" not in os.environ:
        return None
    parent = os.getppid()
    with suppress(OSError, ValueError, IndexError):
        shell = Path("/proc") / str(parent)
        if (shell / "comm").read_text().strip().endswith("sh"):
            return int((shell / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return parent


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
    begin_without_masks(told())
