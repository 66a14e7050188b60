"""Files appear whole or not at all: temporary name in the same folder → verify → fsync → rename."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss.core.errors import EnvError, UserError

_desk: Path | None = None
"""Where this process makes its files, if not beside their final names."""


def write_through(desk: Path) -> None:
    """From here on this process makes every file in the folder `desk`, and renames it from there.

    Whoever removes the folder ends that: no file of this process can appear anywhere any more.
    """
    global _desk
    _desk = desk


@contextmanager
def atomic_file(path: Path, verify: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Give a temporary path to write; on success it becomes `path`, on any error the old file stays.

    `verify` re-opens the finished temporary file and raises if it is not what was meant.
    """
    # Processes of several machines may have the same number.
    temporary = _desk / f"{uuid.uuid4()}.tmp" if _desk else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained_os_errors(path):
        if _desk is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if verify is not None:
                verify(temporary)
            fsync(temporary)
            temporary.replace(path)
            fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Atomically write `data` to `path`."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Atomically write `text` as UTF-8 with ``\\n`` line ends, whatever the locale."""
    write_bytes(path, text.encode("utf-8"))


def refuse_existing(path: Path) -> None:
    """Raise `UserError` if the output file `path` is there: it may be one of the person's own."""
    if path.exists():
        raise UserError(path, "is there already", "choose another name, or delete it")


@contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk, a read-only folder or a file in the way into messages that name `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(_existing_parent(path)).free
            raise EnvError(
                path,
                f"disk full while writing (free {free / 2**20:.0f} MiB)",
                "free some space, then run the stage again",
            ) from error
        if error.errno == errno.EFBIG:
            raise EnvError(
                path,
                "cannot be written: larger than this system lets a file be (see `ulimit -f`)",
                "raise the limit, or write to another disk, then run the stage again",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise EnvError(
                path,
                "cannot be written: permission denied or read-only",
                f"make {path.parent} writable, or choose another output",
            ) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY):
            raise UserError(
                path,
                f"cannot be written: {error.strerror} ({error.filename})",
                "move what is in the way, or choose another output",
            ) from error
        if error.errno == errno.ENOENT:
            raise UserError(path, "cannot be written: no such folder", "choose another output") from error
        raise


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def fsync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
    if sys.platform == "win32" and path.is_dir():
        return  # which cannot be opened there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
