"""What counts as a photo and what as a mask: one policy for every stage that opens an image file."""

from __future__ import annotations

import io
import threading
import warnings
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsss.core.atomic import atomic_file
from wsss.core.errors import UserError
from wsss.core.log import warn
from wsss.data.index import IGNORE

ImageArray = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MAX_MEGAPIXELS = 120.0
"""Default limit of a photo's size: a 100-megapixel panorama passes, a decompression bomb does not."""

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIGNATURES = (
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
    (b"\xff\xd8\xff", "a damaged JPEG"),
    (b"\x89png", "a damaged PNG"),
    (b"riff", "a damaged WEBP"),
    (b"bm", "a damaged BMP"),
    (b"ii*\x00", "a damaged TIFF, or a camera's raw file"),
    (b"mm\x00*", "a damaged TIFF, or a camera's raw file"),
)


class _OwnLimits:
    """Pillow's pixel limit and warnings are off while any thread is inside: `max_megapixels` and our errors hold instead."""

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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                Image.MAX_IMAGE_PIXELS = self._limit
                self._warnings.__exit__(None, None, None)


_own_limits = _OwnLimits()


def load_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> ImageArray:
    """Photo at `path` → (H, W, 3) uint8 RGB as it is displayed; see `decode_image`."""
    return decode_image(read_file(path), path, max_megapixels)


