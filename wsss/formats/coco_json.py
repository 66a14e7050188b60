"""COCO's `instances_*.json` read as bytes that nobody vouches for: every id, size and reference is checked.

Ids in COCO have gaps (its 80 categories are numbered 1 to 90): nothing here takes an id for a position.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.core.errors import UserError
from wsss.data.codec import read_file

MAX_SIDE = 100_000
"""Longest side of a photo that a list may claim."""


MAX_LIST = 2_000_000_000
"""Bytes of one list; LVIS, the largest of this form, has 1.2 GB."""


@dataclass(frozen=True)
class Picture:
    """One entry of `images`: its id, its file as written, and its size in pixels; None where the list has none."""

    id: int
    file: str
    height: int | None
    width: int | None


@dataclass(frozen=True)
class Region:
    """One entry of `annotations`. `shape` is COCO's `segmentation`, unchecked; None where it was not asked for, or
    where there is only the `box` (x, y, width, height), in pixels.
    """

    id: object
    picture: int
    category: int
    crowd: bool
    area: float | None
    shape: Any
    box: tuple[float, float, float, float] | None = None

    @property
    def ignored(self) -> bool:
        """True where it is not said which pixels the object covers: a crowd, or a box."""
        return self.crowd or self.shape is None


@dataclass(frozen=True)
class Instances:
    """A whole file. Every region belongs to a picture and a category of the same file.

    `incomplete`: pictures that lack a region because it, or its category, is a problem.
    """

    path: Path
    categories: Mapping[int, str]
    pictures: Mapping[int, Picture]
    regions: tuple[Region, ...]
    incomplete: frozenset[int] = frozenset()

    def regions_of(self) -> dict[int, list[Region]]:
        """The regions of each picture by its id; an empty list where it has none."""
        found: dict[int, list[Region]] = {number: [] for number in self.pictures}
        for region in self.regions:
            found[region.picture].append(region)
        return found


def read_instances(path: Path, problems: list[UserError], shapes: bool = False) -> Instances:
    """Read one file. Raises `UserError` if it is no COCO list; entries that do not fit go to `problems`.

    Without `shapes` the outlines, nine tenths of such a file, are dropped while it is read.
    """
    document = _document(path, shapes)
    categories: dict[int, str] = {}
    pictures: dict[int, Picture] = {}
    regions: list[Region] = []
    refused: set[tuple[str, str]] = set()
    broken: set[str] = set()
    for place, entry in _entries(path, document, "categories"):
        try:
            number, name = _whole(entry, "id", place), _text(entry, "name", place)
            if number in categories:
                raise UserError(place, f"duplicate category id {number}", "delete one of the two")
            categories[number] = name
        except UserError as error:
            problems.append(error)
            refused.add(("category_id", _key(entry.get("id"))))
    if not categories:
        raise UserError(path, "no categories", "give the instances_*.json of a COCO data set")
    for place, entry in _entries(path, document, "images"):
        try:
            number = _whole(entry, "id", place)
            if number in pictures:
                raise UserError(place, f"duplicate image id {number}", "delete one of the two")
            height, width = (_side(entry, side, place) for side in ("height", "width"))
            pictures[number] = Picture(number, _text(entry, "file_name", place), height, width)
        except UserError as error:
            problems.append(error)
            refused.add(("image_id", _key(entry.get("id"))))
    for place, entry in _entries(path, document, "annotations"):
        try:
            regions.append(_region(entry, place, categories, pictures))
        except UserError as error:
            if not any((key, _key(entry.get(key))) in refused for key in ("image_id", "category_id")):
                problems.append(error)
            broken.add(_key(entry.get("image_id")))
    incomplete = frozenset(number for number in pictures if _key(number) in broken)
    return Instances(path, dict(sorted(categories.items())), pictures, tuple(regions), incomplete)


def _document(path: Path, shapes: bool) -> dict[str, Any]:
    def reduce(entry: dict[str, Any]) -> dict[str, Any]:
        if not shapes:
            entry.pop("segmentation", None)
        return entry

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    fix = "restore the file from the data set's archive"
    data = read_file(path, MAX_LIST)
    try:
        document = json.loads(data, object_hook=reduce, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}", f"not valid JSON ({error.msg}, column {error.colno})", fix) from error
    except RecursionError as error:
        raise UserError(path, "not valid JSON (nested too deeply)", fix) from error
    except ValueError as error:  # text that is not UTF-8, and numbers of thousands of digits
        raise UserError(path, f"not valid JSON ({str(error)[:80]})", fix) from error
    if not isinstance(document, dict):
        found = type(document).__name__
        raise UserError(path, f"not a COCO list (found a {found}, expected images, annotations, categories)", fix)
    return document


def _entries(path: Path, document: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects of the list `key`, each with its place in the file."""
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        what = "is missing" if found is None else "is not a list of objects"
        raise UserError(path, f"{key!r} {what}", "give the instances_*.json of a COCO data set")
    return [(f"{path}: {key}[{number}]", entry) for number, entry in enumerate(found)]


def _region(
    entry: Mapping[str, Any], place: str, categories: Mapping[int, str], pictures: Mapping[int, Picture]
) -> Region:
    picture, category = (_whole(entry, key, place) for key in ("image_id", "category_id"))
    fix = "delete the annotation, or restore the file from the data set's archive"
    if picture not in pictures:
        raise UserError(place, f"image_id {picture} is no image of this file", fix)
    if category not in categories:
        raise UserError(place, f"category_id {category} is no category of this file", fix)
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1) or not isinstance(crowd, int):
        raise UserError(place, f"iscrowd: found {_short(crowd)}, expected 0 or 1", fix)
    area = entry.get("area")
    sound = isinstance(area, int | float) and not isinstance(area, bool) and 0 <= area < 1e18
    known = float(area) if sound and area is not None else None
    shape = entry.get("segmentation")
    # CVAT writes a rectangle with an empty segmentation, other tools leave it out.
    empty = shape is None or (isinstance(shape, list) and not any(shape))
    return Region(entry.get("id"), picture, category, bool(crowd), known, None if empty else shape, _box(entry))


def _box(entry: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(isinstance(side, int | float) and not isinstance(side, bool) and abs(side) < 1e9 for side in box):
        return None
    x, y, width, height = map(float, box)
    return (x, y, width, height) if width >= 0 and height >= 0 else None


def _key(value: object) -> str:
    """An id, whatever it is, as something that can be compared."""
    return ascii(value)[:100]


def _whole(entry: Mapping[str, Any], key: str, place: str) -> int:
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise UserError(place, f"{key}: found {_short(value)}, expected a whole number ≥ 0", f"correct {key}")
    return value


def _side(entry: Mapping[str, Any], key: str, place: str) -> int | None:
    if entry.get(key) is None:
        return None
    value = _whole(entry, key, place)
    if not 1 <= value <= MAX_SIDE:
        raise UserError(place, f"{key}: found {value}, expected 1 to {MAX_SIDE} pixels", f"correct {key}")
    return value


def _text(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(place, f"{key}: found {_short(value)}, expected text", f"correct {key}")
    return value.strip()


def _short(value: object) -> str:
    text = "nothing" if value is None else ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
