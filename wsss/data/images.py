"""Loads photos and masks, and saves masks: one policy for every stage that opens an image file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsss.core.atomic import atomic_file
from wsss.core.errors import UserError
from wsss.core.log import warn
from wsss.data.codec import broken, open_image, own_limits, read_file, size_text, sniff
from wsss.data.index import IGNORE
from wsss.data.mask_values import bands, ids_of_colours, value_counts, without_dropped
from wsss.data.size import resized

ImageArray = npt.NDArray[np.uint8]

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
_TURNED = (5, 6, 7, 8)
"""Orientations that exchange height and width."""

DARK = 64
"""Photos whose brightest pixel is below it are nearly black: 16-bit files that hold 10, 12 or 14 bits look so."""

DRAFT = 2
"""A JPEG that is shrunk is decoded at a coarser grid, but at least this many times finer than what is wanted of it."""

Choose = Callable[[int, int], tuple[int, int]]
"""Own size (H, W) of a photo → the size to read it at."""


@dataclass(frozen=True)
class ReadPhoto:
    """A photo that was read: `image` (h, w, 3) uint8 RGB at the size that was chosen, and its `own_size` (H, W)."""

    image: ImageArray
    own_size: tuple[int, int]


def load_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> ImageArray:
    """Photo at `path` → (H, W, 3) uint8 RGB as it is displayed; see `decode_image`."""
    return decode_image(read_file(path), path, max_megapixels)


def decode_image(data: bytes, name: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> ImageArray:
    """Bytes of a JPEG, PNG, WEBP, BMP or TIFF → (H, W, 3) uint8 RGB, fully decoded, EXIF rotation applied.

    Transparency is laid on white, 16 bits are scaled to 8, and the first of several frames is taken (with a warning).
    `name` is for messages only. Raises `UserError` naming it if the bytes are something else, damaged or truncated, or
    if the photo has more than `max_megapixels`.
    """
    return read_photo(data, name, lambda height, width: (height, width), max_megapixels).image


def read_photo(data: bytes, name: str | Path, choose: Choose, max_megapixels: float = MAX_MEGAPIXELS) -> ReadPhoto:
    """`decode_image` at the size (h, w) that `choose` gives for the photo's own (H, W), as it is displayed.

    Where that is much smaller, a JPEG is decoded at a fraction of its size, which is quicker.
    """
    image = open_image(data, name, max_megapixels=max_megapixels)
    # The second image of a JPEG (MPO) is a preview or a gain map of the same photo, not a page of its own.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        _warn_frames(str(name))
    try:
        own_size = None
        if image.format in ("JPEG", "MPO"):  # the others do not tell how they are turned before they are decoded
            own_size = _drafted(image, choose)
        pixels = rgb_array(image, name)
        del image  # a large photo would be held twice while it is resized
        own_size = own_size or (pixels.shape[0], pixels.shape[1])
        return ReadPhoto(resized(pixels, choose(*own_size)), own_size)
    except UserError:
        raise
    except Exception as error:  # Pillow raises nearly anything on damaged bytes
        raise broken(data, name, error) from error


def rgb_array(image: Image.Image, name: str | Path) -> ImageArray:
    """An opened image → (H, W, 3) uint8 RGB as it is displayed, by the policy of `decode_image`. `image` is kept."""
    with own_limits:
        upright = _upright(image)
        if _is_deep(upright):
            _check_depth(upright, name)
        pixels = np.empty((upright.height, upright.width, 3), np.uint8)
        # In bands, because Pillow's conversions and numpy's copies would hold a large photo several times.
        for rows in bands(upright.height, upright.width):
            pixels[rows] = np.asarray(_to_rgb(upright.crop((0, rows.start, upright.width, rows.stop))))
        return pixels


def load_mask(path: Path, size: tuple[int, int], classes: int, dropped: Sequence[int] = ()) -> ImageArray:
    """Mask at `path` → (H, W) uint8 with values 0..classes-1, and 255 = ignored.

    `size` is the photo's own (H, W) as displayed; `classes` counts the background. An indexed or grey PNG holds class
    ids, a colour PNG the colours of `voc_palette`. `dropped`: numbers in the file of classes that were left out, which
    become background; `classes` does not count them. Raises `UserError` naming the size, value or colour that is wrong.
    """
    data = read_file(path)
    if sniff(data) == "JPEG":
        what = "the mask is a JPEG, whose compression alters class ids"
        raise UserError(path, what, "save the mask as an indexed PNG, from the original")
    image = open_image(data, path, ("PNG",))
    if (image.height, image.width) != size:
        found = size_text(image.height, image.width)
        what = f"mask of {found}, but its photo is displayed as {size_text(*size)}"
        if (image.width, image.height) == size:
            what += ": the mask fits the photo before its EXIF rotation"
            raise UserError(path, what, "rotate the mask to the photo as it is displayed")
        raise UserError(path, what, "give mask and photo the same size")
    try:
        with own_limits:
            image.load()
    except Exception as error:  # as in `decode_image`
        raise broken(data, path, error, ("PNG",)) from error
    if image.mode in ("RGB", "RGBA"):
        mask = ids_of_colours(np.asarray(image), path, voc_palette())
    elif image.mode in ("P", "L", "1") or image.mode.startswith("I"):
        mask = np.array(image)
    else:
        raise UserError(path, f"mask of mode {image.mode} (expected class ids)", "save the mask as an indexed PNG")
    known = classes + len(dropped)
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high > 65535:  # of 32 bits
        found, wrong = f"{low if low < 0 else high}", True
    else:
        counts = value_counts(mask)
        values = [int(value) for value in np.flatnonzero(counts) if value >= known and value != IGNORE]
        found, wrong = f"{values[0]} in {counts[values[0]]} pixels" if values else "", bool(values)
    if wrong:
        what = f"value that is no class (found {found}, expected 0..{known - 1}, or 255 = ignore)"
        raise UserError(path, what, "correct the mask, or the list of classes")
    return without_dropped(mask.astype(np.uint8), known, dropped) if dropped else mask.astype(np.uint8)


def save_mask_png(path: Path, mask: ImageArray) -> None:
    """Write a (H, W) uint8 mask as an indexed PNG in the VOC palette, atomically."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"expected a mask (H, W) uint8, got {mask.shape} {mask.dtype}")
    image = Image.fromarray(mask)
    image.putpalette(voc_palette().tobytes())
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG")


