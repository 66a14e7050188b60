"""Which of the photos that are predicted are photos of the data set of the project in the present folder, and what that
knows of them: their split, and masks that a person has corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from wsss.core.errors import WsssError
from wsss.core.stage import hash_input
from wsss.core.words import counted
from wsss.data.index import Index, Record, read_index
from wsss.data.size import fit_label
from wsss.predict.collect import FoundPhoto
from wsss.predict.project import section_of
from wsss.stores.labels import BY_HAND, PseudoStore

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


@dataclass(frozen=True)
class Corrected:
    """Masks that a person has corrected: the `store` that has them, and by photo their records. `kept`: whether they
    are taken in the place of the network's.
    """

    store: PseudoStore
    records: Mapping[str, Record] = field(default_factory=dict)
    kept: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.records

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the store."""
        return hash_input(self.store.path)[:16]

    def mask(self, name: str, size: tuple[int, int]) -> np.ndarray | None:
        """(H, W) uint8 of photo `name` at its own `size`, 255 where ignored; None if it is not corrected, or another
        photo now, or if masks are not `kept`. Raises `IntegrityError` for a damaged store.
        """
        record = self.records.get(name)
        if not self.kept or record is None or record.own_size != size:
            return None
        return fit_label(self.store.label(record.id), size)

    @property
    def words(self) -> str:
        """How many they are, and where."""
        return f"{counted(len(self.records), 'photo')} corrected by hand ({self.store.path})"

    @property
    def told(self) -> str:
        """One line on what becomes of them."""
        has = f"{counted(len(self.records), 'photo')} {'has' if len(self.records) == 1 else 'have'} a mask corrected by"
        taken = "taken as it is" if self.kept else "which is not taken here: --keep-corrected takes it"
        return f"{has} hand ({self.store.path}), {taken}"


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


def corrected_masks(own: OwnSet | None, kept: bool, folder: Path = Path()) -> Corrected | None:
    """The masks of photos of `own` that a person has corrected, in the store that `distill.labels` of the project in
    `folder` names; None if there are none.
    """
    given = section_of(folder, "distill").get("labels")
    try:
        store = None if own is None or given is None else PseudoStore(folder / str(given))
        if own is None or store is None or not store.by_hand or store.classes != own.index.classes:
            return None
        records = {name: record for name, record in own.records.items() if _by_hand(store, record.id)}
    except WsssError:
        return None  # the usual value is a word and no folder; what is wrong with one, `wsss check` says
    return Corrected(store.part(record.id for record in records.values()), records, kept) if records else None


def _by_hand(store: PseudoStore, name: str) -> bool:
    return name in store and BY_HAND in store.group(name).attrs


def _place(path: Path, resolved: Callable[[Path], Path]) -> Path:
    """Where a file lies, whatever links lead to its folder."""
    return resolved(path.parent) / path.name
