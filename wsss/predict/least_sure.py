"""Photos that no rule of `look` names, and that the network is least sure of among those: these are named, too."""

from __future__ import annotations

from collections.abc import Iterable

from wsss.predict.look import CONFIDENCE, UNSURE
from wsss.predict.table import Row

VERDICT = " that the verdict calls "
"""In a reason of an earlier wsss, which named photos for their classes."""


def looks(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """The reasons to look at each of `rows`, by id, in which one of the lowest confidence among them is renewed.

    Of fewer than `UNSURE` photos none is named, and none that a person has edited.
    """
    listed = list(rows)
    found = {row.id: tuple(each for each in row.look if not _passing(each)) for row in listed}
    quiet = sorted((row.confidence, row.id) for row in listed if not found[row.id] and not row.edited)
    named = {name: (f"{CONFIDENCE} {sure:.2f}: among the lowest",) for sure, name in quiet[: len(quiet) // UNSURE]}
    return found | named


def _passing(reason: str) -> bool:
    return reason.startswith(CONFIDENCE) or VERDICT in reason