@cache
def voc_palette() -> ImageArray:
    """(256, 3) uint8, read-only: the colour of each class id in PASCAL VOC; 255 is (224, 224, 192)."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        # Bit `3n + channel` of the id is bit `7 - n` of the channel.
        for n in range(3):
            palette[:, channel] |= ((ids >> (3 * n + channel) & 1) << (7 - n)).astype(np.uint8)
    palette.flags.writeable = False
    return palette


def _upright(image: Image.Image) -> Image.Image:
    """Decode all pixels and turn the image as EXIF says it is displayed."""
    image.load()
    orientation = _orientation(image)
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _orientation(image: Image.Image) -> int | None:
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # a photo with damaged EXIF data is displayed as it is stored
        return None
    return found if found in _TRANSPOSE else None


def _drafted(image: Image.Image, choose: Choose) -> tuple[int, int]:
    """The own size (H, W) of an opened JPEG as displayed. Decoding will take a grid fine enough for `choose`."""
    turned = _orientation(image) in _TURNED
    own_size = (image.width, image.height) if turned else (image.height, image.width)
    height, width = choose(*own_size)
    wanted = (DRAFT * height, DRAFT * width) if turned else (DRAFT * width, DRAFT * height)
    if 2 * wanted[0] <= image.width and 2 * wanted[1] <= image.height:
        with own_limits:
            image.draft(None, wanted)
    return own_size


def _is_deep(image: Image.Image) -> bool:
    """True for grey photos of 16 bits and more."""
    return image.mode == "F" or image.mode.startswith("I")


def _check_depth(image: Image.Image, name: str | Path) -> None:
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" or low < 0 or high > 65535:
        what = f"32-bit pixels from {low:g} to {high:g} (expected 8 or 16 bits)"
        raise UserError(name, what, "save the photo with 8 bits a channel")
    if high < 257 * DARK:
        _warn_dark(str(name), int(high))


@cache
def _eight_bits() -> ImageArray:
    """(65536,) uint8: 16 bits scaled to 8."""
    return np.rint(np.arange(65536) / 257).astype(np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if _is_deep(image):
        # A plain convert would clip at 255 and turn the photo white.
        return Image.fromarray(_eight_bits()[np.asarray(image)]).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


@lru_cache(maxsize=4096)
def _warn_frames(name: str) -> None:
    # Cached: once per process and photo, not once per epoch.
    warn(
        name,
        "has several frames or pages; the first is used",
        "save the frame that is meant as a file of its own",
    )


_dark: set[str] = set()


def _warn_dark(name: str, brightest: int) -> None:
    # Once per process: cameras of 12 bits make whole folders of them. `index` and `check` count the photos.
    if not _dark:
        _dark.add(name)
        what = f"nearly black: its 16-bit pixels reach {brightest} of 65535; others may be like it"
        warn(name, what, "stretch the photos to the full range of 16 bits, or save them with 8")
