"""Masks out of COCO's polygons and run lengths: drawn once, as indexed PNGs, and used for scoring only.

Objects overlap in COCO. Crowds are laid down first (255: who stands where in them is not said), and so are boxes
without an outline; then objects by falling area, so that the cup stays visible on the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsss.core.errors import UserError, raise_all
from wsss.core.log import Progress, warn
from wsss.data.images import MAX_MEGAPIXELS, save_mask_png
from wsss.data.index import IGNORE
from wsss.formats.coco import class_names, class_numbers, read_lists
from wsss.formats.coco_json import Instances, Picture, Region

Mask = npt.NDArray[np.uint8]

MAX_CROSSINGS = 2_000_000
"""Rows of pixels that the edges of one outline may cross together: each takes 50 bytes while it is drawn."""
MANY_CROWDS = 0.2
"""Fraction of a list's regions; in COCO, 1 % are crowds."""


def draw_masks(
    root: Path, tags: Path, out: Path, splits: Sequence[str], crowds_are_objects: bool = False
) -> dict[str, int]:
    """Write a mask for every photo of `splits` to `out`, at the photo's own path; return how many a split.

    `crowds_are_objects`: what is marked as a crowd is drawn as its class, not as 255. A photo without annotations gets
    a mask that is background everywhere: COCO's annotators looked at all of them.
    Raises `UserError`s, all at once, before the first mask is written if the lists do not fit.
    """
    problems: list[UserError] = []
    listing, lists = read_lists(root, tags, problems, skip=out, shapes=True)
    class_names(lists)
    raise_all(problems[:100])
    numbers = class_numbers(lists)
    chosen = [part for part in lists if part.split in splits or not part.split]
    if not chosen:
        found = ", ".join(part.split for part in lists)
        raise UserError(tags, f"no list of split {' or '.join(splits)} (found {found})", f"choose --split {found}")
    written = {}
    with Progress("masks", sum(len(part.photos) for part in chosen), "photos") as progress:
        for part in chosen:
            if crowds_are_objects:
                part = replace(part, instances=without_crowds(part.instances))
            _tell_ignored(part.instances)
            regions = part.instances.regions_of()
            for number, name in part.photos.items():
                try:
                    mask = draw_mask(part.instances.pictures[number], regions[number], numbers, part.instances.path)
                    target = out / Path(listing.one(name)).with_suffix(".png")
                    _refuse_other(target, mask)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    save_mask_png(target, mask)
                except UserError as error:
                    problems.append(error)
                progress.advance()
            written[part.split or "all"] = len(part.photos)
    raise_all(problems[:100])
    return written


def without_crowds(instances: Instances) -> Instances:
    """The same list with every crowd as one object."""
    return replace(instances, regions=tuple(replace(region, crowd=False) for region in instances.regions))


def _tell_ignored(instances: Instances) -> None:
    """Say what becomes 255 though somebody may have meant it as a mask."""
    total = len(instances.regions)
    boxes = [region for region in instances.regions if region.shape is None]
    crowds = [region for region in instances.regions if region.crowd]
    if boxes:
        what = f"{len(boxes)} of {total} regions are boxes without an outline: what is in them becomes 255 (ignored)"
        warn(instances.path, f"{what}; first annotation {boxes[0].id}", "outline these objects, to have them scored")
    if len(crowds) > MANY_CROWDS * total:
        what = f"{len(crowds)} of {total} regions are marked as crowds (iscrowd: 1): they become 255 (ignored)"
        fix = "if they are objects painted with a brush, as CVAT writes them: wsss masks … --crowds objects"
        warn(instances.path, what, fix)


def _refuse_other(target: Path, mask: Mask) -> None:
    """Raise `UserError` if another mask is there: somebody may have drawn it by hand."""
    if target.exists():
        with Image.open(target) as there:
            same = there.size == mask.shape[::-1] and np.array_equal(np.asarray(there), mask)
        if not same:
            raise UserError(target, "is another mask than the lists describe", "choose another --out, or delete it")


def draw_mask(picture: Picture, regions: Sequence[Region], numbers: Mapping[int, int], path: Path) -> Mask:
    """(H, W) uint8: class ids, 0 where nothing was outlined, 255 in crowds."""
    where = f"{path}: image {picture.id}"
    if picture.height is None or picture.width is None:
        raise UserError(where, "has no height and width", "give the image both: masks are drawn at this size")
    if picture.height * picture.width > MAX_MEGAPIXELS * 1e6:
        what = f"{picture.width} × {picture.height} pixels are more than {MAX_MEGAPIXELS:g} megapixels"
        raise UserError(where, what, "correct the size, or delete the image")
    size = (picture.height, picture.width)

    def drawn(region: Region) -> npt.NDArray[np.bool_]:
        return region_mask(region, size, f"{path}: annotation {region.id}")

    # One at a time, twice where the list gives no area: a large photo's regions together would fill the memory.
    areas = [-float(drawn(region).sum() if region.area is None else region.area) for region in regions]
    mask = np.zeros(size, np.uint8)
    for _, _, number in sorted((not regions[n].ignored, area, n) for n, area in enumerate(areas)):
        region = regions[number]
        mask[drawn(region)] = IGNORE if region.ignored else numbers[region.category]
    return mask


