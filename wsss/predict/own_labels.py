"""Pseudo-labels that the run in the present folder has of photos of its own: what their masks are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss.core.errors import WsssError
from wsss.predict.project import section_of
from wsss.stores.labels import LABEL_STORES, LEARNED, PseudoStore


@dataclass(frozen=True)
class OwnLabels:
    """`stores`, what was made last first; `records`: ids there by those of the photos that are predicted."""

    stores: tuple[PseudoStore, ...]
    records: Mapping[str, str]

    def label(self, name: str) -> np.ndarray | None:
        """(H, W) uint8 of photo `name`, 255 where ignored, of the size it is read at; None if no store has it."""
        record = self.records.get(name, "")
        store = next((store for store in self.stores if record in store), None)
        try:
            return None if store is None else store.label(record)
        except WsssError:
            return None  # what is wrong there is no matter of these photos

    def learned(self, name: str) -> np.ndarray | None:
        """The same of what the student has learned from, before it changed any label itself."""
        return OwnLabels(tuple(store for store in self.stores if store.whole), self.records).label(name)


def open_labels(records: Mapping[str, str], classes: Sequence[str], folder: Path = Path()) -> OwnLabels | None:
    """Those of the project in `folder`, for a network of these `classes`; `records`: see `OwnLabels`. None if there are
    none. Where the student was trained on other labels than `correct` made (`distill.labels`), those come before them.

    Stores of other classes are left out, and so are imported masks: what a person drew is not read.
    """
    stores = []
    places = [(kind, kind.place) for kind in reversed(LABEL_STORES)]
    # The usual value is a word and no folder: then there is no store, as where one was removed.
    given = Path(str(section_of(folder, "distill").get("labels")))
    places.insert(places.index((LEARNED, LEARNED.place)), (LEARNED, given))
    for kind, place in places:
        try:
            store = kind(folder / place)
        except WsssError:
            continue
        if store.classes == tuple(classes) and not store.upper_bound:
            stores.append(store.part(records.values()))
    return OwnLabels(tuple(stores), records) if stores and records else None
