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
from wsss.correct.labels import upsample
from wsss.data.index import IGNORE, read_index
from wsss.report.summary import REMEDY
from wsss.stores.hdf5 import read_array
from wsss.stores.labels import NOT_VERSIONS

OWN, READ, UNKNOWN = "in the photo", "as it was read", "size of the photo"
"""Keys of a pixel's place, and of why it has only one."""
MAPS = ("scores", "raw")
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
    `at` (x, y) of the photo as a viewer shows it. That is of its own size, by the index beside the store; where there
    is none of this size, of the photo as it was read. Raises as `place_of`.
    """
    own = own_size(store, name, size)
    first = place_of(at, own or size)
    there = first.within(size)
    found: dict[str, Any] = {OWN: first} if own else {}
    if own != size:
        found[READ] = there
    if own is None:
        found[UNKNOWN] = "not known here, so X,Y are of the photo as it was read"

    def at_pixel(field: str) -> float:
        """Of an array of the photo's size; `IntegrityError` if it has another one."""
        values = read_array(group, field, REMEDY)
        if values.shape != size:
            what = f"{field} of {name!r} is {values.shape}, expected {size}"
            raise IntegrityError(group.file.filename, what, REMEDY)
        return float(values[there.y, there.x])

    if "scores" in group:
        names = [_named(classes, int(number)) for number in read_array(group, "classes", REMEDY)]
        for field in MAPS:
            if field in group:
                maps = read_array(group, field, REMEDY)
                if maps.ndim != 3 or len(maps) != len(names):
                    what = f"{field} of {name!r} is {maps.shape}, expected a map for each of {len(names)} classes"
                    raise IntegrityError(group.file.filename, what, REMEDY)
                scores = upsample(maps, size)[:, there.y, there.x]
                found[field] = dict(zip(names, (round(float(each), DIGITS) for each in scores), strict=True)) or None
    if "label" in group:
        found["label"] = _named(classes, int(at_pixel("label")))
        found["confidence"] = round(at_pixel("confidence") / 255, DIGITS)
        steps = {field: _named(classes, int(at_pixel(field))) for field in group if field not in NOT_VERSIONS}
        found |= {"earlier": steps} if steps else {}
    return found


def label_pixel(label: np.ndarray, classes: Sequence[str], at: tuple[int, int]) -> dict[str, Any]:
    """Of a mask (H, W) uint8 of the photo's own size, what it has at the pixel `at` (x, y). Raises as `place_of`."""
    place = place_of(at, (label.shape[0], label.shape[1]))
    return {OWN: place, "label": _named(classes, int(label[place.y, place.x]))}


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


def _named(classes: Sequence[str], number: int) -> str:
    if number == IGNORE:
        return f"ignore ({IGNORE})"
    return classes[number] if number < len(classes) else f"class {number}"
