"""Masks of a few photos after each epoch of the student: ``<folder>/<epoch>/<photo>.png``, indexed in VOC's colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.data.ids import file_name
from wsss.data.index import Record

PHOTOS = 4


def shown(records: Sequence[Record]) -> list[Record]:
    """The photos that are followed, spread evenly over `records`: the same ones in every run on one data set."""
    count = min(PHOTOS, len(records))
    return [records[place * len(records) // count] for place in range(count)]


def snapshot_file(folder: Path, epoch: int, record: Record) -> Path:
    """Where the mask of one photo after one epoch, counted from 1, lies."""
    return folder / f"{epoch:04}" / file_name(record.id, ".png")


def epochs_of(folder: Path) -> list[int]:
    """The epochs that have masks, in order."""
    return sorted(int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())
