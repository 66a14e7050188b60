"""Some of a store's labels: those of the photos that a file names."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from wsss.core.errors import UserError, which_id
from wsss.data.ids import clean_id
from wsss.data.index import Record
from wsss.data.tables import plain
from wsss.export.labels import Labels
from wsss.stores.opened import bare_names

NAMED = 5
"""Photos that an error names; the rest are counted."""
ID = "id"
"""Column of a table that names photos."""


class Only:
    """The label maps of `store` of the photos `ids` alone; `ids` are sorted."""

    def __init__(self, store: Labels, ids: Collection[str]) -> None:
        self.path, self.classes, self.ids = store.path, store.classes, tuple(sorted(ids))
        self._store = store

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        return self._store.label(name)

    def giver(self, name: str) -> Labels:
        """The store, of every photo."""
        return self._store


def named_photos(path: Path, store: Labels, photos: Mapping[str, Record]) -> frozenset[str]:
    """Ids of the photos of `store` that the file `path` names: an id or a photo's file on each line, or the column `id`
    of a CSV table; without folders where one photo alone is called so. `photos`: records by id, for the names of their
    files.

    Raises `UserError` if the file cannot be read, names none, or names photos that the store does not have.
    """
    names = read_names(path)
    files = {record.image: name for name, record in photos.items()}
    known, found, unknown = frozenset(store.ids), set(), []
    bare = bare_names(known, {name: record.image for name, record in photos.items()})
    for name in names:
        ways = (name, files.get(name), clean_id(name, path), bare.get(name))
        meant = next((one for one in ways if one in known), None)
        if meant is None:
            unknown.append(name)
        else:
            found.add(meant)
    if unknown:
        some = ", ".join(f"{name!r}{_hint(name, known, photos)}" for name in unknown[:NAMED])
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        what = f"{len(unknown)} of {len(names)} photos are not in {store.path}: {some}{more}"
        fix = "correct or remove these lines"
        if any(name in photos for name in unknown):
            fix += ", or export labels that have them (artifacts/pseudo has all)"
        raise UserError(path, what, fix)
    return frozenset(found)


def _hint(name: str, known: Collection[str], photos: Mapping[str, Record]) -> str:
    return f" (of split {photos[name].split})" if name in photos else which_id(name, known)


def read_names(path: Path) -> list[str]:
    """The lines of a list of photos, or the column `id` of a CSV table; each once. `UserError` if there is none."""
    fix = f"give a file with an id on each line, or a CSV with a column {ID}, as reports/photos.csv"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(path, "no such file", fix) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(path, f"cannot be read as UTF-8 text ({error})", fix) from error
    header = next(csv.reader(lines[:1]), [])
    if ID in header:
        place = header.index(ID)
        names = [plain(row[place]) for row in csv.reader(lines[1:]) if len(row) > place]
    else:
        names = [line.strip() for line in lines]
    found = list(dict.fromkeys(name for name in names if name))
    if not found:
        raise UserError(path, "names no photo", fix)
    return found


def part_of(source: str, ids: Sequence[str], photos: Mapping[str, Record]) -> str:
    """``11 of 60 photos: predictions are of split val``; empty where it is all of them, or the others are not known."""
    if len(photos) <= len(ids) or not all(name in photos for name in ids):
        return ""
    splits = sorted({photos[name].split for name in ids})
    what = f"{len(ids)} of {len(photos)} photos: {source} are of split {' and '.join(splits)}"
    return f"{what} (masks of any photos: wsss predict, then wsss export of its folder)"
