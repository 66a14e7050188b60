"""One writer at a time: a locked file whose text names the holder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.log import say
from wsss.core.system import lock_file

LOOKS = 0.2
"""Seconds between two looks at a lock that is waited for."""


@contextmanager
def locked(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock on `path`, whose text names the holder for whoever comes second and is told `what`.

    Raises `UserError` if another process holds it; with `wait`, it is told so and waits for its turn.
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
        # The holder before us may have deleted the file between our open and our lock: then lock the new one.
        if path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
            return handle
        handle.close()
