"""What is told of a data set: findings, and long lists as a few names, or errors of each kind, and a count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wsss.core.errors import LONGEST_WORD, WsssError

ALL = "see all with: wsss check --json"
MOST_SHOWN = 5
"""Names, or errors of one kind, that a message lists; more would hide what it says."""

HINTS = 100
"""Problems up to which the class is looked for that may be meant: thousands of unknown tags belong to another list of
classes, and to compare them all takes minutes."""


def shortened_name(name: str) -> str:
    """A name in quotation marks, cut where it is longer than any name."""
    return repr(name if len(name) <= LONGEST_WORD else f"{name[:LONGEST_WORD]}…")


@dataclass(frozen=True)
class Finding:
    """A fact that does not stop the work but limits its result, and what one can do."""

    what: str
    fix: str


def some(names: Iterable[str], most: int = MOST_SHOWN) -> str:
    """``a, b, c, d, e and 300 more``."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def shortened(errors: Sequence[WsssError], most: int, see: str) -> list[WsssError]:
    """The first `most` errors of each kind, and after them one that counts the rest, if they are more than one: that is
    shown instead. `see`: how to see them all.

    Two errors are of one kind if they differ only in names, numbers and what stands in brackets.
    """
    kinds: dict[str, list[WsssError]] = {}
    for error in errors:
        kinds.setdefault(re.sub(r"'[^']*'|\([^()]*\)|\d+", "…", error.what), []).append(error)
    last = {id(found[most - 1]): found for found in kinds.values() if len(found) > most + 1}
    wanted = {id(error) for found in kinds.values() for error in found[: most if len(found) > most + 1 else most + 1]}
    shown: list[WsssError] = []
    for error in errors:
        if id(error) in wanted:
            shown.append(error)
        if id(error) in last:
            found = last[id(error)]
            what = f"{len(found) - most} more errors like this one"
            shown.append(type(error)(re.sub(r":\d+$", "", error.where), what, see))
    return shown
