"""Which of the photos that are predicted are photos of the data set of the project in the present folder, and what that
knows of them: their split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wsss.core.errors import WsssError
from wsss.data.index import Index, Record, read_index
from wsss.predict.collect import FoundPhoto
from wsss.predict.project import section_of

INDEX = Path("artifacts/dataset")


@dataclass(frozen=True)
class OwnSet:
    """The `index` of a data set, and by the ids of photos that are predicted their `records` there."""

    index: Index
    records: Mapping[str, Record]

    @property
    def splits(self) -> dict[str, str]:
        """By photo, its split."""
        return {name: record.split for name, record in self.records.items()}


def own_set(photos: Sequence[FoundPhoto], classes: Sequence[str], folder: Path = Path()) -> OwnSet | None:
    """Those of the `photos` that the project in `folder` has indexed: the same files. None if there are none, if there
    is no such index, or if its classes are not these `classes` of a network.
    """
    try:
        root = Path(section_of(folder, "dataset")["root"])
        index = read_index(folder / INDEX)
    except (WsssError, KeyError, TypeError):
        return None  # what is wrong there is no matter of these photos
    if index.classes != tuple(classes):
        return None
    resolved = cache(Path.resolve)
    places = {_place(folder / root / record.image, resolved): record for record in index.records}
    here = {photo.id: _place(photo.path, resolved) for photo in photos}
    found = {name: places[place] for name, place in here.items() if place in places}
    return OwnSet(index, found) if found else None


def _place(path: Path, resolved: Callable[[Path], Path]) -> Path:
    """Where a file lies, whatever links lead to its folder."""
    return resolved(path.parent) / path.name
