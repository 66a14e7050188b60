"""Folders appear whole or not at all, and replace nothing but what wsss has written itself.

A folder that is written here is marked: the file `.wsss` in it lists the checksum of every file (`sha256sum -c .wsss`
reads it). A store has its `index.json` instead. A folder is replaced only if it is empty, or if everything in it is
in its list and, where it is marked, unchanged: hand-made or hand-edited files are never deleted.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsss.core.atomic import explained_os_errors, fsync, sha256_file, write_text
from wsss.core.errors import IntegrityError, UserError

MARK = ".wsss"
STORE_INDEX = "index.json"
"""A folder that holds this file is known by it alone: it lists the checksum of every shard beside it."""
KINDS = ("tmp", "new", "old", "published", "removed")
"""Of the temporary names ``.NAME.PID.KIND`` beside an output."""


@contextmanager
def atomic_dir(path: Path, passing: bool = False) -> Iterator[Path]:
    """Give a temporary directory beside `path`; on success it is marked and replaces `path` as a whole.

    Raises `UserError` if `path` holds anything that wsss did not write there. `passing`: of work that goes on from
    `path` and removes it; it is neither marked nor compared.
    """
    if not passing:
        refuse_foreign(path)
    temporary = _beside(path, "tmp")
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        try:
            temporary.mkdir()
            yield temporary
            if not passing:
                _mark(temporary)
            _replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def publish(source: Path, path: Path) -> None:
    """Make directory `path` equal to `source`, replacing what is there; it is marked, unless it is a store.

    `source` stays: a stage that is killed after this, before its end, is run again from the start, and needs it. Files
    are linked where the file system can, so nothing is copied; both names are read-only from here on. Raises
    `UserError` if `path` holds anything that wsss did not write there.
    """
    refuse_foreign(path)
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        staged = _beside(path, "published")
        try:
            _link_tree(source, staged)
            if not (staged / STORE_INDEX).is_file():
                _mark(staged)
            _replace(staged, path)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def remove_dir(path: Path) -> None:
    """Remove a directory. It is renamed first: after a kill it is whole, or what is left has another name."""
    rubbish = _beside(path, "removed")
    try:
        path.rename(rubbish)
    except FileNotFoundError:
        return
    shutil.rmtree(rubbish, ignore_errors=True)


def refuse_foreign(path: Path) -> None:
    """Raise `UserError` unless the output folder `path` is missing, empty, or as wsss has written it."""
    if not path.name:
        raise UserError(path, "is the folder you are in", "name a folder below it")
    if path.is_symlink() or not path.is_dir():
        if path.is_symlink() or path.exists():
            what = "is a link, and a folder is to be put there" if path.is_symlink() else "is a file, not a folder"
            raise UserError(path, what, "choose another output, or move it away")
        return
    fix = "choose a new folder, or move them away"
    listed = _listed(path)
    for file in _files(path):
        name = file.relative_to(path).as_posix()
        if name not in listed:
            what = f"is to be replaced as a whole, and holds files that wsss did not write, e.g. {name}"
            raise UserError(path, what, fix)
        if (checksum := listed[name]) and sha256_file(file) != checksum:
            what = f"is to be replaced as a whole, and files in it were changed since wsss wrote them, e.g. {name}"
            raise UserError(path, what, fix)


def marked(path: Path, fix: str) -> bool:
    """True if the folder `path` is marked and its files are as they were written, False if it has no mark.

    Raises `IntegrityError`, with `fix`, if a file is missing, has changed, or is not in the list.
    """
    if not (path / MARK).is_file():
        return False
    listed = _listed(path)
    for name in listed.keys() | {file.relative_to(path).as_posix() for file in _files(path)}:
        file, checksum = path / name, listed.get(name)
        if checksum is None or not file.is_file() or (checksum and sha256_file(file) != checksum):
            raise IntegrityError(file, "is damaged: it is not what was written", fix)
    return True


def unlike_mark(path: Path, names: Iterable[str]) -> list[Path]:
    """Those of the files `names` of the marked folder `path` that are missing, not in its list, or changed."""
    listed = _listed(path)
    files = {name: path / name for name in names}
    return [file for name, file in files.items() if not (file.is_file() and listed.get(name) == sha256_file(file))]


def sweep(path: Path) -> None:
    """Remove what processes that were killed have left beside the output `path`.

    An earlier `path` that was put aside and not replaced yet gets its name back.
    """
    if not path.parent.is_dir():
        return
    for item in sorted(path.parent.iterdir()):
        process, dot, kind = item.name.removeprefix(f".{path.name}.").partition(".")
        if not (item.name.startswith(f".{path.name}.") and process.isdecimal() and dot and kind in KINDS):
            continue
        if _lives(int(process)):
            continue
        if kind == "old" and not path.exists():
            item.rename(path)
        elif item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)


def sweep_inside(folder: Path) -> None:
    """Remove files of `core.atomic.atomic_file` that were never finished. Nobody else may be writing in `folder`."""
    for item in list(folder.rglob(".*.tmp")):
        if item.name.split(".")[-2].isdecimal():
            item.unlink(missing_ok=True)


def _replace(source: Path, path: Path) -> None:
    """Rename directory `source` to `path` beside it, in the place of a directory that is there."""
    old = _beside(path, "old")
    if path.exists():
        path.rename(old)
    try:
        source.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    fsync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _mark(folder: Path) -> None:
    names = sorted((file.relative_to(folder).as_posix(), file) for file in _files(folder))
    write_text(folder / MARK, "".join(f"{sha256_file(file)}  {name}\n" for name, file in names if name != MARK))


def _listed(folder: Path) -> dict[str, str]:
    """Files that wsss wrote into `folder`, with their checksums; empty where they need not be compared."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        if (folder / MARK).is_file():
            lines = (folder / MARK).read_text(encoding="utf-8").splitlines()
            return {name: checksum for checksum, name in (line.split("  ", 1) for line in lines)} | {MARK: ""}
        index = json.loads((folder / STORE_INDEX).read_text(encoding="utf-8"))
        if index["format"].startswith("wsss."):
            return {shard["name"]: "" for shard in index["shards"]} | {STORE_INDEX: ""}
    return {}


def _files(folder: Path) -> Iterator[Path]:
    """Everything below `folder` but its folders."""
    for item in sorted(folder.iterdir()):
        if item.is_dir() and not item.is_symlink():
            yield from _files(item)
        else:
            yield item


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def _lives(process: int) -> bool:
    if process == os.getpid():
        return False  # an earlier process of this number: this one has left nothing yet
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


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
            fsync(target / item.name)