def region_mask(region: Region, size: tuple[int, int], where: str) -> npt.NDArray[np.bool_]:
    """(H, W) bool of COCO's `segmentation`: polygons, run lengths, or a compressed string of these; else of the box."""
    shape = region.shape
    if isinstance(shape, list):
        return polygon_mask(shape, size, where)
    if isinstance(shape, dict):
        return rle_mask(shape, size, where)
    if shape is None and region.box is not None:
        x, y, width, height = region.box
        return polygon_mask([[x, y, x + width, y, x + width, y + height, x, y + height]], size, where)
    found = "nothing, nor a bbox" if shape is None else type(shape).__name__
    raise _wrong(where, f"segmentation: found {found}, expected polygons or run lengths")


def polygon_mask(polygons: list[Any], size: tuple[int, int], where: str) -> npt.NDArray[np.bool_]:
    """Pixels whose centre lies in one of the polygons ``[x1, y1, x2, y2, …]``; a tiny one marks the pixel it is in."""
    height, width = size
    mask = np.zeros(size, bool)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 2 or len(polygon) % 2:
            raise _wrong(where, "segmentation: a polygon is not a list of x, y pairs")
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in polygon):
            raise _wrong(where, "segmentation: a polygon holds something else than numbers")
        xs, ys = polygon[0::2], polygon[1::2]
        # Comparing (and not converting) also refuses numbers that no float can hold.
        if not all(-width <= x <= 2 * width for x in xs) or not all(-height <= y <= 2 * height for y in ys):
            raise _wrong(where, "segmentation: a polygon lies far outside the photo")
        points = np.array([xs, ys], np.float64)
        if not _fill(mask, points, where):
            x, y = points.mean(axis=1)
            mask[int(min(max(y, 0), height - 1)), int(min(max(x, 0), width - 1))] = True
    return mask


def _fill(mask: npt.NDArray[np.bool_], points: npt.NDArray[np.float64], where: str) -> bool:
    """Add the inside of one outline to `mask`; False if it has no pixel. Even-odd rule at pixel centres.

    Pillow's polygons include their outline: 40 % too large at 8 pixels.
    """
    height, width = mask.shape
    (x0, y0), (x1, y1) = points, np.roll(points, -1, axis=1)
    # An edge crosses the centre lines of the rows `first` to `last` - 1; a horizontal one crosses none.
    first, last = (np.ceil(side - 0.5).clip(0, height).astype(int) for side in (np.minimum(y0, y1), np.maximum(y0, y1)))
    rows_of = last - first
    if rows_of.sum() > MAX_CROSSINGS:
        raise _wrong(where, f"segmentation: an outline crosses {rows_of.sum()} rows (expected ≤ {MAX_CROSSINGS})")
    edge = np.repeat(np.arange(len(x0)), rows_of)
    rows = np.arange(rows_of.sum()) - np.repeat(np.cumsum(rows_of) - rows_of, rows_of) + first[edge]
    crossing = x0[edge] + (rows + 0.5 - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
    columns = np.ceil(crossing - 0.5).clip(0, width).astype(int)
    if not len(rows):
        return False
    top, left, right = rows.min(), columns.min(), columns.max()
    # Whether a pixel is inside is one bit of the number of crossings left of it: bytes may overflow.
    crossed = np.zeros((rows.max() + 1 - top, right + 1 - left), np.uint8)
    np.add.at(crossed, (rows - top, columns - left), 1)
    inside = np.cumsum(crossed, axis=1, dtype=np.uint8)[:, :-1] % 2 == 1
    mask[top : top + len(inside), left:right] |= inside
    return bool(inside.any())


def rle_mask(shape: Mapping[str, Any], size: tuple[int, int], where: str) -> npt.NDArray[np.bool_]:
    """Run lengths, column by column, background first: ``{"size": [H, W], "counts": [...] or "..."}``."""
    if shape.get("size") != list(size):
        raise _wrong(where, f"segmentation: size {str(shape.get('size'))[:40]}, expected {list(size)} (height, width)")
    counts = shape.get("counts")
    if isinstance(counts, str):
        counts = decompress_counts(counts, where)
    pixels = size[0] * size[1]
    if not isinstance(counts, list) or not all(
        isinstance(run, int) and not isinstance(run, bool) and 0 <= run <= pixels for run in counts
    ):
        raise _wrong(where, "segmentation: counts are not run lengths")
    if sum(counts) != pixels:
        raise _wrong(where, f"segmentation: run lengths cover {sum(counts)} pixels, expected {pixels}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size[1], size[0]).T


def decompress_counts(text: str, where: str) -> list[int]:
    """COCO's string form of run lengths.

    Each number is written in groups of five bits, lowest first, in characters from ``0`` (48) on; bit 5 says that more
    follow, bit 4 of the last group is the sign. From the fourth number on, it is the difference to the one before last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise _wrong(where, "segmentation: counts are not a compressed string of run lengths")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise _wrong(where, "segmentation: the compressed string ends within a number")
    return counts


def _wrong(where: str, what: str) -> UserError:
    return UserError(where, what, "restore the file from the data set's archive, or delete the annotation")
