"""HDF5 files: sealed with a checksum, and opened read-only without anything that could reach outside the file.

h5py follows external links and external storage to any file that the user can read, and a virtual or over-declared
data set can claim any size. Our artifacts use none of these, so they are refused. HDF5's own code does not survive
every damaged file: one flipped bit can send it into an endless loop. So the checksum is checked first. It follows
HDF5's own end of file, so other programs ignore it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np

from wsss.core.errors import IntegrityError, UserError

MAX_EXPANSION = 1040
"""A data set may declare at most this many times the bytes that are stored for it: deflate reaches 1032, on a large
map of only background."""

MAX_ARRAY = 512 * 2**20
"""Bytes of one data set once it is read: the labels of a photo of 500 megapixels, the most that settings allow."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises on damaged bytes."""

SEAL = b"\nwsss sha256 "
SEAL_BYTES = len(SEAL) + 64 + 1
BLOCK = 1 << 20


def sealed(image: bytes) -> bytes:
    """`image`, a whole HDF5 file, with the checksum line at its end that `check_seal` verifies."""
    return image + SEAL + hashlib.sha256(image).hexdigest().encode() + b"\n"


def check_seal(path: Path, remedy: str) -> None:
    """Raise `IntegrityError` unless the file at `path` is what `sealed` made."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        rest = max(path.stat().st_size - SEAL_BYTES, 0)
        while rest > 0 and (block := file.read(min(rest, BLOCK))):
            digest.update(block)
            rest -= len(block)
        end = file.read()
    if not end.startswith(SEAL):
        raise IntegrityError(path, "cut short, or not written by wsss (it does not end with a checksum)", remedy)
    if end != SEAL + digest.hexdigest().encode() + b"\n":
        raise IntegrityError(path, "damaged or edited (its checksum differs)", remedy)


def open_checked(path: Path, file_format: str, version: int, remedy: str) -> h5py.File:
    """Open `path` read-only if it is a `file_format` file of this version and holds only plain local data.

    Raises `UserError` if it is missing, `IntegrityError` (with `remedy` as the fix) for anything else.
    """
    if not path.is_file():
        raise UserError(path, "no such file", remedy)
    check_seal(path, remedy)
    file = open_again(path, remedy)
    try:
        found = [str(file.attrs.get(name)) for name in ("format", "version")]
        if found != [file_format, str(version)]:
            raise IntegrityError(
                path,
                f"found format {found[0]!r} version {found[1]}, expected {file_format!r} version {version}",
                remedy,
            )
        _refuse_foreign(path, file, remedy)
    except DAMAGE as error:
        file.close()
        raise IntegrityError(path, f"damaged ({_first_line(error)})", remedy) from error
    except BaseException:
        file.close()
        raise
    return file


def open_again(path: Path, remedy: str) -> h5py.File:
    """Open `path` read-only, which `open_checked` has accepted before. Raises `IntegrityError` if it is no HDF5."""
    try:
        return h5py.File(path, "r", locking=False)
    except DAMAGE as error:
        raise IntegrityError(path, f"not a readable HDF5 file ({_first_line(error)})", remedy) from error


def read_array(group: h5py.Group, name: str, remedy: str) -> np.ndarray:
    """Read one data set whole; a checksum failure or a missing name becomes an `IntegrityError`."""
    try:
        return np.asarray(group[name][()])
    except DAMAGE as error:
        raise IntegrityError(
            group.file.filename, f"{group.name}/{name} is damaged or missing ({_first_line(error)})", remedy
        ) from error


def _refuse_foreign(path: Path, file: h5py.File, remedy: str) -> None:
    pending: list[tuple[int, h5py.Group]] = [(0, file)]
    while pending:
        depth, group = pending.pop()
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise IntegrityError(path, f"{place} is a {type(link).__name__}; links are refused", remedy)
            item = group[name]
            if isinstance(item, h5py.Group):
                # Our files are /<id>/<array>. A deeper group may also contain itself and would never end.
                if depth > 0:
                    raise IntegrityError(path, f"{place} is a group in a group; only /<id>/<array> is accepted", remedy)
                pending.append((depth + 1, item))
                continue
            if not isinstance(item, h5py.Dataset):
                raise IntegrityError(path, f"{place} is a named type; only arrays are accepted", remedy)
            reason = _foreign(item)
            if reason:
                raise IntegrityError(path, f"{place} {reason}", remedy)


def _foreign(item: h5py.Dataset) -> str:
    if item.external:
        return "stores its data in another file; external storage is refused"
    if item.is_virtual:
        return "is a virtual data set; these are refused"
    if item.dtype.hasobject or h5py.check_vlen_dtype(item.dtype) or item.dtype.kind not in "biufS":
        return f"has type {item.dtype}; only plain numbers are accepted"
    stored = item.id.get_storage_size()
    if item.nbytes > MAX_EXPANSION * max(stored, 1024):
        return f"declares {item.nbytes} bytes but stores {stored}"
    if item.nbytes > MAX_ARRAY:
        return f"declares {item.nbytes} bytes, expected ≤ {MAX_ARRAY}"
    return ""


def _first_line(error: BaseException) -> str:
    return str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
