"""Errors a person can act on: what was expected, what came, which file, and the one thing to do.

Every error carries `where` (a file, optionally with a line, or a parameter), `what`, and `fix`; `core.stage`
prints them as ``error: <where>: <what>`` / ``fix: <fix>`` and leaves with the exit code of the error's class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

LONGEST_WORD = 100
"""Letters of a word that may be a slip."""


class WsssError(Exception):
    """A failure with a place, a reason and a remedy. Exit code 1 means a bug in wsss."""

    exit_code = 1

    def __init__(self, where: str | Path, what: str, fix: str) -> None:
        super().__init__(str(where), what, fix)
        self.where, self.what, self.fix = str(where), what, fix

    def __str__(self) -> str:
        return f"error: {self.where}: {self.what}\nfix: {self.fix}"


class UserError(WsssError):
    """Input, settings or files given by the user are wrong."""

    exit_code = 2


class EnvError(WsssError):
    """The machine cannot do it: a package, disk space, memory or permission is missing."""

    exit_code = 3


class IntegrityError(WsssError):
    """An artifact is damaged, or was made by something else than what reads it."""

    exit_code = 4


class InterruptedStage(WsssError):  # noqa: N818 -- it is no error
    """Stopped by a signal (`where`); finished work is kept and the next run continues from it."""

    exit_code = 75

    def __str__(self) -> str:
        return f"stopped ({self.where}): {self.what}; {self.fix}"


class ErrorList(WsssError):  # noqa: N818 -- many of them
    """Several errors found in one pass, so that a user mends them all at once."""

    def __init__(self, errors: Sequence[WsssError]) -> None:
        first = errors[0]
        super().__init__(first.where, first.what, first.fix)
        self.errors = tuple(errors)
        self.args = (self.errors,)  # what pickle hands to __init__ when a worker raised it
        self.exit_code = first.exit_code

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def raise_all(errors: Sequence[WsssError]) -> None:
    """Raise nothing, the one error, or all of them together."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ErrorList(errors)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'bottle'?)`` or the empty string, also for a word longer than any name that is meant."""
    if len(word) > LONGEST_WORD:  # the time of a comparison grows with the square of it
        return ""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def which_id(word: str, ids: Iterable[str]) -> str:
    """The same for the id of a photo. Ids are numbered, and nearly all are alike: one is meant that is a single edit
    away, or that is the same but for folders and the ending of a file.
    """
    wanted = word.casefold()
    known = {one.casefold(): one for one in ids}
    last = wanted.rpartition("/")[2]
    ends = (f"/{last}", f"/{last.rpartition('.')[0] or last}")
    meant = next((one for one in known if f"/{one}".endswith(ends)), "")
    meant = wanted if wanted in known else meant or next((one for one in known if _one_edit(wanted, one)), "")
    return f" (did you mean {known[meant]!r}?)" if meant else ""


def _one_edit(a: str, b: str) -> bool:
    """Whether a letter that is other, lacks, is too many, or has changed places makes `b` of `a`."""
    if abs(len(a) - len(b)) > 1:
        return False
    at = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest, other = a[at:], b[at:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == other[1:] or rest[1:] == other or rest == other[1:] or swapped == other
