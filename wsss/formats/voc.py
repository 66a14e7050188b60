"""Format `voc`: ImageSets, JPEGImages and SegmentationClass as PASCAL VOC lays them out."""

from __future__ import annotations

from pathlib import Path

from wsss.core.errors import UserError
from wsss.formats.names import Names, NoPhoto
from wsss.formats.problems import some
from wsss.formats.raw import Listing, RawDataset, RawItem, list_pictures, read_classes, read_text, with_background
from wsss.formats.reading import classes_line, masks_line, photos_line
from wsss.formats.settings import DatasetSettings
from wsss.formats.voc_tags import read_tags, unknown_classes

_VOC_CLASSES = """
aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant
sheep sofa train tvmonitor
"""
VOC_CLASSES = tuple(_VOC_CLASSES.split())
SPLIT_FILES = {"train": ("train_aug", "trainaug", "train"), "val": ("val",)}
"""Lists of ids by split, the first that is there: who adds the 10,582 ids of train_aug means to use them."""
OTHER_NAMES = {"train": ("training",), "val": ("valid", "validation")}
"""What lists are called elsewhere; beside one of `SPLIT_FILES` it is not clear which one holds."""


def scan(settings: DatasetSettings) -> RawDataset:
    """Read a VOC folder. Raises `UserError` if a part is missing; entries that do not fit become problems."""
    root = Path(settings.root)
    problems: list[UserError] = []
    photos = list_pictures(_image_folder(root), problems)
    photos.warn_foreign()
    masks = list_pictures(root / settings.masks, problems) if settings.masks else None
    classes = read_classes(root / settings.classes) if settings.classes else with_background(VOC_CLASSES, root)
    lists = find_lists(root)
    entries = read_splits(lists, photos, problems)
    tags = read_tags(settings, classes, entries, photos)
    problems += [*tags.problems, *unknown_classes(tags, (*classes, *settings.dropped), settings)]
    items = []
    found: dict[str, str] = {}
    for name, (split, _) in sorted(entries.items()):
        try:
            image = f"JPEGImages/{photos.one(name)}"
            if masks and name in masks.paths:
                found[name] = f"{settings.masks}/{masks.one(name)}"
            items.append(RawItem(name, split, image, found.get(name), tuple(tags.tags.get(name, ()))))
        except UserError as error:
            problems.append(error)
    reading = (
        f"{photos_line(photos)}; {len(photos.paths) - len(items)} of them in no list, and not read",
        *(
            f"{split}: {path.relative_to(root)}, {sum(entry[0] == split for entry in entries.values())} photos"
            for split, path in lists.items()
        ),
        *([f"not read: {some(unread)}"] if (unread := other_lists(lists)) else []),
        tags.reading,
        classes_line(classes, settings.classes or "VOC"),
        masks_line(settings.masks, found, len(items)),
    )
    sets = frozenset(tags.explained), frozenset(tags.rowless)
    return RawDataset(classes, tuple(items), tuple(problems), tuple(tags.findings), reading, *sets, others=tags.others)


def find_lists(root: Path) -> dict[str, Path]:
    """The list of ids of each split that has one."""
    lists = {split: path for split in SPLIT_FILES if (path := _split_file(root, split))}
    if "train" not in lists:
        place = root / "ImageSets" / "Segmentation" / "train.txt"
        raise UserError(place, "no such file, nor one in ImageSets/Main", "add the list of training ids")
    return lists


def other_lists(lists: dict[str, Path]) -> list[str]:
    """Names of the files beside the `lists` that are not read."""
    read = {*lists.values()}
    folders = sorted({path.parent for path in read})
    return [path.name for folder in folders for path in sorted(folder.glob("*.txt")) if path not in read]


def read_splits(lists: dict[str, Path], photos: Listing, problems: list[UserError]) -> dict[str, tuple[str, str]]:
    """Split of every photo in the `lists`, by id, and the place where it is listed."""
    entries: dict[str, tuple[str, str]] = {}
    names = Names(photos)
    for split, path in lists.items():
        missing: list[tuple[str, UserError]] = []
        before = len(entries)
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            if not text.strip():
                continue
            where = f"{path}:{line}"
            written = _entry(text, names)
            try:
                name = names.find(written, where, f"line {line}")
            except UserError as error:
                missing.append((written, error))
                continue
            if name in entries:
                what = f"duplicate id {name!r} (first in {entries[name][1]})"
                problems.append(UserError(where, what, f"delete line {line}"))
            else:
                entries[name] = (split, where)
        problems += _missing(missing, path, names, len(entries) > before)
    return entries


def _entry(text: str, names: Names) -> str:
    """What a line of a list names: an id, which may hold blanks, "id 1", or a pair of paths of photo and mask."""
    whole = text.strip()
    if whole in names.photos.paths:
        return whole
    first = whole.split()[0].replace("\\", "/")
    return first.removeprefix("/").removeprefix("JPEGImages/")


def _missing(found: list[tuple[str, UserError]], path: Path, names: Names, others: bool) -> list[UserError]:
    """What to say of the names in a list that no photo has; `others`: that some of its names are photos'."""
    unpadded = [name for name, _ in found if names.lost_zeros(name)]
    if len(unpadded) > 1:
        found = [(name, error) for name, error in found if name not in unpadded]
        return [names.without_zeros(unpadded, str(path)), *(error for _, error in found)]
    if len(found) > 1 and not others and all(isinstance(error, NoPhoto) for _, error in found):
        return [names.none_found([name for name, _ in found], str(path))]
    return [error for _, error in found]


def _split_file(root: Path, split: str) -> Path | None:
    """The first list of `SPLIT_FILES` that is there, in capital or small letters; else one of `OTHER_NAMES`."""
    for folder in (root / "ImageSets" / "Segmentation", root / "ImageSets" / "Main"):
        there = {path.stem.casefold(): path for path in sorted(folder.glob("*.[tT][xX][tT]"), reverse=True)}
        usual = [there[name] for name in SPLIT_FILES[split] if name in there]
        other = [there[name] for name in OTHER_NAMES[split] if name in there]
        if len(other) > 1 or (usual and other):
            names = " and ".join(path.name for path in [*usual[:1], *other])
            raise UserError(folder, f"{names} may both list the split {split}", "delete all but the one that does")
        if usual or other:
            return [*usual, *other][0]
    return None


def _image_folder(root: Path) -> Path:
    folder = root / "JPEGImages"
    if not folder.is_dir():
        inner = sorted(path.parent for path in root.glob("*/JPEGImages")) + sorted(root.glob("VOCdevkit/VOC2012"))
        fix = f"set dataset.root to {inner[0]}" if inner else "point dataset.root at the folder of JPEGImages"
        raise UserError(folder, "no such folder", fix)
    return folder
