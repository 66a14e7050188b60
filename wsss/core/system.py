"""What systems do differently: locks, signals, cores. All names that not every system has stand here.

Commands for people run on Linux, macOS and Windows, stages on Linux and macOS.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import TextIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
"""Those that ask for a stop. SIGUSR1 is SLURM's warning; Windows has none."""
FAR = 2**30
"""Windows locks bytes, and nobody else can read those: one behind the end of all text."""


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lock_file(handle: TextIO, wait: bool = False) -> None:
    """Take the exclusive lock of an open file, until it is closed. Raises `BlockingIOError` if another has it."""
    if sys.platform == "win32":
        while True:
            os.lseek(handle.fileno(), FAR, os.SEEK_SET)
            try:
                msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                break
            except OSError as error:
                if not wait or error.errno != errno.EDEADLK:  # LK_LOCK gives up with it after ten seconds
                    raise BlockingIOError(error.errno, "locked by another process") from error
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