def decode_image(data: bytes, name: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> ImageArray:
    """Bytes of a JPEG, PNG, WEBP, BMP or TIFF → (H, W, 3) uint8 RGB, fully decoded, EXIF rotation applied.

    Transparency is laid on white, 16 bits are scaled to 8, of several frames the first is taken (with a warning).
    `name` is used in messages only. Raises `UserError` naming it if the bytes are anything else, damaged or cut short,
    or if the photo has more than `max_megapixels`.
    """
    image = _open(data, name, FORMATS, max_megapixels)
    # The second image of a JPEG is a preview or a gain map of the same photo, not a page of its own.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        _warn_frames(str(name))
    try:
        with _own_limits:
            return np.array(_to_rgb(_upright(image)), dtype=np.uint8)
    except UserError:
        raise
    except Exception as error:  # as in `_open`
        raise _broken(data, name, error) from error


def load_mask(path: Path, size: tuple[int, int], classes: int) -> ImageArray:
    """Mask at `path` → (H, W) uint8 with values 0..classes-1 and 255 = ignore.

    `size` is (H, W) of the photo as displayed; `classes` counts the background. An indexed or grey PNG holds the class
    ids, a colour PNG the colours of `voc_palette`. Raises `UserError` naming size, value or colour that does not fit.
    """
    data = read_file(path)
    if data.startswith(b"\xff\xd8\xff"):
        raise UserError(path, "the mask is a JPEG, whose compression changes class ids", "save the mask as an indexed PNG")
    image = _open(data, path, ("PNG",), max_megapixels=None)
    found = (image.height, image.width)
    if found != size:
        what = f"mask of {_size(found)}, but its photo is displayed as {_size(size)}"
        if found == size[::-1]:
            raise UserError(path, f"{what}: it fits the photo before its EXIF rotation", "rotate the mask as the photo is displayed")
        raise UserError(path, what, "give photo and mask the same size")
    try:
        with _own_limits:
            mask = _ids_of_colours(image, path) if image.mode in ("RGB", "RGBA") else np.array(image)
    except UserError:
        raise
    except Exception as error:  # as in `_open`
        raise _broken(data, path, error) from error
    values, counts = np.unique(mask, return_counts=True)
    wrong = (values >= classes) & (values != IGNORE)
    if mask.ndim != 2 or wrong.any():
        found_text = f"{values[wrong][0]} in {counts[wrong][0]} pixels" if mask.ndim == 2 else f"{image.mode} pixels"
        what = f"value that is no class (found {found_text}, expected 0..{classes - 1}, or 255 = ignore)"
        raise UserError(path, what, "correct the mask, or the list of classes")
    return mask.astype(np.uint8)


def save_mask_png(path: Path, mask: ImageArray) -> None:
    """Write a (H, W) uint8 mask as an indexed PNG in the VOC palette, whole or not at all."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"expected a mask (H, W) uint8, got {mask.shape} {mask.dtype}")
    image = Image.fromarray(mask)
    image.putpalette(voc_palette().tobytes())
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG")


@cache
def voc_palette() -> ImageArray:
    """(256, 3) uint8: the colour PASCAL VOC gives to each class id; 0 is black, 255 is (224, 224, 192)."""
    ids = np.arange(256, dtype=np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        # Bit `3n + channel` of the id becomes bit `7 - n` of the channel.
        for n in range(3):
            palette[:, channel] |= (ids >> (3 * n + channel) & 1) << (7 - n)
    palette.flags.writeable = False
    return palette


def read_file(path: Path) -> bytes:
    """Bytes of a file; `UserError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(path, f"cannot be read ({error.strerror})", "restore the file or delete its entry") from error


def _open(data: bytes, name: str | Path, formats: tuple[str, ...], max_megapixels: float | None) -> Image.Image:
    """The image with its header read and its size judged, no pixel decoded yet."""
    try:
        with _own_limits:
            image = Image.open(io.BytesIO(data), formats=formats)
    # Pillow's readers raise nearly anything on hostile bytes: SyntaxError, struct.error, KeyError, ZeroDivisionError …
    except Exception as error:
        raise _broken(data, name, error) from error
    megapixels = image.width * image.height / 1e6
    if max_megapixels is not None and megapixels > max_megapixels:
        what = f"{megapixels:.4g} megapixels (found {_size((image.height, image.width))}, expected ≤ {max_megapixels:g} megapixels)"
        raise UserError(name, what, "shrink the photo, or raise dataset.max_megapixels")
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Decode all pixels and turn the image as EXIF says it is displayed."""
    image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as in `_open`; a photo with damaged EXIF data is displayed as it is stored
        orientation = 1
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # A plain convert clips at 255 and turns the photo white.
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit pixels")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _ids_of_colours(image: Image.Image, path: Path) -> npt.NDArray[np.uint8]:
    """Colour image in the VOC palette → (H, W) class ids."""
    pixels = np.array(image)
    if pixels.shape[2] == 4 and (pixels[..., 3] < 255).any():
        raise UserError(path, "the colour mask has transparent pixels", "save the mask as an indexed PNG")
    weights = np.array([1 << 16, 1 << 8, 1])
    known = voc_palette() @ weights
    colours, inverse, counts = np.unique(pixels[..., :3] @ weights, return_inverse=True, return_counts=True)
    order = np.argsort(known)
    place = np.searchsorted(known[order], colours).clip(max=255)
    unknown = known[order][place] != colours
    if unknown.any():
        code, count = int(colours[unknown][0]), counts[unknown][0]
        colour = (code >> 16, code >> 8 & 255, code & 255)
        what = f"colour that is no class (found RGB {colour} in {count} pixels, expected the colours of the VOC palette)"
        raise UserError(path, what, "save the mask as an indexed PNG of class ids")
    return order[place][inverse].reshape(pixels.shape[:2]).astype(np.uint8)


def _broken(data: bytes, name: str | Path, error: Exception) -> UserError:
    """What the bytes are instead of an image, as far as one can see."""
    fix = "copy or download the file again, or delete it and its entry"
    if not data:
        return UserError(name, "empty file (found 0 bytes, expected an image)", fix)
    start = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    kind = next((text for signature, text in _SIGNATURES if start.startswith(signature)), None)
    if kind is None and data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        kind = "a HEIC or AVIF photo"
    if kind is None or isinstance(error, ValueError):
        kind = kind or ("only zero bytes" if not any(data[:4096]) else f"bytes {data[:4].hex(' ')} …")
    reason = "" if isinstance(error, Image.UnidentifiedImageError) else f": {error}"
    return UserError(name, f"cannot be decoded{reason} (found {kind}, expected {', '.join(FORMATS)})", fix)


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]} × {size[0]} pixels"


@lru_cache(maxsize=4096)
def _warn_frames(name: str) -> None:
    # Cached: once a process and photo, not once an epoch.
    warn(name, "has several frames or pages; the first is used", "save the frame that is meant as a file of its own")
