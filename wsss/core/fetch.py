"""Downloading large files: goes on where it was cut, and says what it got."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from wsss.core.atomic import explained_os_errors, write_text
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.log import Progress, say, warn

CHUNK = 1 << 20
TRIES = 8
"""Connections without a single new byte between them before a download is given up."""
TIMEOUT = 60.0
CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
"""What a connection that fails or ends too early raises."""
WAIT = 2.0


def fetch(url: str, path: Path, size: int | None = None) -> None:
    """Download `url` to `path`. What came before a cut is kept in ``path.part`` and continued by HTTP Range.

    `size` is the file's length if it is known. Raises `EnvError` if the server cannot be reached, refuses, or the disk
    is too small; the partial file stays for the next run.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError(url, "found another scheme, expected http:// or https://", "correct the address")
    part = path.with_name(f"{path.name}.part")
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fruitless = 0
        while True:
            before = _length(part)
            try:
                if _continue(url, part, path, size):
                    part.replace(path)
                    _stamp(part).unlink(missing_ok=True)
                    return
                reason = "the connection was cut"
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416:  # nothing more to send; or what is there does not fit what the server has now
                    if before and error.headers.get("Content-Range") == f"bytes */{before}":
                        size = before
                    else:
                        part.unlink(missing_ok=True)
                elif error.code < 500 and error.code not in (408, 429):
                    fix = "look for the file's new address, and give it with --mirror"
                    raise EnvError(url, f"the server answered {error.code} {error.reason}", fix) from error
                reason = f"the server answered {error.code} {error.reason}"
            except CUT as error:
                reason = str(getattr(error, "reason", "") or error) or type(error).__name__
            fruitless = 0 if _length(part) > before else fruitless + 1
            if fruitless >= TRIES:
                what = f"cannot be downloaded ({reason})"
                raise EnvError(url, what, f"run the command again: it goes on after {_length(part) >> 20} MiB")
            say(f"{path.name}: {reason}; goes on after {_length(part) >> 20} MiB")
            time.sleep(WAIT * fruitless)


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise `EnvError` if the disk of `folder` has less than `needed` bytes."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        found = f"{what} needs about {needed / 1e9:.1f} GB, free are {free / 1e9:.1f} GB"
        raise EnvError(folder, found, "free some space, or choose another folder")


def check_sum(path: Path, expected: str) -> None:
    """Compare a file with ``md5:…`` or ``sha256:…``. Raises `IntegrityError`."""
    kind, _, digest = expected.partition(":")
    found = file_digest(path, kind)
    if found != digest.lower():
        what = f"wrong {kind} (found {found}, expected {digest.lower()})"
        raise IntegrityError(path, what, f"delete {path} and run the command again")


def file_digest(path: Path, kind: str) -> str:
    """Hex digest of a file's bytes; `kind` is ``md5`` or ``sha256``."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _continue(url: str, part: Path, path: Path, size: int | None) -> bool:
    """One connection: append what it gives to `part`. True once the file is whole."""
    have = _length(part)
    if size is not None and have == size:
        return True
    request = urllib.request.Request(url, headers={"User-Agent": "wsss", "Accept-Encoding": "identity"})
    stamp = _stamp(part).read_text(encoding="utf-8") if have and _stamp(part).is_file() else ""
    if have:
        request.add_header("Range", f"bytes={have}-")
    if stamp:
        request.add_header("If-Range", stamp)  # a file that has changed meanwhile is sent from its beginning
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            return False
        begin = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = begin + int(length) if length.isdecimal() else size
        if size is not None and total != size:
            fix = "look for the file's new address, and give it with --mirror"
            raise EnvError(url, f"found a file of {total} bytes, expected {size}", fix)
        if total is not None:
            check_space(part.parent, total - begin, path.name)
        new_stamp = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if new_stamp.startswith("W/"):
            new_stamp = response.headers.get("Last-Modified") or ""
        write_text(_stamp(part), new_stamp)
        label = f"download {path.name}"
        with (
            part.open("ab" if resumed else "wb") as file,
            Progress(label, (total or begin) >> 20, "MiB", begin >> 20) as progress,
        ):
            done = begin
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress.advance(((done + len(chunk)) >> 20) - (done >> 20))
                done += len(chunk)
                if total is not None and done > total:
                    raise EnvError(url, f"the server sends more than the {total} bytes it said", "try again later")
    if total is None:
        warn(url, "the server does not say how long the file is", "none needed where a checksum is known")
    return total is None or done == total


def _stamp(part: Path) -> Path:
    return part.with_name(f"{part.name}.stamp")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
