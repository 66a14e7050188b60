"""How far student and labels agree on each class: a grade between doubtful and fine, and a short table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SURE = 0.5
"""Agreement below which a class is less sure: the limit below which a whole student is doubtful."""
TIMES = 2.0
"""A class is less sure, too, if the student paints so many times what its labels have, or its labels have so many times
what it paints.
"""
LISTED = 12
"""Most classes in the table."""
TABLE = (
    "Agreement by class, the worst first (IoU between student and labels, given the tags; no accuracy), and how much "
    "the student paints without tags, as a multiple of what its labels have:"
)


@dataclass(frozen=True)
class Agreed:
    """A class: IoU in [0, 1] of student and labels, the student held to the photos' tags; `times`: its share of the
    pixels that the student paints without them as a multiple of its labels', None where these have none. So a class of
    a good agreement may be painted in many photos that do not show it.
    """

    name: str
    agreement: float
    times: float | None

    @property
    def area(self) -> str:
        """``2.2 times``, or nothing."""
        if self.times is None:
            return ""
        return f"{self.times:.{1 if self.times >= 1 else 2}f} times"

    @property
    def uneven(self) -> bool:
        """Whether the student paints far more, or far less, than its labels have."""
        return self.times is not None and not 1 / TIMES < self.times < TIMES

    @property
    def words(self) -> str:
        """For a sentence: name and agreement, and the student's area if that is uneven."""
        much = f"; without tags the student paints {self.area} what its labels have" if self.uneven else ""
        return f"{self.name} (agreement {self.agreement:.2f}{much})"


def agreed_classes(rows: Sequence[Mapping[str, str]]) -> tuple[Agreed, ...]:
    """The classes of the table `agreement.csv` that student or labels show, the worst first."""
    found = []
    for row in rows:
        if row["agreement"]:
            labelled, predicted = float(row["labelled"]), float(row["predicted"])
            found.append(Agreed(row["class"], float(row["agreement"]), predicted / labelled if labelled else None))
    return tuple(sorted(found, key=lambda each: each.agreement))


def less_sure(agreed: Sequence[Agreed], known: Sequence[str]) -> list[Agreed]:
    """Classes that pass as agreed and are not sure. `known`: the background, and classes judged in another way."""
    return [each for each in agreed if each.name not in known and (each.agreement < SURE or each.uneven)]


def agreed_lines(agreed: Sequence[Agreed]) -> tuple[str, ...]:
    """The table for a terminal; nothing where nothing was compared."""
    if not agreed:
        return ()
    shown = agreed[:LISTED]
    width = max(len(each.name) for each in shown)
    lines = [f"  {each.name:{width}}  {each.agreement:.2f}  {each.area}".rstrip() for each in shown]
    return (TABLE, *lines, *((f"  {rest}",) if (rest := agreed_rest(agreed)) else ()))


def agreed_rest(agreed: Sequence[Agreed]) -> str:
    """What the table leaves out, or nothing."""
    more = len(agreed) - LISTED
    return f"{more} more, of better agreement: reports/agreement.csv" if more > 0 else ""
