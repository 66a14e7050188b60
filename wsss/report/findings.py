"""What the tables of a run and its scores tell of the student, before any word is made of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wsss.core.errors import IntegrityError, UserError
from wsss.data.companions import inseparable
from wsss.data.index import Index
from wsss.data.tables import plain
from wsss.report.agreed import Agreed, agreed_classes, less_sure
from wsss.report.class_table import MODEST, PER_CLASS, class_table, doubtful_below
from wsss.report.masked import masks_decide, mean_of_masked, unmasked_classes
from wsss.report.scores import Source, final_row

TABLES = ("train_tags.csv", "agreement.csv")
"""What is read, from the folder of reports."""
BAD = 0.2
"""mIoU on masks, where there are some, below which a student is not usable; below `MODEST` it is usable in part at
most. Chosen by hand.
"""
SHAKY = 0.3
"""Where no mask shows a class: agreement of student and labels below which it is doubtful, even if it passed as agreed.
Chosen by hand.
"""
USE, CHECK, AVOID = "use", "check", "do not use"
"""What the masks of a class are good for, in one word."""
THIN = 3
"""Held-out photos of a class below which what is said of it may be chance."""


@dataclass(frozen=True)
class Findings:
    """`tags`, `agreement`: rows of `TABLES`; `score`: the student's last row of scores on `split`, None without masks;
    `ious`: IoU on them and name of each class that has one, the weakest first; `unmasked`: classes in no mask; `lost`:
    the step that a class was lost at, by name. Masks that are too few to decide leave these three empty;
    `by_masks`: there are enough; `imported`: the student learned from labels that no stage made.
    """

    index: Index
    split: str
    tags: Sequence[Mapping[str, str]]
    agreement: Sequence[Mapping[str, str]]
    score: Source | None
    ious: Sequence[tuple[float, str]]
    unmasked: frozenset[str]
    lost: Mapping[str, str]
    by_masks: bool = False
    imported: bool = False

    @classmethod
    def read(
        cls,
        reports: Path,
        sources: Sequence[Source],
        index: Index,
        split: str,
        own: int = 0,
        imported: bool = False,
    ) -> Findings:
        """From the folder `reports`. `own`: how many masks of `split` are as wsss wrote them; `imported`: see above.
        Raises `UserError` if a table is missing, `IntegrityError` if it is damaged.
        """
        tags, agreement = (_rows(reports / name) for name in TABLES)
        last = final_row(sources, split)
        score = None if last is None or last.miou is None else last
        if score is None or not masks_decide(int(score.images), own):
            return cls(index, split, tags, agreement, score, (), frozenset(), {}, imported=imported)
        rows = _rows(reports / PER_CLASS)
        ious = sorted((float(row[score.source]), row["class"]) for row in rows if row.get(score.source))
        table = class_table(reports, imported=imported)
        lost = {row.name: row.lost for row in table.rows if row.lost} if table else {}
        return cls(index, split, tags, agreement, score, ious, unmasked_classes(reports), lost, True, imported)

    @property
    def told(self) -> dict[str, float]:
        """By class, the AP of the tags that the classifier was kept with, of classes that can be judged by it."""
        return {row["class"]: float(row["kept"]) for row in self.tags if row["kept"]}

    @property
    def unlearnt(self) -> list[str]:
        """Classes whose tags the classifier has not learnt."""
        return [row["class"] for row in self.tags if row["verdict"] == "not learnt"]

    @property
    def unjudged(self) -> list[str]:
        """Classes of no held-out photo."""
        return [row["class"] for row in self.tags if row["tagged"] == "0"]

    @property
    def thin(self) -> list[str]:
        """Classes of few held-out photos, each with their number."""
        return [f"{row['class']} ({row['tagged']})" for row in self.tags if 0 < int(row["tagged"]) < THIN]

    @property
    def overall(self) -> str:
        """How far the student agrees with the labels: fine, doubtful, poor, collapsed, or not measured."""
        return self.agreement[0]["student"] if self.agreement else "not measured"

    @property
    def agreed(self) -> tuple[Agreed, ...]:
        """The agreement by class, the worst first."""
        return agreed_classes(self.agreement)

    @property
    def seen(self) -> list[tuple[float, str]]:
        """Those of `ious` that masks show."""
        return [(iou, name) for iou, name in self.ious if name not in self.unmasked]

    @property
    def mean(self) -> float:
        """Mean IoU in [0, 1] of the classes that masks show; 1 where they do not decide, and condemn nothing."""
        if self.score is None or self.score.miou is None or not self.by_masks:
            return 1.0
        return mean_of_masked(self.ious, self.unmasked, self.score.miou)

    @property
    def low(self) -> list[tuple[str, float]]:
        """Classes that are doubtful by the masks, and their IoU, the lowest first."""
        return [(name, iou) for iou, name in self.seen if iou < doubtful_below(self.mean)]

    @property
    def disputed(self) -> list[str]:
        """Classes that are doubtful by agreement. Masks know better, of the classes that they show."""
        known = {*self.unlearnt, *(name for _, name in self.seen)}
        return [row["class"] for row in self.agreement if _is_disputed(row) and row["class"] not in known]

    @property
    def unsure(self) -> list[Agreed]:
        """Classes between doubtful and fine by agreement."""
        known = [self.index.classes[0], *self.unlearnt, *self.disputed, *(name for _, name in self.seen)]
        return less_sure(self.agreed, known)

    @cached_property
    def together(self) -> list[tuple[int, ...]]:
        """Groups of classes that tags can hardly tell apart."""
        return inseparable(self.index.split("train"), self.index.foreground)

    @property
    def hopeless(self) -> bool:
        """Whether the student is not usable."""
        unlearnt = bool(self.tags) and len(self.unlearnt) == len(self.tags)
        return self.overall in ("collapsed", "poor") or unlearnt or self.mean < BAD

    @property
    def doubtful(self) -> bool:
        """Whether it is usable in part at most."""
        wrong = len(self.seen) < len(self.ious)  # a class in no mask is predicted
        thin = self.thin and not self.by_masks
        any_bad = self.unlearnt or self.disputed or self.unsure or self.low or wrong or self.unjudged or thin
        return bool(any_bad) or self.overall != "fine" or not self.told or self.mean < MODEST

    @property
    def longer(self) -> bool:
        """Whether a longer training may help: something is doubtful that tags can teach. Where classes always come
        together it has made masks worse (docs/experiments.md#any-photos-the-zoo).
        """
        if self.together or not self.told:
            return False
        known = {*self.unlearnt, *self.index.classes[:1]}
        doubtful = {*self.disputed, *(each.name for each in self.unsure), *(name for name, _ in self.low)}
        whole = self.overall in ("collapsed", "poor", "doubtful") or self.mean < MODEST
        return bool(doubtful - known) or (whole and not self.unlearnt)

    @property
    def weak(self) -> tuple[str, ...]:
        """Classes that are not learnt or doubtful, the worst first: it is the one that is proposed to be left out. The
        background cannot be.
        """
        agreement = {row["class"]: float(row["agreement"] or 0) for row in self.agreement}
        shaky = sorted(self.disputed, key=lambda name: agreement[name])
        names = (*self.unlearnt, *(name for name, _ in self.low), *shaky)
        return tuple(name for name in dict.fromkeys(names) if name != self.index.classes[0])

    @property
    def sorted_out(self) -> dict[str, list[str]]:
        """Every class by what its masks are good for: a key is missing where no class is of its kind. Only checked are
        those that something speaks against, or nothing speaks for, and all where so is the student as a whole.
        """
        seen = {name for _, name in self.seen}
        whole = self.overall == "doubtful" or not (self.by_masks or (self.overall == "fine" and self.told))
        thin = {row["class"] for row in self.tags if 0 < int(row["tagged"]) < THIN and not self.by_masks}
        sound = {each.name for each in self.agreed} - {*self.unjudged, *thin, *(each.name for each in self.unsure)}
        sound -= {name for _, name in self.ious}  # one in no mask is predicted, and counts as wrong
        found: dict[str, list[str]] = {word: [] for word in (USE, CHECK, AVOID)}
        for name in sorted({row["class"] for row in (*self.tags, *self.agreement)} - {self.index.classes[0]}):
            good = name in seen or name in sound
            found[AVOID if name in self.weak else USE if good and not whole else CHECK].append(name)
        return {word: names for word, names in found.items() if names}


def _is_disputed(row: Mapping[str, str]) -> bool:
    return row["verdict"] == "disputed" or (row["verdict"] == "agreed" and float(row["agreement"] or 1.0) < SHAKY)


def _rows(path: Path) -> list[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Mapping[str, str]] = list(csv.DictReader(file))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row has another number of cells than the header")
        rows = [{name: plain(cell) for name, cell in row.items()} for row in rows]
    except FileNotFoundError as error:
        raise UserError(path, "no such file", "run the stages before: dvc repro") from error
    except (OSError, ValueError, csv.Error) as error:
        raise IntegrityError(path, f"cannot be read ({error})", "make it again: dvc repro") from error
    return rows
