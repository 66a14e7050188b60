"""What became of the pixels of each class, by the masks: how much is found and painted, and what it is mixed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsss.report.masked import CONFUSION
from wsss.report.plots import read_table
from wsss.report.templates import percent


@dataclass(frozen=True)
class WrongPixels:
    """Of a class, in pixels: `true` in the masks, `painted` by the student, `right`: both. `false`: what the falsely
    painted ones are in the masks; `missed`: what those that were not found became; both by class.
    """

    true: int
    painted: int
    right: int
    false: Mapping[str, int]
    missed: Mapping[str, int]

    @property
    def precision(self) -> float | None:
        """Fraction of the painted pixels that are right."""
        return self.right / self.painted if self.painted else None

    @property
    def recall(self) -> float | None:
        """Fraction of the true pixels that are found."""
        return self.right / self.true if self.true else None

    @property
    def words(self) -> str:
        """Follows "The student": how much it paints and finds, and of the larger fault what it is mixed with most."""
        if not self.true or self.recall is None:
            return ""
        if not self.painted:
            return f"paints none of its pixels; {_most(self.missed)} of them became {_first(self.missed)}"
        times = self.painted / self.true
        text = f"paints {times:.{1 if times >= 1 else 2}f} times its area and finds {percent(self.recall, 0)} of it"
        if self.painted > self.true:
            return f"{text}; {_most(self.false)} of its false pixels are {_first(self.false)}"
        return f"{text}; {_most(self.missed)} of what it misses became {_first(self.missed)}" if self.missed else text


def wrong_pixels(reports: Path) -> dict[str, WrongPixels]:
    """By name, the classes in `CONFUSION` of the folder `reports`, which is of the last step; empty without it."""
    if not (reports / CONFUSION).exists():
        return {}
    table = read_table(reports / CONFUSION)
    pairs = list(zip(table.texts("actual"), table.texts("predicted"), strict=True))
    counts = dict(zip(pairs, map(int, table.texts("pixels")), strict=True))
    return {name: _of_class(name, counts) for name in dict.fromkeys(true for true, _ in pairs)}


def _of_class(name: str, counts: Mapping[tuple[str, str], int]) -> WrongPixels:
    painted = {true: count for (true, found), count in counts.items() if found == name and count}
    became = {found: count for (true, found), count in counts.items() if true == name and count}
    false = {true: count for true, count in painted.items() if true != name}
    missed = {found: count for found, count in became.items() if found != name}
    return WrongPixels(sum(became.values()), sum(painted.values()), painted.get(name, 0), false, missed)


def _first(pixels: Mapping[str, int]) -> str:
    return max(pixels, key=lambda name: pixels[name])


def _most(pixels: Mapping[str, int]) -> str:
    return percent(max(pixels.values()) / sum(pixels.values()), 0)
