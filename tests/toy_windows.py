"""What Windows has instead of flock, on locks of Linux. Light: it is loaded before names are taken away."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import types


def msvcrt() -> types.ModuleType:
    """The locks of Windows on Linux's of one kind: of the bytes at the position, and until the file is closed."""
    made = types.ModuleType("msvcrt")

    def locking(descriptor: int, mode: int, length: int) -> None:
        begin = os.lseek(descriptor, 0, os.SEEK_CUR)
        assert begin >= os.fstat(descriptor).st_size, "nobody else can read locked bytes"
        # struct flock of a 64-bit Linux: type, whence, begin, length, process
        whole = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, begin, length, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole)
        except BlockingIOError:
            # Windows asks ten times in ten seconds where it is to wait.
            raise OSError(errno.EDEADLK if mode == 1 else errno.EACCES, "not now") from None

    made.__dict__.update(LK_LOCK=1, LK_NBLCK=2, locking=locking)
    return made
