"""Which store the edited masks were exported from, where nobody says so: the one that most of them are equal to.

Of masks that come back, few are edited. Compared with another store than theirs nearly all of them differ, and all
would count as corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from wsss.core.errors import UserError
from wsss.core.folders import STORE_INDEX
from wsss.core.interrupt import check_stop
from wsss.core.stage import hash_input
from wsss.data.index import Index, Record
from wsss.data.size import fit_label
from wsss.evaluation.correction import EDITED, EDITED_ONLY, differs, is_as_before
from wsss.evaluation.edited_masks import EditedMasks, masks_in
from wsss.stores.labels import LABEL_STORES, PseudoStore
from wsss.stores.opened import open_pseudo
from wsss.stores.whose import MADE_BY

CORRECTED = Path("artifacts/corrected")
"""What the names of corrected labels begin with."""


def choose_base(folder: Path, source: Path, index: Index) -> tuple[PseudoStore, str]:
    """The store of labels from which the fewest of the masks in `folder` differ, and a line that says so. Of equal ones
    that with the most photos that were corrected before: their labels would be lost.

    `folder`: what is in `source`; a store that was made of this very source is left out. Where no store has all photos
    of the masks, `artifacts/pseudo`: reading the masks of its photos says what is wrong.
    """
    records, made_of = {record.id: record for record in index.records}, hash_input(source)
    counts: dict[PseudoStore, int] = {}
    for store in _stores():
        if store.attributes.get(EDITED) == made_of or store.classes != index.classes:
            continue
        try:
            edited = masks_in(folder, source, store.ids, store.classes, {})
        except UserError:  # of a photo that it does not have
            continue
        if all(name in records and store.label(name).shape == records[name].size for name in edited.files):
            counts[store] = differing(store, edited, records)
    if not counts:
        return open_pseudo(PseudoStore.place), ""
    chosen = min(counts, key=lambda store: (counts[store], -_corrected(store)))
    others = ", ".join(f"{store.path}: {count}" for store, count in counts.items() if store is not chosen)
    line = f"base: {chosen.path}, from which {counts[chosen]} of the masks differ"
    return chosen, line + (f" ({others}; to take another one: --base)" if others else "")


def imported_before(source: Path, index: Index, made_by: str) -> PseudoStore | None:
    """The store of corrected labels of the photos of `index` that was made of all masks in this very `source`, and is
    marked alike.
    """
    made_of, known = hash_input(source), {record.id: record.size for record in index.records}
    for store in _stores():
        same = store.attributes.get(EDITED) == made_of and store.attributes.get(MADE_BY, "") == made_by
        same &= EDITED_ONLY not in store.attributes
        if same and store.classes == index.classes and store.label(store.ids[0]).shape == known.get(store.ids[0]):
            return store
    return None


def differing(base: PseudoStore, edited: EditedMasks, records: Mapping[str, Record]) -> int:
    """How many of the masks differ from what `wsss export` writes of `base`."""
    knows = edited.has_label_for_ignored(records)
    count = 0
    for name in edited.files:
        check_stop()
        mask = edited.mask(name, size := records[name].own_size)
        other = differs(mask, fit_label(base.label(name), size), knows)
        count += other and not is_as_before(base, name, mask, knows)
    return count


def _stores() -> Iterator[PseudoStore]:
    """Those in the working folder that hold labels which are no masks."""
    made = [kind.place for kind in LABEL_STORES]
    for path in (*made, *sorted(CORRECTED.parent.glob(f"{CORRECTED.name}*"))):
        if (path / STORE_INDEX).is_file():
            store = open_pseudo(path)
            if store.ids and not store.upper_bound:
                yield store


def _corrected(store: PseudoStore) -> int:
    return store.by_hand if EDITED in store.attributes else 0
