"""Photos that lie in a folder for each class: its name is their tag."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from wsss.formats.problems import Finding, some
from wsss.formats.raw import Listing, is_background
from wsss.formats.splits import is_plain_folder
from wsss.formats.tagfile import TagRow, TagTable

FOLDERS = "folders"
"""What `dataset.tags` is where no table has the tags, and the photos' folders are the classes."""


def class_of(path: str) -> str:
    """The class of the photo at `path`: its outermost folder whose name says neither a split nor ``images``."""
    folders = PurePosixPath(path).parts[:-1]
    return next((name for name in folders if not is_plain_folder(name)), "")


def are_classes(paths: Iterable[str]) -> bool:
    """True if every photo lies in the folder of a class, and there are at least two of these."""
    found = {class_of(path) for path in paths}
    return len(found) > 1 and "" not in found


def folder_tags(photos: Listing) -> TagTable:
    """The tags that folders give, as a table; its lines are the photos' numbers. Folder ``background`` gives none."""
    paths = sorted(path for found in photos.paths.values() for path in found)
    rows = []
    for number, path in enumerate(paths, start=1):
        name = class_of(path)
        rows.append(TagRow(path, "", (name,) if name and not is_background(name) else (), number))
    names = sorted({tag for row in rows for tag in row.tags})
    what = f"tags are the names of the photos' folders: {some(names)}"
    asked = Finding(what, "if these are no classes, write a table of tags (tags.csv), and set dataset.tags to it")
    reading = f"tags: each photo has the name of its folder: {some(names)}"
    return TagTable(photos.folder, tuple(rows), (), reading, (asked,), ())
