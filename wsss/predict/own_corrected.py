"""Masks of the photos that are predicted which a person has corrected, and the imported labels that have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wsss.core.errors import WsssError
from wsss.core.folders import STORE_INDEX
from wsss.core.stage import hash_input
from wsss.core.words import counted
from wsss.data.index import Index, Record
from wsss.data.size import fit_label
from wsss.predict.own_set import OwnSet
from wsss.predict.project import section_of
from wsss.stores.corrected import CORRECTED, corrected_folders, made_over
from wsss.stores.labels import BY_HAND, PseudoStore

NONE = f"--keep-corrected: no photo of these has a mask corrected by hand, in distill.labels or {CORRECTED}_*"


@dataclass(frozen=True)
class Corrected:
    """Masks that a person has corrected: the `store` that has them, and by photo their records. `kept`: whether they
    are taken in the place of the network's; `others`: stores of corrected labels that are not in this one.
    """

    store: PseudoStore
    records: Mapping[str, Record] = field(default_factory=dict)
    kept: bool = False
    others: tuple[Path, ...] = ()

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

    @property
    def told_others(self) -> str:
        """That other stores have corrections, too; empty if none has."""
        paths = ", ".join(str(path) for path in self.others)
        return f"corrections in {paths} are not in {self.store.path}, and are not taken" if paths else ""


def corrected_masks(own: OwnSet | None, kept: bool, folder: Path = Path()) -> Corrected | None:
    """The masks of photos of `own` that a person has corrected; None if there are none.

    They are in the store that `distill.labels` of the project in `folder` names, or in one that was imported over it
    since. Where it names none with corrections, in one of those imported: that over which none was imported, of several
    the one with the most corrections, of equal ones the newest.
    """
    if own is None:
        return None
    given = folder / str(section_of(folder, "distill").get("labels"))
    named = _opened(given, own.index)
    stores = {store.path.resolve(): store for store in _imported(folder, own.index)}
    if named is not None:
        stores[given.resolve()] = named
    below = {path: {each.resolve() for each in made_over(store, folder)[1:]} for path, store in stores.items()}
    last = [path for path in stores if not any(path in under for under in below.values())]
    fit = [path for path in last if named is None or given.resolve() in {path, *below[path]}]
    if not fit:
        return None
    chosen = max(fit, key=lambda path: (stores[path].by_hand, (path / STORE_INDEX).stat().st_mtime_ns))
    store, others = stores[chosen], tuple(stores[path].path for path in last if path != chosen)
    try:
        records = {name: record for name, record in own.records.items() if _by_hand(store, record.id)}
    except WsssError:
        return None  # what is wrong with a store, `wsss check` and `wsss verify` say
    return Corrected(store.part(record.id for record in records.values()), records, kept, others) if records else None


def _imported(folder: Path, index: Index) -> Iterator[PseudoStore]:
    """Imported labels of the photos of `index`, as they are read now, of which a person has corrected some. A few of
    their photos may be gone.
    """
    sizes = {record.id: record.size for record in index.records}
    for path in corrected_folders(folder):
        store = _opened(path, index)
        there = [] if store is None else [name for name in store.ids if name in sizes]
        if store is not None and 2 * len(there) > len(store.ids):  # else they are of another data set
            with suppress(WsssError):  # damaged
                if store.label(there[0]).shape == sizes[there[0]]:
                    yield store


def _opened(path: Path, index: Index) -> PseudoStore | None:
    """The labels in the folder `path`, if a person has corrected some, and they are of the classes of `index`."""
    try:
        store = PseudoStore(path)
    except WsssError:
        return None  # the usual value of the setting is a word and no folder
    return store if store.ids and store.by_hand and store.classes == index.classes else None


def _by_hand(store: PseudoStore, name: str) -> bool:
    return name in store and BY_HAND in store.group(name).attrs
