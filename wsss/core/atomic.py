"""Files appear whole or not at all: temporary name in the same folder → verify → fsync → rename."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from wsss.core.errors import EnvError, UserError


@contextmanager
def atomic_file(path: Path, verify: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Give a temporary path to write; on success it becomes `path`, on any error the old file stays.

    `verify` re-opens the finished temporary file and raises if it is not what was meant.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if verify is not None:
                verify(temporary)
            _fsync(temporary)
            temporary.replace(path)
            _fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Atomically write `data` to `path`."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Atomically write `text` as UTF-8 with ``\\n`` line ends, whatever the locale."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Give a temporary directory beside `path`; on success it replaces `path` as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            replace_dir(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def refuse_foreign(path: Path, ours: Sequence[str]) -> None:
    """Raise `UserError` if the output folder `path` holds anything but entries of the names `ours` (patterns).

    Where a person names the folder that is to be replaced, it may be one of their own.
    """
    if not path.name:
        raise UserError(path, "is the folder you are in", "name a folder below it")
    if not path.is_dir():
        return
    foreign = sorted(item.name for item in path.iterdir() if not any(fnmatch(item.name, name) for name in ours))
    if foreign:
        what = f"is to be replaced as a whole, and holds files that do not belong to it, e.g. {foreign[0]}"
        raise UserError(path, what, "choose a new folder, or move them away")


def refuse_existing(path: Path) -> None:
    """Raise `UserError` if the output file `path` is there: it may be one of the person's own."""
    if path.exists():
        raise UserError(path, "is there already", "choose another name, or delete it")


def replace_dir(source: Path, path: Path) -> None:
    """Move directory `source` to `path` (any file system), replacing a directory that is there.

    `source` is whole until `path` is: a run that is killed in between finds all of its work again.
    """
    with explained_os_errors(path):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is a file", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        staged, old = (path.with_name(f".{path.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
        for left_behind in (staged, old):
            shutil.rmtree(left_behind, ignore_errors=True)
        near = source.stat().st_dev == path.parent.stat().st_dev
        try:
            if not near:
                _copy_tree(source, staged)
            if path.exists():
                path.rename(old)
            try:
                (source if near else staged).rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
            _fsync(path.parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        if not near:
            shutil.rmtree(source)


def publish(source: Path, path: Path) -> None:
    """Make directory `path` equal to `source`, replacing what is there. `source` stays.

    A stage that is killed after this, before its end, is run again from the start: then it needs `source`. Files are
    linked where the file system can, so nothing is copied; both names are read-only from here on.
    """
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}.published")
        shutil.rmtree(staged, ignore_errors=True)
        try:
            _link_tree(source, staged)
            replace_dir(staged, path)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def remove_dir(path: Path) -> None:
    """Remove a directory. It is renamed first: after a kill it is whole, or what is left has another name."""
    rubbish = path.with_name(f".{path.name}.{os.getpid()}.removed")
    try:
        path.rename(rubbish)
    except FileNotFoundError:
        return
    shutil.rmtree(rubbish, ignore_errors=True)


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


def _link_tree(source: Path, target: Path) -> None:
    target.mkdir()
    for item in source.iterdir():
        if item.is_dir():
            _link_tree(item, target / item.name)
            continue
        try:
            (target / item.name).hardlink_to(item)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            shutil.copy2(item, target / item.name)
            _fsync(target / item.name)


def _copy_tree(source: Path, target: Path) -> None:
    # shutil.copytree would report a full disk as mere text, without its number.
    target.mkdir()
    for item in source.iterdir():
        if item.is_dir():
            _copy_tree(item, target / item.name)
        else:
            shutil.copy2(item, target / item.name)
            _fsync(target / item.name)


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
