"""Which store the edited masks were exported from, where nobody says so: the one that their list of origins names, or
the one that most of them are equal to.

Of masks that come back, few are edited. Compared with another store than theirs nearly all of them differ, and all
would count as corrected. Where all are edited, they differ from every store, and only the list, or the note of the
export, or the number of pixels can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from wsss.core.errors import UserError
from wsss.core.folders import STORE_INDEX
from wsss.core.interrupt import check_stop
from wsss.core.stage import hash_input
from wsss.data.index import Index, Record
from wsss.data.origins import FROM_LABELS, FROM_NETWORK
from wsss.data.size import fit_label
from wsss.evaluation.before import NEVER, Before
from wsss.evaluation.correction import EDITED, EDITED_ONLY, differing_pixels, is_as_before
from wsss.evaluation.edited_masks import EditedMasks, masks_in
from wsss.evaluation.exported import UNKNOWN, Sent, sent_from
from wsss.stores.corrected import corrected_folders, made_over
from wsss.stores.filled import FilledStore
from wsss.stores.labels import LABEL_STORES, PseudoStore
from wsss.stores.opened import is_store, open_pseudo
from wsss.stores.whose import MADE_BY


class Differing(NamedTuple):
    """How many masks differ from the labels of a store, and in how many pixels."""

    masks: int
    pixels: int


def choose_base(
    folder: Path, source: Path, index: Index, given: Path | None = None, before: Before = NEVER
) -> tuple[PseudoStore, str]:
    """The store of labels that the masks in `folder` are edited from, and a line that says which and why.

    It is the one that the masks were exported from, as `given` says (a folder or archive of `wsss export`) or the list
    of origins beside the masks; or one that was corrected over it. Of these, and of all where nothing says so, it is
    the one from which the fewest masks differ; of equal ones the last that this project has exported, then the one from
    which the fewest pixels differ. Of a store and those corrected over it, equal ones, that with the most photos that
    were corrected before: their labels would be lost.

    Photos that a store lacks have the labels of `artifacts/pseudo` there, and photos that are gone none. `folder`: what
    is in `source`; a store that was made of this very source is left out. `before`: what the data set had once. Where
    no store has all photos of the masks, `artifacts/pseudo`: reading the masks of its photos says what is wrong.
    """
    records, made_of = {record.id: record for record in index.records}, hash_input(source)
    sent = sent_from(folder, source, given, [*records])
    counts: dict[PseudoStore, Differing] = {}
    for store in _stores(sent):
        if store.attributes.get(EDITED) == made_of or store.classes != index.classes:
            continue
        store = filled(store, index)
        try:
            edited = masks_in(folder, source, store.ids, store.classes, {}, before=before)
        except UserError:  # of a photo that it does not have
            continue
        if all(name in records and store.label(name).shape == records[name].size for name in edited.files):
            counts[store] = differing(store, edited, records)
    if not counts:
        return filled(open_pseudo(PseudoStore.place), index), ""
    lines = {store: [path.resolve() for path in made_over(store)] for store in counts}
    own = {store for store in counts if sent.places & {*lines[store]}}
    if sent.sure and own:
        # Nobody knows what those were made over whose base is gone.
        counts = {store: counts[store] for store in counts if store in own or not is_store(lines[store][-1])}
    least: dict[Path, int] = {}
    for store, (_, pixels) in counts.items():
        least[lines[store][-1]] = min(pixels, least.get(lines[store][-1], pixels))

    def order(store: PseudoStore) -> tuple[int, bool, int, int, int, int]:
        masks, pixels = counts[store]
        return masks, store not in own, least[lines[store][-1]], -_corrected(store), pixels, -len(lines[store])

    chosen = min(counts, key=order)
    return chosen, _line(chosen, counts, sent, own)


def _line(chosen: PseudoStore, counts: Mapping[PseudoStore, Differing], sent: Sent, own: set[PseudoStore]) -> str:
    """Which store was `chosen`, and why: by what is known of the export, or by what was counted."""
    masks, pixels = counts[chosen]
    line = f"base: {chosen.path}, from which {masks} of the masks differ"
    rest = {store: count for store, count in counts.items() if store is not chosen}
    equal = {store for store, count in rest.items() if count.masks == masks}
    names = "it" if sent.places == {chosen.path.resolve()} else ", ".join(sorted(sent.names))
    if chosen in own and (sent.sure or equal - own):
        line += f"; they were exported from {names} ({sent.where})"
    elif sent.sure and sent.names:
        line += f"; they were exported from {names} ({sent.where}), which cannot be the base now"
    elif any(rest[store].pixels > pixels for store in equal):
        line += f", in the fewest pixels ({pixels:,})"
    more = {store: f", in {count.pixels:,} pixels" for store, count in rest.items() if count.pixels != pixels}
    others = [
        f"{store.path}: {count.masks}{more.get(store, '') if store in equal else ''}" for store, count in rest.items()
    ]
    return line + (f" ({'; '.join([', '.join(others), 'to take another one: --base'])})" if others else "")


def filled(store: PseudoStore, index: Index) -> PseudoStore:
    """The labels of `store` for the photos of `index` alone; of those that it lacks, those of `artifacts/pseudo`, if
    there are any.
    """
    ids = [record.id for record in index.records]
    rest = store
    if any(name not in store for name in ids) and is_store(PseudoStore.place):
        found = open_pseudo(PseudoStore.place)
        rest = found if found.classes == store.classes and not found.upper_bound else store
    return FilledStore(store, rest, ids)


def imported_before(source: Path, index: Index, made_by: str, edited_only: bool = False) -> PseudoStore | None:
    """The store of corrected labels of the photos of `index` that was made of all masks in this very `source`, or of
    those that a person has edited (`edited_only`), and is marked alike.
    """
    made_of, known = hash_input(source), {record.id: record.size for record in index.records}
    for store in _stores():
        same = store.attributes.get(EDITED) == made_of and store.attributes.get(MADE_BY, "") == made_by
        others = EDITED_ONLY not in store.attributes
        if edited_only:  # where none was left out, all may have been a person's
            others &= bool({FROM_NETWORK, FROM_LABELS} & store.attributes.keys())
        same &= others is not edited_only
        same &= store.classes == index.classes and {*store.ids} == known.keys()
        if same and store.label(store.ids[0]).shape == known[store.ids[0]]:
            return store
    return None


def imported_since(there: PseudoStore) -> list[Path]:
    """The stores of corrected labels that were imported over those in `there`, or over such ones; the last one last."""
    place = there.path.resolve()
    lines = [made_over(store) for store in _stores()]
    return [line[0] for line in sorted(lines, key=len) if place in (path.resolve() for path in line[1:])]


def differing(base: PseudoStore, edited: EditedMasks, records: Mapping[str, Record]) -> Differing:
    """How far the masks differ from what `wsss export` writes of `base`."""
    knows = edited.has_label_for_ignored(records)
    masks, pixels = 0, 0
    for name in edited.files:
        check_stop()
        mask = edited.mask(name, size := records[name].own_size)
        count = differing_pixels(mask, fit_label(base.label(name), size), knows)
        if count and not is_as_before(base, name, mask, knows):
            masks, pixels = masks + 1, pixels + count
    return Differing(masks, pixels)


def _stores(sent: Sent = UNKNOWN) -> Iterator[PseudoStore]:
    """Those in the working folder that hold labels which are no masks, and those that the masks were exported from."""
    paths = [*(kind.place for kind in LABEL_STORES), *corrected_folders()]
    known = {path.resolve() for path in paths}
    for path in (*paths, *(Path(name) for name in sorted(sent.names) if Path(name).resolve() not in known)):
        if (path / STORE_INDEX).is_file():
            try:
                store = open_pseudo(path)
            except UserError:  # of predictions, or CAMs
                continue
            if store.ids and not store.upper_bound:
                yield store


def _corrected(store: PseudoStore) -> int:
    return store.by_hand if EDITED in store.attributes else 0
