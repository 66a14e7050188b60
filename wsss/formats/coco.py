"""Format `coco`: tags are the categories of a photo's annotations; masks are drawn once by `wsss masks`.

`dataset.tags` is the folder of `instances_train*.json`, `instances_val*.json` and `instances_test*.json`, or one such
file. A crowd counts as a tag: the photo shows the class. Which pixels it covers is not said exactly, so its mask is 255
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError
from wsss.formats.coco_json import Instances, Picture, read_instances
from wsss.formats.coco_photos import find_picture, missing_pictures
from wsss.formats.folder import match_masks
from wsss.formats.names import Names
from wsss.formats.problems import some
from wsss.formats.raw import Listing, RawDataset, RawItem, list_pictures, with_background
from wsss.formats.reading import DRAWN, classes_line, masks_line, name_findings, photos_line, splits_line
from wsss.formats.settings import DatasetSettings
from wsss.formats.splits import split_of_list

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
    findings = name_findings([name for name in classes if name not in settings.dropped], declared=True)
    masks = match_masks(list_pictures(mask_folder, problems), listing, problems, findings) if mask_folder else {}
    items: dict[str, RawItem] = {}
    explained: set[str] = set()
    for part in lists:
        explained |= {name for number, name in part.photos.items() if number in part.instances.incomplete}
        regions = part.instances.regions_of()
        for number, name in part.photos.items():
            tags = tuple(classes[k] for k in sorted({numbers[region.category] for region in regions[number]}))
            mask = f"{settings.masks}/{masks[name]}" if name in masks else None
            items[name] = RawItem(name, part.split, listing.one(name), mask, tags)
    reading = (
        f"{photos_line(listing)}; {len(listing.paths) - len(items)} of them in no list, and not read",
        *(f"{p.instances.path.name}: {p.split or 'no split in its name'}, {len(p.photos)} photos" for p in lists),
        *([f"not read: {some(unread)}"] if (unread := other_lists(settings.tags_path, lists)) else []),
        classes_line(classes, "the lists' categories"),
        splits_line(["names of lists" if item.split else DRAWN for item in items.values()], settings.val_fraction),
        masks_line(settings.masks, masks, len(items)),
    )
    found = tuple(items[name] for name in sorted(items))
    return RawDataset(classes, found, tuple(problems), tuple(findings), reading, frozenset(explained))


def read_lists(
    root: Path, tags: Path, problems: list[UserError], skip: Path | None = None, shapes: bool = False
) -> tuple[Listing, list[CocoList]]:
    """All pictures below `root`, and the lists at `tags` with each image's photo; what has none is a problem."""
    paths = list_files(tags)
    listing = list_pictures(root, problems, skip=skip)
    names = Names(listing)
    lists: list[CocoList] = []
    owners: dict[str, str] = {}
    for split, path in paths:
        instances = read_instances(path, problems, shapes)
        photos: dict[int, str] = {}
        missing: list[Picture] = []
        for picture in instances.pictures.values():
            try:
                name = find_picture(picture, path, names)
                if name is None:
                    missing.append(picture)
                    continue
                listing.one(name)
                place = f"image {picture.id} of {path.name}"
                if name in owners:
                    what = f"photo {name!r} is listed twice ({owners[name]} and {place})"
                    raise UserError(path, what, "delete one of the two entries")
                owners[name], photos[picture.id] = place, name
            except UserError as error:
                problems.append(error)
        problems += missing_pictures(missing, instances, names)
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
    if "" in found and len(found) > 1:
        others = ", ".join(path.name for split, path in found.items() if split)
        what = f"the name of {found[''].name} says no split, as those of {others} do"
        raise UserError(tags, what, "name it instances_train*, instances_val* or instances_test*, or move it elsewhere")
    return list(found.items())


def other_lists(tags: Path, lists: list[CocoList]) -> list[str]:
    """Names of the files beside the `lists` that are not read."""
    read = {part.instances.path for part in lists}
    folder = tags if tags.is_dir() else tags.parent
    return [path.name for path in sorted(folder.glob("*.json")) if path not in read]


def split_of(path: Path) -> str:
    """``train``, ``val`` or ``test`` as the name of a list says (`instances_Train2014.json`), else nothing."""
    return split_of_list(path.stem)


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
