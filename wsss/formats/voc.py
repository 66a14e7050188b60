"""Format `voc`: ImageSets, JPEGImages and SegmentationClass as PASCAL VOC lays them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

from wsss.core.errors import UserError, did_you_mean
from wsss.data.codec import read_file
from wsss.data.ids import clean_id
from wsss.formats.onehot import read_onehot
from wsss.formats.problems import HINTS, shortened_name
from wsss.formats.raw import (
    Listing,
    RawDataset,
    RawItem,
    list_pictures,
    read_classes,
    read_text,
    with_background,
)
from wsss.formats.settings import DatasetSettings
from wsss.formats.tagfile import TagRow, read_tag_file

_VOC_CLASSES = """
aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant
sheep sofa train tvmonitor
"""
VOC_CLASSES = tuple(_VOC_CLASSES.split())
SPLIT_FILES = {"train": ("train_aug", "trainaug", "train"), "val": ("val",)}
"""Lists of ids by split, the first that is there: who adds the 10,582 ids of train_aug means to use them."""

MAX_XML = 4_000_000
"""Bytes of one annotation; VOC's largest have 10,000."""

Tagger = Callable[[str], tuple[str, ...]]


def scan(settings: DatasetSettings) -> RawDataset:
    """Read a VOC folder. Raises `UserError` if a part is missing; entries that do not fit become problems."""
    root = Path(settings.root)
    problems: list[UserError] = []
    photos = list_pictures(_image_folder(root), problems)
    photos.warn_foreign()
    masks = list_pictures(root / settings.masks, problems) if settings.masks else None
    classes = read_classes(root / settings.classes) if settings.classes else with_background(VOC_CLASSES, root)
    entries = read_splits(root, problems)
    tagger = _tagger(settings, classes, entries, problems)
    items = []
    for name, (split, where) in sorted(entries.items()):
        try:
            image = f"JPEGImages/{_file(name, photos, where)}"
            mask = f"{settings.masks}/{masks.one(name)}" if masks and name in masks.paths else None
            items.append(RawItem(name, split, image, mask, tagger(name)))
        except UserError as error:
            problems.append(error)
    return RawDataset(classes, tuple(items), tuple(problems))


def read_splits(root: Path, problems: list[UserError]) -> dict[str, tuple[str, str]]:
    """Split of every id in ImageSets, and the place where it is listed."""
    lists = {split: path for split in SPLIT_FILES if (path := _split_file(root, split))}
    if "train" not in lists:
        place = root / "ImageSets" / "Segmentation" / "train.txt"
        raise UserError(place, "no such file, nor one in ImageSets/Main", "add the list of training ids")
    entries: dict[str, tuple[str, str]] = {}
    for split, path in lists.items():
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            if not text.strip():
                continue
            where = f"{path}:{line}"
            try:
                # Lists are ids, "id 1", or pairs "/JPEGImages/id.jpg /SegmentationClassAug/id.png".
                name = clean_id(text.split()[0].removeprefix("/").removeprefix("JPEGImages/"), where)
                if name in entries:
                    what = f"duplicate id {name!r} (first in {entries[name][1]})"
                    raise UserError(where, what, f"delete line {line}")
                entries[name] = (split, where)
            except UserError as error:
                problems.append(error)
    return entries


def _split_file(root: Path, split: str) -> Path | None:
    folders = (root / "ImageSets" / "Segmentation", root / "ImageSets" / "Main")
    paths = (folder / f"{name}.txt" for folder in folders for name in SPLIT_FILES[split])
    return next((path for path in paths if path.is_file()), None)


def _image_folder(root: Path) -> Path:
    folder = root / "JPEGImages"
    if not folder.is_dir():
        inner = sorted(path.parent for path in root.glob("*/JPEGImages")) + sorted(root.glob("VOCdevkit/VOC2012"))
        fix = f"set dataset.root to {inner[0]}" if inner else "point dataset.root at the folder of JPEGImages"
        raise UserError(folder, "no such folder", fix)
    return folder


def _file(name: str, photos: Listing, where: str) -> str:
    if name in photos.paths:
        return photos.one(name)
    if name in photos.foreign:
        what = f"{photos.foreign[name]!r} is in a format that is not read"
        raise UserError(where, what, "convert the photo to JPEG or PNG")
    line = where.rpartition(":")[2]
    raise UserError(where, f"no photo {name!r} in {photos.folder}", f"add the photo, or delete line {line}")


def _tagger(
    settings: DatasetSettings,
    classes: tuple[str, ...],
    entries: dict[str, tuple[str, str]],
    problems: list[UserError],
) -> Tagger:
    """Where tags come from: Annotations, a CSV, or one-hot vectors."""
    path = settings.tags_path
    if settings.tags == "xml":
        return lambda name: xml_tags(path / f"{name}.xml", classes, len(problems) < HINTS)
    if path.suffix == ".npy":
        vectors = read_onehot(path, classes)
        return lambda name: vectors.get(name) or vectors.get(name.replace("_", ""), ())
    rows: dict[str, list[TagRow]] = {}
    for row in read_tag_file(path, problems).rows:
        try:
            rows.setdefault(clean_id(row.name.strip(), f"{path}:{row.line}"), []).append(row)
        except UserError as error:
            problems.append(error)
    return lambda name: _csv_tags(path, rows.get(name, []), classes, entries[name], len(problems) < HINTS)


def _csv_tags(
    path: Path, rows: list[TagRow], classes: tuple[str, ...], entry: tuple[str, str], hints: bool
) -> tuple[str, ...]:
    for row in rows:
        where, fix = f"{path}:{row.line}", f"edit line {row.line}"
        if row.split not in ("", entry[0]):
            raise UserError(where, f"split {row.split!r}, but {entry[1]} says {entry[0]!r}", fix)
        for tag in row.tags:
            if tag not in classes:
                raise UserError(
                    where, f"unknown class {shortened_name(tag)}{did_you_mean(tag, classes) if hints else ''}", fix
                )
    return tuple(dict.fromkeys(tag for row in rows for tag in row.tags))


def xml_tags(path: Path, classes: tuple[str, ...], hints: bool = True) -> tuple[str, ...]:
    """Classes of the objects in a VOC annotation, each once; none if there is no annotation.

    `hints`: an error says which class may be meant.

    Raises `UserError` if it is not XML, declares a document type, or names an unknown class.
    """
    stack: list[str] = []
    found: dict[str, int] = {}
    text: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        stack.append(tag)
        text.clear()

    def end(tag: str) -> None:
        # Objects have parts with names of their own: only the object's counts.
        if stack == ["annotation", "object", "name"]:
            found.setdefault("".join(text).strip(), parser.CurrentLineNumber)
        stack.pop()

    def refuse(*declaration: object) -> None:
        # Entities can be made to expand without end, or to read other files; no annotation needs them.
        raise UserError(path, "declares a document type", "delete the <!DOCTYPE …> declaration")

    if not path.exists():
        return ()
    data = read_file(path, MAX_XML)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.buffer_text = True  # else each line and each entity is a string of its own
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text.append, refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise UserError(path, f"not valid XML ({error})", "restore the annotation") from error
    for name, line in found.items():
        if name not in classes:
            what = f"unknown class {shortened_name(name)}{did_you_mean(name, classes) if hints else ''}"
            raise UserError(f"{path}:{line}", what, f"edit line {line}")
    return tuple(found)
