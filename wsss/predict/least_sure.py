"""Photos that no rule of `look` names are named, too, if they stand out among those: the network is least sure of them,
or, of photos that it was trained on, it differs most from its labels. There it is sure of what it has learned.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsss.predict.look import CONFIDENCE, LEARNED, UNSURE
from wsss.predict.table import Row

TRAIN = "train"
VERDICT = " that the verdict calls "
"""In a reason of an earlier wsss, which named photos for their classes."""


def looks(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """The reasons to look at each of `rows`, by id, in which one that compares photos with each other is renewed.

    Of fewer than `UNSURE` photos of a kind none is named, and none that a person has edited.
    """
    listed = list(rows)
    found = {row.id: tuple(each for each in row.look if not _passing(each)) for row in listed}
    quiet = [row for row in listed if not found[row.id] and not row.edited]
    trained = sorted((-row.differs, row.id) for row in quiet if row.split == TRAIN and row.differs is not None)
    others = sorted({(row.confidence, row.id) for row in quiet if row.id not in {name for _, name in trained}})
    named = {name: (f"{CONFIDENCE} {sure:.2f}: among the lowest",) for sure, name in others[: len(others) // UNSURE]}
    for unlike, name in trained[: len(trained) // UNSURE]:
        named[name] = (f"{LEARNED} {-100 * unlike:.3g} %: among the most",)
    return found | named


def _passing(reason: str) -> bool:
    return reason.startswith((CONFIDENCE, LEARNED)) or VERDICT in reason
