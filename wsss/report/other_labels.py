"""The labels that the student learned from, if no stage made them: where they are, and whose."""

from __future__ import annotations

from pathlib import Path

from wsss.core.words import counted
from wsss.data.origins import FROM_NETWORK, remark
from wsss.stores.imported import imported_labels
from wsss.stores.labels import PseudoStore, RelabelledStore
from wsss.stores.whose import MADE_BY, by_methods, of_maps, whose


def other_labels(place: Path | None, noted: str) -> tuple[PseudoStore | None, str]:
    """The store that stage `distill` learned from instead of pseudo-labels, if it is still there, and what a page says.

    `place`: the folder that the settings name, if any; `noted`: the checksum that the stage noted of the store that it
    learned from, empty if it learned from pseudo-labels. Then there is no store, and nothing to say.
    """
    if not noted:
        return None, ""
    store = imported_labels(place, noted)
    if store is None:
        gone = "are not there any more" if place is None else f"are not in {place} any more"
        return None, f"The student learned from other labels than these pseudo-labels. They {gone}, and not shown here."
    parts = [f"{many} of them {words}" for words, many in whose(store.attributes).items()]
    of = ", ".join(filter(None, [counted(len(store.ids), "photo"), *parts, of_maps(store.attributes)]))
    words = (
        f"The student learned from the labels in {store.path} ({of}). They stand in for the pseudo-labels of these "
        "photos, in order and numbers too; where both differ, the pseudo-label is the second picture."
    )
    return store, words


def rests_on(made: RelabelledStore, others: PseudoStore | None) -> str:
    """What beside tags the labels of the student rest on, as stage `distill` noted it in `made`, and on which method's
    by the store `others`, which it does not note; empty if on nothing.
    """
    known = remark(made.by_hand, int(made.attributes.get(FROM_NETWORK, 0)))
    if others is None or MADE_BY not in others.attributes:
        return known
    photos = f"{counted(by_methods(others.attributes), 'photo')} made by {others.attributes[MADE_BY]}"
    return f"{known} and of {photos}" if known else f"labels of {photos}"
