"""Opens untrusted image bytes: the accepted formats and sizes, and the errors for anything else."""

from __future__ import annotations

import io
import stat
import threading
import warnings
from pathlib import Path
from types import TracebackType

from PIL import Image, UnidentifiedImageError

from wsss.core.errors import UserError
from wsss.core.packages import HEIC_FIX

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")

_IMAGES = ((b"\xff\xd8\xff", "JPEG"), (b"\x89png", "PNG"), (b"riff", "WEBP"), (b"bm", "BMP"))
_TIFFS = ((b"ii*\x00", "TIFF"), (b"mm\x00*", "TIFF"), (b"ii+\x00", "TIFF"), (b"mm\x00+", "TIFF"))
_OTHERS = (
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"gif8", "a GIF"),
    (b"8bps", "a Photoshop file"),
    (b"%!ps", "an EPS drawing"),
    (b"%pdf", "a PDF"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)


MAX_BYTES = 2**31
"""Of any file that is read whole: the largest photo that `MAX_MEGAPIXELS` allows, uncompressed, has half of it."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class _OwnLimits:
    """Pillow's own pixel limit and warnings are off while any thread is inside: ours hold instead."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._limit: int | None = None
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                Image.MAX_IMAGE_PIXELS = self._limit
                self._warnings.__exit__(None, None, None)


own_limits = _OwnLimits()
"""Every call of Pillow that decodes goes inside ``with own_limits``."""


def read_file(path: Path, most: int = MAX_BYTES) -> bytes:
    """Bytes of a file; `UserError` if it cannot be read, or by `check_file`."""
    try:
        check_file(path, most)
        return path.read_bytes()
    except OSError as error:
        raise UserError(path, f"cannot be read ({error.strerror})", "restore the file, or delete its entry") from error


def check_file(path: Path, most: int = MAX_BYTES) -> None:
    """Raise `UserError` unless `path` is a regular file of at most `most` bytes, before any of them is read.

    Whoever opens a named pipe waits for its writer, and a device may have no end.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for test, kind in _KINDS.items() if test(found.st_mode)), "something else")
        raise UserError(path, f"found {kind}, expected a file", "move it out of the data set, or correct the path")
    if found.st_size > most:
        what = f"{found.st_size / 1e6:.1f} MB are too many (expected ≤ {most / 1e6:g} MB)"
        raise UserError(
            path, what, "see whether it is the right file; restore it, or delete it, and its row in the table of tags"
        )


def open_image(
    data: bytes, name: str | Path, formats: tuple[str, ...] = FORMATS, max_megapixels: float | None = None
) -> Image.Image:
    """The image with its header read and its size checked, not yet decoded. `UserError` naming `name`."""
    try:
        with own_limits:
            image = (
                _open_heic(data)
                if formats == FORMATS and is_heic(data)
                else Image.open(io.BytesIO(data), formats=formats)
            )
    # Pillow's readers raise nearly anything on hostile bytes: SyntaxError, struct.error, ZeroDivisionError …
    except Exception as error:
        raise broken(data, name, error, formats) from error
    megapixels = image.width * image.height / 1e6
    if max_megapixels is not None and megapixels > max_megapixels:
        found = f"{size_text(image.height, image.width)} = {megapixels:.4g} megapixels"
        what = f"the photo is too large (found {found}, expected ≤ {max_megapixels:g} megapixels)"
        raise UserError(name, what, "shrink the photo, or raise dataset.max_megapixels")
    return image


def is_heic(data: bytes) -> bool:
    """True for the bytes of a telephone's HEIC or HEIF photo."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def _open_heic(data: bytes) -> Image.Image:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return Image.open(io.BytesIO(data), formats=("HEIF",))


def broken(data: bytes, name: str | Path, error: Exception, formats: tuple[str, ...] = FORMATS) -> UserError:
    """The error for bytes that are no whole image, with what they seem to be instead."""
    fix = "copy or download the file again, or delete it, and its row in the table of tags"
    if is_heic(data) and isinstance(error, ModuleNotFoundError):
        return UserError(name, f"not an image (found a HEIC photo, expected {', '.join(formats)})", HEIC_FIX)
    found = "HEIC" if is_heic(data) and formats == FORMATS else sniff(data)
    if found in (*formats, "HEIC"):
        # The text of UnidentifiedImageError is a memory address.
        told = not isinstance(error, UnidentifiedImageError) and str(error)
        reason = f" ({error})" if told else ""
        return UserError(name, f"damaged or truncated {found}{reason}", fix)
    return UserError(name, f"not an image (found {found}, expected {', '.join(formats)})", fix)


def sniff(data: bytes) -> str:
    """The kind of a file by its first bytes: ``JPEG``, ``an HTML page``, ``an empty file`` …"""
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp":
        return "a HEIC or AVIF photo, or a film"
    if not any(data[:4096]):
        return "zero bytes only"
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, kind in (*_IMAGES, *_TIFFS, *_OTHERS):
        if start.startswith(signature):
            return kind
    return f"bytes {data[:4].hex(' ')} …"


def size_text(height: int, width: int) -> str:
    """``320 × 213 pixels``, width first as image viewers say it."""
    return f"{width} × {height} pixels"
