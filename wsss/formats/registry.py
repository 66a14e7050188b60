"""The formats by name.

To add one, write a file beside this one with a function `scan`, add its line to `FORMATS`, its name to
`DatasetSettings.format`, and, if `wsss init` is to recognise it, a branch in `formats.guess`.
"""

from __future__ import annotations

from pathlib import Path

from wsss.core.errors import UserError
from wsss.formats import coco, folder, voc
from wsss.formats.class_folders import FOLDERS
from wsss.formats.dropping import drop_classes
from wsss.formats.raw import RawDataset, RawItem
from wsss.formats.settings import DatasetSettings

__all__ = ["FORMATS", "RawDataset", "RawItem", "scan"]

FORMATS = {"coco": coco.scan, "folder": folder.scan, "voc": voc.scan}


def scan(settings: DatasetSettings) -> RawDataset:
    """Raw records of the data set that `settings` describes; no photo is opened yet.

    Raises `UserError`, also for a root that holds the pipeline itself: DVC would watch what it writes there.
    """
    here, root = Path.cwd(), Path(settings.root).resolve()
    if here.resolve().is_relative_to(root) and (here / "dvc.yaml").is_file():
        what = "holds the pipeline itself, whose own outputs DVC would take for parts of the data set"
        raise UserError(settings.root, what, f"move the photos into a folder of their own, e.g. {root / 'data/photos'}")
    _refuse_columns(settings)
    raw = FORMATS[settings.format](settings)
    return drop_classes(raw, settings.dropped) if settings.drop else raw


def _refuse_columns(settings: DatasetSettings) -> None:
    """Raise `UserError` if a column is named where no table has the tags."""
    if settings.format != "coco" and settings.tags not in (FOLDERS, "xml") and not settings.tags.endswith(".npy"):
        return
    for key in ("photo_column", "tag_column"):
        if heading := getattr(settings, key):
            what = f"found {heading!r}: the tags are in no table ({settings.tags})"
            raise UserError(f"dataset.{key}", what, f'set dataset.{key}: ""')
