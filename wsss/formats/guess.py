"""What kind of data set a folder is, from what lies in it: for `wsss init`, which shows what it found."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wsss.core.errors import UserError, WsssError
from wsss.core.missing import similar
from wsss.formats.class_folders import FOLDERS, are_classes
from wsss.formats.headings import names_photos
from wsss.formats.lines import read_lines
from wsss.formats.problems import some
from wsss.formats.raw import list_pictures
from wsss.formats.settings import DatasetSettings

TAG_FILES = ("tags.csv", "labels.csv", "annotations.csv", "tags.tsv")
WORKBOOKS = ("tags.xlsx", "labels.xlsx", "annotations.xlsx")
MASK_FOLDERS = ("masks", "mask", "SegmentationClass", "segmentation")
CLASS_FILES = ("classes.txt", "labels.txt")
TABLES = (".csv", ".tsv", ".xlsx", ".txt")
"""Endings of files that may be a table of tags."""
PREDICTIONS = "predictions.csv"
"""What `wsss predict` writes beside its masks."""
DATA_FILES = (".csv", ".tsv", ".txt", ".json", ".xml", ".npy", ".xlsx", ".ods")
"""Endings of files that hold data, and never settings."""
RARE = ("photo_column", "tag_column", "drop")
"""Settings that hardly any data set needs."""
_ONE_TABLE = "say which with --tags NAME"
_ONE_LIST = "rename the one that does not list the classes"
_PLAIN = re.compile(r"[A-Za-z_/][\w./ -]*[\w/]")


def guess_dataset(folder: Path, tags: Path | None, options: str = "") -> DatasetSettings:
    """Settings for the data set in `folder`; `tags` as the user gave it. Raises `UserError` if it cannot be guessed.

    `options`: of the command line, as a fix that repeats it has to write them after the folder.
    """
    root, voc = _roots(folder)
    given = None if tags is None else _below(tags, voc or root)
    if voc is not None:
        given = given or only(voc, ("tags.csv", "cls_labels.npy"), _ONE_TABLE)
        if not given and not (voc / "Annotations").is_dir():
            raise _no_tags(voc, folder, options)
        masks = "SegmentationClass" if (voc / "SegmentationClass").is_dir() else ""
        return DatasetSettings(
            root=str(voc), format="voc", tags=given or "xml", masks=masks, classes=only(voc, CLASS_FILES, _ONE_LIST)
        )
    if given is None and any((root / "annotations").glob("instances_*.json")):
        if table := only(root, TAG_FILES, _ONE_TABLE):
            raise UserError(root, f"annotations and {table} may both hold the tags", _ONE_TABLE)
        given = "annotations"
    if given is not None and (given.endswith(".json") or any((root / given).glob("instances_*.json"))):
        return DatasetSettings(root=str(root), format="coco", tags=given, masks=mask_folder(root))
    found = given or only(root, TAG_FILES, _ONE_TABLE) or only(root, WORKBOOKS, _ONE_TABLE)
    masks = mask_folder(root)
    if not found and are_classes(_photos(root, masks)):
        found = FOLDERS
    if not found:
        raise _no_tags(root, folder, options)
    return DatasetSettings(
        root=str(root),
        format="folder",
        tags=found,
        masks=masks,
        classes=only(root, CLASS_FILES, _ONE_LIST),
    )


def data_root(folder: Path) -> Path:
    """The root of the data set in `folder`: that, or the folder of VOC's layout below it. `UserError` if none is."""
    root, voc = _roots(folder)
    return voc or root


def _roots(folder: Path) -> tuple[Path, Path | None]:
    """The absolute path of `folder`, and where VOC's layout lies in it, if it does."""
    if not folder.is_dir():
        raise UserError(folder, f"no such folder{similar(folder)}", "give the folder of the photos")
    # Links stay as they are written, except where a `..` behind one would mean another folder.
    root = folder.resolve() if ".." in folder.parts else folder.absolute()
    inner = (root, root / "VOCdevkit" / "VOC2012", root / "VOC2012")
    return root, next(
        (each for each in inner if (each / "JPEGImages").is_dir() and (each / "ImageSets").is_dir()), None
    )


def _photos(root: Path, masks: str) -> list[str]:
    listing = list_pictures(root, [], skip=root / masks if masks else None)
    return [path for paths in listing.paths.values() for path in paths]


