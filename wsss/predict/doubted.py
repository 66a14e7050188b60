"""Classes that a verdict doubts: photos that show them are to be looked at, unless most photos do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wsss.formats.problems import some
from wsss.predict.look import DOUBT, SHOWS, VERDICT
from wsss.predict.table import Row

MOST = 0.5
"""Photos that are named for doubted classes alone are at most this fraction: to name more would name all of them."""

LISTED = 20
"""Classes that a line names; the rest are counted."""


@dataclass(frozen=True)
class Doubted:
    """What a verdict calls the classes that it doubts, by their names, the worst first; `source`: the folder of its
    reports; `everywhere`: those of them that so many photos show that no photo is named for them; `by_area`: those
    doubted for nothing but the area that the student paints without tags, which is no doubt where tags are heeded.
    """

    words: Mapping[str, str]
    source: str
    everywhere: tuple[str, ...] = ()
    by_area: frozenset[str] = frozenset()

    def concerns(self, row: Row, name: str, classes: Sequence[str]) -> bool:
        """Whether the photo of `row` shows the class `name`, and its tags do not answer the doubt."""
        return row.areas[classes.index(name)] >= SHOWS and not (name in self.by_area and name in row.tags)

    @property
    def text(self) -> str:
        """For a terminal or a page: ``classes that the verdict (reports) calls doubtful: cow, hat; less sure: bird``"""
        words = dict.fromkeys(self.words.values())
        called = (f"{word}: {some((k for k, v in self.words.items() if v == word), LISTED)}" for word in words)
        many = f"; not named photo by photo, as too many show it: {some(self.everywhere, LISTED)}"
        return f"classes that the verdict ({self.source}) calls {'; '.join(called)}{many if self.everywhere else ''}"


def spread(doubted: Doubted, rows: Sequence[Row], classes: Sequence[str]) -> Doubted:
    """The same, with the classes that are `everywhere` in `rows`: those of the fewest photos are named first, as long
    as the photos are at most `MOST`.
    """
    shown = {name: {row.id for row in rows if doubted.concerns(row, name, classes)} for name in doubted.words}
    named: set[str] = set()
    everywhere = []
    for name in sorted(shown, key=lambda each: len(shown[each])):
        if len(named | shown[name]) > MOST * len(rows):
            everywhere.append(name)
        else:
            named |= shown[name]
    return replace(doubted, everywhere=tuple(everywhere))


def with_doubts(row: Row, doubted: Doubted | None, classes: Sequence[str]) -> tuple[str, ...]:
    """The reasons to look at the mask of `row`, those of an earlier verdict replaced. None to look at an edited one."""
    others = tuple(reason for reason in row.look if VERDICT not in reason)
    if doubted is None or row.edited:
        return others
    named = [name for name in doubted.words if name not in doubted.everywhere]
    shown = [name for name in named if doubted.concerns(row, name, classes)]
    return *others, *(f"{DOUBT}{name}{VERDICT}{doubted.words[name]}" for name in shown)
