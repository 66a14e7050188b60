"""Unpacking archives that nobody vouches for: nothing outside the folder, no links, no bombs; whole or not at all."""

from __future__ import annotations

import errno
import gzip
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from wsss.core.atomic import explained_os_errors
from wsss.core.errors import UserError, WsssError
from wsss.core.folders import atomic_dir
from wsss.core.log import Progress

CHUNK = 1 << 20
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
"""Errors of the disk that is written to."""
MAX_HEADER = 1 << 20
"""Longest piece of an archive that its reader may ask for at once: names and attributes, not contents."""


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to."""

    files: int
    size: int
    """Bytes of all files together."""


@dataclass(frozen=True)
class Member:
    """One regular file of an archive: its name as it may be written, and how to open it."""

    name: str
    handle: Any


def unpack(archive: Path, folder: Path, limits: Limits) -> int:
    """Unpack a `.zip`, `.tar`, `.tgz` or `.tar.gz` into `folder`, beside what is there; return the number of files.

    Refused, with `UserError`, before anything appears in `folder`: absolute names and ``..``, links, devices, two
    files of one name, more files or bytes than `limits`, damaged archives.
    """
    staged = folder / f".{archive.name}.unpacked"
    count = 0
    total = 0
    with atomic_dir(staged, passing=True) as temporary:
        try:
            with (
                _opened(archive, limits) as (expected, members),
                Progress(f"unpack {archive.name}", expected, "files") as progress,
            ):
                for member in members:
                    count += 1
                    if count > limits.files:
                        raise _refused(archive, f"more than {limits.files} files")
                    target = temporary / member.name
                    if target.exists():
                        raise _refused(archive, f"two entries are called {member.name!r}")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    total = _copy(archive, member, target, total, limits)
                    progress.advance()
        except WsssError:
            raise
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise _refused(archive, f"an entry is a file and a folder ({error.filename})") from error
        except Exception as error:  # the readers raise nearly anything on damaged bytes, also EINVAL of a seek
            if isinstance(error, OSError) and error.errno in DISK:
                raise
            raise _damaged(archive, error) from error
    with explained_os_errors(folder):
        _merge(staged, folder)
    return count


def safe_name(name: str, archive: Path) -> str:
    """A member's name as a relative path; `UserError` for one that could be written elsewhere."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise _refused(archive, f"the name {ascii(name)[:80]} holds a control character or is not UTF-8")
    if name.startswith(("/", "\\")) or re.match("^[A-Za-z]:", name):
        raise _refused(archive, f"{name[:80]!r} is an absolute path")
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    if ".." in parts:
        raise _refused(archive, f"{name[:80]!r} leaves the folder")
    if not parts or any(len(part.encode()) > 255 for part in parts) or len(name) > 2000:
        raise _refused(archive, f"{name[:80]!r} is no file name")
    return "/".join(parts)


@contextmanager
def _opened(archive: Path, limits: Limits) -> Iterator[tuple[int, Iterator[Member]]]:
    """Number of files if it is known at once (else 0), and the regular files, in the archive's order."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            entries = [entry for entry in file.infolist() if not entry.is_dir()]
            yield len(entries), (_zip_member(archive, file, entry) for entry in entries)
        return
    packed = archive.name.endswith((".tgz", ".gz"))
    with archive.open("rb") as raw:
        source: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        careful: Any = _Careful(source, archive, limits.size + MAX_HEADER * 16 + 2048 * limits.files)
        with tarfile.open(fileobj=careful, mode="r:") as tar:
            yield 0, (_tar_member(archive, tar, entry) for entry in tar if not entry.isdir())


def _zip_member(archive: Path, file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    name = safe_name(entry.filename, archive)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _refused(archive, f"{name!r} is a link or a device")
    return Member(name, lambda: file.open(entry))


def _tar_member(archive: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Member:
    name = safe_name(entry.name, archive)
    if not entry.isreg() or entry.issparse():
        raise _refused(archive, f"{name!r} is a link or a device")
    return Member(name, lambda: tar.extractfile(entry))


class _Careful:
    """A file that is read forward in small pieces: a header that claims gigabytes does not get them."""

    def __init__(self, source: Any, archive: Path, length: int) -> None:
        self.source, self.archive, self.length = source, archive, length

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise _refused(self.archive, "a header is too long")
        return bytes(self.source.read(size))

    def seek(self, place: int) -> int:
        if place > self.length:
            raise _refused(self.archive, "an entry is larger than the whole archive may be")
        return int(self.source.seek(place))

    def tell(self) -> int:
        return int(self.source.tell())


def _copy(archive: Path, member: Member, target: Path, total: int, limits: Limits) -> int:
    source: IO[bytes]
    with member.handle() as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            total += len(chunk)
            # Counted as they come: what an archive declares may be a lie.
            if total > limits.size:
                raise _refused(archive, f"it unpacks to more than {limits.size / 1e9:.3g} GB")
            file.write(chunk)
    return total


def _merge(source: Path, folder: Path) -> None:
    """Move everything below `source` into `folder`; files of the same name are replaced."""
    for path in sorted(source.iterdir()):
        target = folder / path.name
        if path.is_dir() and target.is_dir():
            _merge(path, target)
        else:
            path.replace(target)
    shutil.rmtree(source)


def _refused(archive: Path, what: str) -> UserError:
    return UserError(archive, f"refused: {what}", "take the official archive; it holds nothing of the kind")


def _damaged(archive: Path, error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(archive, f"damaged, or no archive ({reason[:120]})", f"delete {archive} and download it again")
