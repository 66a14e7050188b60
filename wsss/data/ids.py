"""Names of photos: NFC-normalised relative POSIX paths without extension, and how to write them safely."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from wsss.core.errors import UserError
from wsss.core.log import warn
from wsss.core.packages import package_folder

HEIC_SUFFIXES = frozenset({".heic", ".heif"})
"""Extensions of a telephone's photos, which the package pillow-heif reads (extra `heic`)."""
READS_HEIC = package_folder("pillow_heif") is not None

_USUAL = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff"})
PHOTO_SUFFIXES = _USUAL | HEIC_SUFFIXES if READS_HEIC else _USUAL
"""Extensions of files that are read; the content decides what they are."""

_FOREIGN = """
.ai .arw .avif .cr2 .cr3 .dng .eps .gif .heic .heif .ico .j2k .jp2 .jxl .nef .orf .pdf .ps .psd .raf .raw .rw2
.svg .tga .xcf
"""
FOREIGN_SUFFIXES = frozenset(_FOREIGN.split()) - PHOTO_SUFFIXES
"""Extensions of pictures that are not read; they are counted, so that none is skipped silently."""

FILE_NAME_BYTES = 200
"""Longest file name made of an id: 255 is the usual limit, and atomic writers add a prefix and a suffix."""

_DRIVE = re.compile(r"^[A-Za-z]:")
_REFUSED = {
    "Cc": "a control character",
    "Cs": "bytes that are not UTF-8",
    "Zl": "a line separator",
    "Zp": "a line separator",
}


def clean_id(path: str, where: str | Path) -> str:
    """Id of the photo at relative `path` (with or without extension): ``./cows/Kuh 1.JPG`` → ``cows/Kuh 1``.

    Raises `UserError` at `where` if the path is empty, absolute, has a drive letter, leaves its folder by
    ``..``, or holds control characters or bytes that are not UTF-8.
    """
    refused = sorted({_REFUSED[kind] for kind in map(unicodedata.category, path) if kind in _REFUSED})
    if refused:
        raise UserError(where, f"the name {path!r} holds {' and '.join(refused)}", "rename the photo")
    if path.startswith(("/", "\\")) or _DRIVE.match(path):
        raise UserError(
            where,
            f"{path!r} is an absolute path, expected one below the data set's folder",
            "make it relative",
        )
    if ".." in re.split(r"[/\\]", path):
        raise UserError(where, f"{path!r} leaves the data set's folder", "name a photo below that folder")
    pure = PurePosixPath(unicodedata.normalize("NFC", path))
    if pure.suffix.lower() in PHOTO_SUFFIXES:
        pure = pure.with_suffix("")
    if not pure.name:
        raise UserError(where, "empty photo name", "name a photo")
    return str(pure)


def warn_foreign(folder: Path, paths: Iterable[str]) -> None:
    """Warn how many of the files at `paths`, below `folder`, are pictures that are not read."""
    files = sorted(path for path in set(paths) if PurePosixPath(path).suffix.lower() in FOREIGN_SUFFIXES)
    if files:
        kinds = Counter(PurePosixPath(path).suffix.lower() for path in files)
        found = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
        what = f"ignored {len(files)} pictures in formats that are not read ({found}; first {files[0]!r})"
        heic = "; or, for HEIC: pip install 'wsss[heic]'" if HEIC_SUFFIXES & {*kinds} else ""
        warn(folder, what, f"convert those that are photos to JPEG or PNG{heic}")


def encode_id(name: str) -> str:
    """Percent-encode an id, for an HDF5 key; ASCII letters, digits and ``_.-~`` stay. See `decode_id`."""
    return quote(name, safe="")


def decode_id(key: str) -> str:
    """The id from which `encode_id` made `key`."""
    return unquote(key, errors="strict")


def file_name(name: str, suffix: str) -> str:
    """A file name for an id: encoded, or its beginning and a hash where that would be too long."""
    encoded = encode_id(name)
    if len(encoded) + len(suffix) <= FILE_NAME_BYTES:
        return encoded + suffix
    # The encoding leaves no `+`, so a shortened name cannot be the whole name of another id.
    tail = f"+{hashlib.sha256(name.encode()).hexdigest()[:16]}{suffix}"
    return encoded[: FILE_NAME_BYTES - len(tail)] + tail
