"""Format `coco`: tags are the categories of a photo's annotations; masks are drawn once by `wsss masks`.

`dataset.tags` is the folder of `instances_train*.json` and `instances_val*.json`, or one such file. A crowd counts as
a tag: the photo shows the class. Which pixels it covers is not said exactly, so its mask is 255 there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError
from wsss.data.ids import clean_id
from wsss.formats.coco_json import Instances, Picture, read_instances
from wsss.formats.folder import match_masks
from wsss.formats.raw import Listing, RawDataset, RawItem, list_pictures, with_background
from wsss.formats.settings import DatasetSettings

_FOLDER = "set dataset.tags to the folder of instances_*.json, usually: annotations"


@dataclass(frozen=True)
class CocoList:
    """One list, the split that its name says (empty: none), and its photos by image id as ids of ours."""

    instances: Instances
    split: str
    photos: Mapping[int, str]


def scan(settings: DatasetSettings) -> RawDataset:
    """Read a COCO data set. Raises `UserError` if a part is missing; entries that do not fit become problems."""
    root = Path(settings.root)
    if settings.classes:
        what = f"found {settings.classes!r}: a COCO data set names its classes in the lists themselves"
        raise UserError("dataset.classes", what, 'set dataset.classes: ""')
    problems: list[UserError] = []
    mask_folder = root / settings.masks if settings.masks else None
    if mask_folder is not None and not mask_folder.is_dir():
        fix = f'draw the masks: wsss masks {root}, or set dataset.masks: ""'
        raise UserError(mask_folder, "no such folder", fix)
    listing, lists = read_lists(root, settings.tags_path, problems, skip=mask_folder)
    listing.warn_foreign()
    classes = class_names(lists)
    numbers = class_numbers(lists)
    masks = match_masks(list_pictures(mask_folder, problems), listing, problems) if mask_folder else {}
    items: dict[str, RawItem] = {}
    for part in lists:
        regions = part.instances.regions_of()
        for number, name in part.photos.items():
            tags = tuple(classes[k] for k in sorted({numbers[region.category] for region in regions[number]}))
            mask = f"{settings.masks}/{masks[name]}" if name in masks else None
            items[name] = RawItem(name, part.split, listing.one(name), mask, tags)
    return RawDataset(classes, tuple(items[name] for name in sorted(items)), tuple(problems))


def read_lists(
    root: Path, tags: Path, problems: list[UserError], skip: Path | None = None, shapes: bool = False
) -> tuple[Listing, list[CocoList]]:
    """All pictures below `root`, and the lists at `tags` with each image's photo; what has none is a problem."""
    paths = list_files(tags)
    listing = list_pictures(root, problems, skip=skip)
    by_name: dict[str, list[str]] = {}
    for name in listing.paths:
        by_name.setdefault(PurePosixPath(name).name, []).append(name)
    lists: list[CocoList] = []
    owners: dict[str, str] = {}
    for split, path in paths:
        instances = read_instances(path, problems, shapes)
        photos: dict[int, str] = {}
        for picture in instances.pictures.values():
            try:
                name = _photo(picture, path, listing, by_name)
                listing.one(name)
                place = f"image {picture.id} of {path.name}"
                if name in owners:
                    what = f"photo {name!r} is listed twice ({owners[name]} and {place})"
                    raise UserError(path, what, "delete one of the two entries")
                owners[name], photos[picture.id] = place, name
            except UserError as error:
                problems.append(error)
        lists.append(CocoList(instances, split, photos))
    return listing, lists


def list_files(tags: Path) -> list[tuple[str, Path]]:
    """The lists at `tags`, a file or a folder, each with its split; one a split at most."""
    if tags.is_file():
        return [(split_of(tags), tags)]
    if not tags.is_dir():
        raise UserError(tags, "no such folder", _FOLDER)
    found: dict[str, Path] = {}
    for path in sorted(tags.glob("instances_*.json")):
        split = split_of(path)
        if split in found:
            what = f"two lists of the same split ({found[split].name} and {path.name})"
            raise UserError(tags, what, "move one of them elsewhere, or set dataset.tags to one file")
        found[split] = path
    if not found:
        raise UserError(tags, "no instances_*.json in this folder", _FOLDER)
    return list(found.items())


def split_of(path: Path) -> str:
    """``train`` or ``val`` as the name of a list says (`instances_train2014.json`), else nothing."""
    found = re.match(r"instances_(train|val)", path.name)
    return found[1] if found else ""


def class_names(lists: list[CocoList]) -> tuple[str, ...]:
    """Background and all categories in the order of their ids. `UserError` if the lists disagree."""
    first, *others = (part.instances for part in lists)
    for other in others:
        if other.categories != first.categories:
            differing = sorted({*other.categories.items()} ^ {*first.categories.items()})
            what = f"other categories than {first.path.name} (they differ in {differing[0][1]!r})"
            raise UserError(other.path, what, "take both lists from the same release")
    return with_background(first.categories.values(), first.path)


def class_numbers(lists: list[CocoList]) -> dict[int, int]:
    """Class id 1..K of each category id."""
    return {category: number for number, category in enumerate(lists[0].instances.categories, start=1)}


def _photo(picture: Picture, path: Path, listing: Listing, by_name: Mapping[str, list[str]]) -> str:
    where = f"{path}: image {picture.id}"
    name = clean_id(picture.file, where)
    # Lists give bare file names; the folder is the second half of their own name: instances_val2014 → val2014/.
    folder = path.stem.removeprefix("instances_")
    for candidate in (name, f"{folder}/{name}", f"images/{folder}/{name}"):
        if candidate in listing.paths:
            return candidate
    matches = by_name.get(PurePosixPath(name).name, [])
    if len(matches) > 1:
        what = f"{picture.file!r} names {len(matches)} photos ({', '.join(matches[:3])})"
        raise UserError(where, what, f"put the photos of {path.name} into a folder {folder}/")
    if not matches:
        fix = f"add the photo, or delete image {picture.id} and its annotations"
        raise UserError(where, f"no photo {picture.file!r} below {listing.folder}", fix)
    return matches[0]
