"""Label maps of a store as other tools read them: what all writers need.

Other tools lay labels over the photos' files, so they are written at the files' own sizes. The writers take `photos`:
the records of the index by id. A photo that is not there has the size of its label, and its name is ``<id>.jpg``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from wsss.core.errors import UserError
from wsss.data.ids import clean_id
from wsss.data.index import IGNORE, Record
from wsss.data.size import fit_label

Counts = dict[str, int]


class Labels(Protocol):
    """Label maps by photo id, of a store or of a folder of predictions; `path` is for messages."""

    path: Path
    classes: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """All photo ids, sorted."""
        ...

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        ...


def file_label(store: Labels, name: str, photos: Mapping[str, Record]) -> np.ndarray:
    """(H, W) uint8 at the size of the photo's file: class ids, 255 where ignored."""
    label = store.label(name)
    return fit_label(label, photos[name].own_size) if name in photos else label


def shown(label: np.ndarray) -> list[int]:
    """The classes of a label map, ascending, without background and 255."""
    return [int(value) for value in np.unique(label) if value not in (0, IGNORE)]


def photo_file(name: str, photos: Mapping[str, Record]) -> str:
    """The path of a photo below its folder."""
    return photos[name].image if name in photos else f"{name}.jpg"


def find_files(store: Labels, photos: Mapping[str, Record], root: Path) -> dict[str, Path]:
    """The file of each photo, by id, below the folder `root`. `UserError` if some are not there."""
    files = {name: root / photo_file(name, photos) for name in safe_ids(store)}
    if missing := [name for name, file in files.items() if not file.is_file()]:
        some = ", ".join(str(files[name].relative_to(root)) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        fix = "give the folder that the index, or wsss predict, has read; names come from --dataset, where there is one"
        raise UserError(root, f"{len(missing)} of {len(files)} photos are not in this folder: {some}{more}", fix)
    return files


def link_photo(path: Path, photo: Path) -> None:
    """Make the link `path` to the file `photo`; a copy, where the system makes no links."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(photo)
    except OSError:
        shutil.copyfile(photo, path)


def safe_ids(store: Labels) -> tuple[str, ...]:
    """All ids; `UserError` for one that would leave the folder or the archive (a store may come from anywhere)."""
    for name in store.ids:
        clean_id(name, store.path)
    return store.ids
