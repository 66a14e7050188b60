"""`python -m tests.torture.cutting CALL HOW STAGE`: a stage ends, or finds no room, at one call of the file system.

Python tells of each such call before it is made (PEP 578). Calls on files outside the working directory are not
counted, nor those that only read. CALL is a number, or a part of the path of the first file to be renamed. HOW is
`count` (all calls are made, and their number is printed), `kill` or `full`.
"""

from __future__ import annotations

import errno
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
HERE = str(Path.cwd())


class Counter:
    """An audit hook that counts, and from the `call` of this number or path on does what it is told."""

    def __init__(self, call: str, how: str) -> None:
        self.call, self.how, self.calls = call, how, 0
        self.last = int(call) if call.isdecimal() else sys.maxsize

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count one event if it changes a file of the working directory."""
        if not (event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING)):
            return
        if not os.path.abspath(os.fsdecode(arguments[0])).startswith(HERE):  # noqa: PTH100 -- Path would open files
            return
        self.calls += 1
        if not self.call.isdecimal() and event == "os.rename" and self.call in os.fsdecode(arguments[0]):
            self.last = min(self.last, self.calls)
        if self.calls < self.last or self.how == "count":
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if event in ("open", "os.mkdir", "os.link", "os.symlink"):  # what needs room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])


if __name__ == "__main__":
    counter = Counter(sys.argv[1], sys.argv[2])
    stage = f"pipeline.{sys.argv[3]}"
    sys.argv = [stage]
    sys.addaudithook(counter)
    try:
        runpy.run_module(stage, run_name="__main__", alter_sys=True)
    finally:
        sys.stderr.write(f"\ncalls {counter.calls}\n")