def refuse_data(params: Path) -> None:
    """Raise `UserError` if `params`, where settings are expected, is a file of data: it must not be written over."""
    if params.suffix.lower() in DATA_FILES and params.exists():
        what = "is data, expected a file of settings such as params.yaml"
        raise UserError(params, what, f"wsss init {params.parent} --tags {params} writes params.yaml for it")


def dataset_yaml(settings: DatasetSettings) -> str:
    """Section `dataset` of params.yaml, as a person would write it; `RARE` keys only where they say something."""
    written = {key: value for key, value in settings.model_dump().items() if value or key not in RARE}
    lines = [f"  {key}: {_scalar(value)}" for key, value in written.items()]
    return "\n".join(["dataset:", *lines]) + "\n"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        reserved = value.casefold() in ("null", "true", "false", "yes", "no", "on", "off")
        # JSON's strings are YAML's; names that could mean something else to a reader of YAML are quoted.
        return value if _PLAIN.fullmatch(value) and not reserved else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    return f"{value:g}"


def _below(tags: Path, root: Path) -> str:
    """`tags` relative to `root`, given from the working folder or from the root; or `FOLDERS`."""
    if tags == Path(FOLDERS) and not tags.is_file() and not (root / tags).is_file():
        return FOLDERS
    for candidate in (tags, root / tags):
        if candidate.exists():
            try:
                # A link in the folder is in it: DVC reads what it leads to.
                return (candidate.parent.resolve() / candidate.name).relative_to(root.resolve()).as_posix()
            except ValueError:
                what = f"lies outside {root}: DVC watches the data set's folder only, and would miss its changes"
                raise UserError(tags, what, f"move it into {root}") from None
    raise UserError(tags, f"no such file, here or in {root}", "correct --tags")


def only(root: Path, names: Iterable[str], fix: str) -> str:
    """The one of `names` that is a file below `root`; nothing if none is. `UserError` if several are."""
    found = [name for name in names if (root / name).is_file()]
    if len(found) > 1:
        raise UserError(root, f"{' and '.join(found)} may have the same role", fix)
    return found[0] if found else ""


def mask_folder(root: Path) -> str:
    """The folder of masks below `root`; nothing if none is there. `UserError` if several are."""
    # Where `wsss predict` has written, masks are a network's and no ground truth.
    names = [name for name in MASK_FOLDERS if name != "masks" or not (root / PREDICTIONS).exists()]
    found = [name for name in names if next((root / name).rglob("*.png"), None)]
    if len(found) > 1:
        fix = "rename those that do not, to a name that begins with a dot, or move them out of the folder"
        raise UserError(root, f"{' and '.join(found)} may both hold the masks", fix)
    return found[0] if found else ""


def other_tables(root: Path) -> list[str]:
    """Tables in `root` itself that may have the tags under another name: those with a column of photos, if there are
    any; else all that have several columns, prose aside.
    """
    names = {*TAG_FILES, *WORKBOOKS, *CLASS_FILES, PREDICTIONS}
    paths = (path for path in sorted(root.iterdir()) if path.suffix.lower() in TABLES and path.is_file())
    headers: dict[str, list[str]] = {}
    for path in paths:
        if path.name not in names and not path.name.startswith("."):
            with suppress(WsssError, OSError):  # what cannot be read is no candidate
                headers[path.name] = read_lines(path)[0]
    return [name for name, header in headers.items() if names_photos(header)] or [
        name for name, header in headers.items() if len(header) > 1 and not name.lower().endswith(".txt")
    ]


def _no_tags(root: Path, folder: Path, options: str) -> UserError:
    photos = list_pictures(root, [])
    if not photos.paths and not photos.foreign:
        what = "no photo in this folder (expected JPEG, PNG, WEBP, BMP or TIFF)"
        raise UserError(root, what, "give the folder of the photos")
    what = "no table of tags (looked for tags.csv, annotations of VOC, lists of COCO), and no folder for each class"
    if found := other_tables(root):
        command = f"wsss init {folder} --tags {shlex.quote(found[0]) if len(found) == 1 else 'NAME'}{options}"
        return UserError(root, what, f"found {some(found)}: {command}")
    fix = "write tags.csv: filename,tags in the first line, then a line a photo, or use wsss tag; or give --tags"
    return UserError(root, what, fix)
