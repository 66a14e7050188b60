"""What a store says of one pixel of a photo: the classes' scores, the label, its confidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wsss.core.errors import IntegrityError, UserError, WsssError
from wsss.correct.labels import foreground_scores, upsample
from wsss.data.index import IGNORE, read_index
from wsss.report.summary import REMEDY
from wsss.stores.hdf5 import read_array
from wsss.stores.labels import NOT_VERSIONS

OWN, READ, UNKNOWN = "in the photo", "as it was read", "size of the photo"
"""Keys of a pixel's place, and of why it has only one."""
MAPS = ("scores", "raw")
STRETCHED = "stretched"
"""What begins the name of maps as Eq (9) stretches them."""
DIGITS = 4


@dataclass(frozen=True)
class Place:
    """A pixel, from 0 at the top left, in a picture of this size."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"x {self.x}, y {self.y} of {self.width} × {self.height} (width × height)"

    def within(self, size: tuple[int, int]) -> Place:
        """The same place in the picture at the size (H, W), as `fit_label` reads the nearest pixel."""
        height, width = size
        return Place(_nearest(self.x, self.width, width), _nearest(self.y, self.height, height), width, height)


def parse_at(text: str) -> tuple[int, int]:
    """``X,Y``. Raises `UserError` for anything else."""
    if not (found := re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)):
        fix = "count the pixels as a viewer does, from 0 at the top left: --at 120,45"
        raise UserError("--at", f"found {text!r}, expected X,Y: two whole numbers", fix)
    return int(found[1]), int(found[2])


def place_of(at: tuple[int, int], size: tuple[int, int]) -> Place:
    """Pixel `at` (x, y) of a picture of the size (H, W). Raises `UserError` where it has no such pixel."""
    (x, y), (height, width) = at, size
    if not (x < width and y < height):
        what = f"found {x},{y}, and the photo has {width} × {height} pixels (width × height)"
        raise UserError("--at", what, f"give X from 0 to {width - 1} and Y from 0 to {height - 1}")
    return Place(x, y, width, height)


def store_pixel(
    store: Path, name: str, group: h5py.Group, classes: Sequence[str], size: tuple[int, int], at: tuple[int, int]
) -> dict[str, Any]:
    """Of photo `name` in the folder `store`, which was read at the `size` (H, W), what its `group` holds at the pixel
    `at` (x, y) of the photo as a viewer shows it. Raises as `place_of`.
    """
    found, there = places(store, name, size, at)
    return found | values_at(group, name, classes, there)


def places(store: Path, name: str, size: tuple[int, int], at: tuple[int, int]) -> tuple[dict[str, Place | str], Place]:
    """Where the pixel `at` (x, y) of photo `name` is, in words; and in the photo as it was read, at the `size` (H, W).

    X,Y are of the photo's own size, by the index beside the folder `store`; where there is none of this size, of the
    photo as it was read. Raises as `place_of`.
    """
    own = own_size(store, name, size)
    first = place_of(at, own or size)
    there = first.within(size)
    found: dict[str, Place | str] = {OWN: first} if own else {}
    if own != size:
        found[READ] = there
    if own is None:
        found[UNKNOWN] = "not known here, so X,Y are of the photo as it was read"
    return found, there


def values_at(group: h5py.Group, name: str, classes: Sequence[str], there: Place) -> dict[str, Any]:
    """What the `group` of photo `name` holds at the pixel `there` of the photo as it was read. Maps are enlarged, and
    those of CAMs are also given as Eq (9) stretches them, which is what thresholds are for.
    """
    size, found = (there.height, there.width), dict[str, Any]()

    def at_pixel(field: str) -> float:
        """Of an array of the photo's size; `IntegrityError` if it has another one."""
        values = read_array(group, field, REMEDY)
        if values.shape != size:
            what = f"{field} of {name!r} is {values.shape}, expected {size}"
            raise IntegrityError(group.file.filename, what, REMEDY)
        return float(values[there.y, there.x])

    if "scores" in group:
        names = [named(classes, int(number)) for number in read_array(group, "classes", REMEDY)]
        for field in MAPS:
            if field in group:
                maps = read_array(group, field, REMEDY)
                if maps.ndim != 3 or len(maps) != len(names):
                    what = f"{field} of {name!r} is {maps.shape}, expected a map for each of {len(names)} classes"
                    raise IntegrityError(group.file.filename, what, REMEDY)
                enlarged = upsample(maps, size)
                for key, each in ((field, enlarged), (f"{STRETCHED} {field}", foreground_scores(enlarged))):
                    values = (round(float(score), DIGITS) for score in each[:, there.y, there.x])
                    found[key] = dict(zip(names, values, strict=True)) or None
    if "label" in group:
        found["label"] = named(classes, int(at_pixel("label")))
        found["confidence"] = round(at_pixel("confidence") / 255, DIGITS)
        steps = {field: named(classes, int(at_pixel(field))) for field in group if field not in NOT_VERSIONS}
        found |= {"earlier": steps} if steps else {}
    return found


def label_pixel(label: np.ndarray, classes: Sequence[str], at: tuple[int, int]) -> dict[str, Any]:
    """Of a mask (H, W) uint8 of the photo's own size, what it has at the pixel `at` (x, y). Raises as `place_of`."""
    place = place_of(at, (label.shape[0], label.shape[1]))
    return {OWN: place, "label": named(classes, int(label[place.y, place.x]))}


def own_size(store: Path, name: str, size: tuple[int, int]) -> tuple[int, int] | None:
    """(H, W) of the photo as a viewer shows it, by the index beside the folder `store`; None where there is none, or
    where it says that the photo was not read at `size`: it is of another run then.
    """
    try:
        index = read_index(store.parent / "dataset")
    except (OSError, WsssError):
        return None
    return next((record.own_size for record in index.records if record.id == name and record.size == size), None)


def _nearest(number: int, of: int, in_: int) -> int:
    return (2 * number + 1) * in_ // (2 * of)


def named(classes: Sequence[str], number: int) -> str:
    """The class `number` by its name; 255 is "ignore (255)"."""
    if number == IGNORE:
        return f"ignore ({IGNORE})"
    return classes[number] if number < len(classes) else f"class {number}"
