"""One writer at a time: a locked file whose text names the holder.

Why not the library `filelock`: docs/reliability.md.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from wsss.core.errors import EnvError, UserError
from wsss.core.interrupt import check_stop
from wsss.core.log import say
from wsss.core.system import lock_file

LOOKS = 0.2
"""Seconds between two looks at a lock that is waited for."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the kernel says of file systems, mostly of networks, that lock nothing. Without a lock nothing is written."""


@contextmanager
def locked(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock on `path`, whose text names the holder for whoever comes second and is told `what`.

    Raises `UserError` if another process holds it; with `wait`, it is told so and waits for its turn. Raises `EnvError`
    where the file system has no locks.
    """
    handle = _acquire(path, what, wait)
    try:
        handle.truncate(0)
        handle.write(f"PID {os.getpid()}: {' '.join(sys.argv)}")
        handle.flush()
        yield
    finally:
        with suppress(PermissionError):  # Windows removes no open file: an unlocked one is as good as none
            path.unlink(missing_ok=True)
        handle.close()


def _acquire(path: Path, what: str, wait: bool) -> TextIO:
    told = False
    while True:
        handle = path.open("a+", encoding="utf-8")
        try:
            lock_file(handle)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read() or "another process"
            handle.close()
            if not wait:
                raise UserError(path, f"{what} ({holder})", "wait for it, or stop it first") from None
            if not told:
                say(f"waiting: {what} ({holder})")
            told = True
            time.sleep(LOOKS)
            check_stop()
            continue
        except OSError as error:
            handle.close()
            if error.errno not in NO_LOCKS:
                raise
            what = f"cannot be locked ({error.strerror}): its file system has no locks"
            fix = "work on another file system; of a stage, set WSSS_SCRATCH to a folder there"
            raise EnvError(path, what, fix) from error
        # The holder before us may have deleted the file between our open and our lock: then lock the new one.
        with suppress(FileNotFoundError):
            if os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                return handle
        handle.close()
