"""The formats by name.

To add one, write a file beside this one with a function `scan`, add its line to `FORMATS`, its name to
`DatasetSettings.format`, and, if `wsss init` is to recognise it, a branch in `formats.guess`.
"""

from __future__ import annotations

from wsss.formats import coco, folder, voc
from wsss.formats.raw import RawDataset, RawItem
from wsss.formats.settings import DatasetSettings

__all__ = ["FORMATS", "RawDataset", "RawItem", "scan"]

FORMATS = {"coco": coco.scan, "folder": folder.scan, "voc": voc.scan}


def scan(settings: DatasetSettings) -> RawDataset:
    """Raw records of the data set that `settings` describes; no photo is opened yet."""
    return FORMATS[settings.format](settings)
