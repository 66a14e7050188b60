"""The rows of a comparison's tables: a value of each run and the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from wsss.data.index import Record
from wsss.evaluation.confusion import scores, share
from wsss.numeric.precision import mean_known
from wsss.report.bootstrap import difference_intervals


@dataclass(frozen=True)
class Row:
    """One line of a table: the value of each run in [0, 1], None where it has none."""

    name: str
    a: float | None
    b: float | None

    @property
    def delta(self) -> float | None:
        """B − A; None if one of them is missing."""
        return None if self.a is None or self.b is None else self.b - self.a


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Score(Row):
    """mIoU of one source over the photos of one split that each run had; their numbers by run."""

    split: str
    photos: tuple[int | None, int | None]


@dataclass(frozen=True)
class LabelScore(Row):
    """One measure, `name`, of a source of one split that leaves pixels ignored: coverage, or mIoU without these."""

    source: str
    split: str

    @property
    def title(self) -> str:
        """Source and measure."""
        return f"{self.source}, {self.name}"


LABELLED, COVERAGE = "labelled pixels only", "coverage"
"""Measures of a `LabelScore`."""


@dataclass(frozen=True)
class Pooled(Row):
    """IoU over the pixels of all compared photos; `interval`: of `delta` under a bootstrap of the photos, if known."""

    interval: tuple[float, float] | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


@dataclass(frozen=True)
class Photo(Row):
    """A photo's mean IoU in each run, and the share of its pixels whose label differs."""

    record: Record
    changed: float


def pooled(names: Sequence[str], overlaps: Sequence[np.ndarray]) -> tuple[Pooled | None, tuple[Pooled, ...]]:
    """The mean over the classes, then those that occur, the most improved first; None and nothing without masks.

    `overlaps`: (2, 2, C) int64 of each photo that has one, as for `difference_intervals`.
    """
    if not overlaps:
        return None, ()
    table = np.stack(overlaps)
    ious = [share(*total) for total in table.sum(0)]
    a, b = ([_known(mean_known(each)), *map(_known, each)] for each in ious)
    intervals = [None if np.isnan(low) else (low, high) for low, high in difference_intervals(table).tolist()]
    mean, *rows = (Pooled(*row) for row in zip(("mIoU", *names), a, b, intervals, strict=True))
    classes = [row for row in rows if (row.a, row.b) != (None, None)]
    return mean, tuple(sorted(classes, key=lambda row: (row.delta is None, -(row.delta or 0))))


def counted(
    own: Sequence[Score], labels: Sequence[LabelScore], key: tuple[str, str], found: Sequence[Row], photos: int
) -> tuple[list[Score], list[LabelScore]]:
    """The rows of source and split `key` with what was counted in the compared maps, for a run that has no scores.

    `found`: the mean over the classes, and what `of_labels` gives; `photos`: how many these numbers are of.
    """
    mean, *rest = found
    by_name = {row.name: row for row in rest}
    scores, measures = [], []
    for score in own:
        if (score.name, score.split) == key:
            first, second = (photos if number is None else number for number in score.photos)
            score = replace(_filled(score, mean), photos=(first, second))
        scores.append(score)
    for each in labels:
        here = (each.source, each.split) == key and each.name in by_name
        measures.append(_filled(each, by_name[each.name]) if here else each)
    return scores, measures


def _filled(row: R, here: Row) -> R:
    return replace(row, a=here.a if row.a is None else row.a, b=here.b if row.b is None else row.b)


def of_labels(counts: np.ndarray) -> tuple[Row, ...]:
    """What 255 in a label map hides: mIoU of labelled pixels only, and coverage; nothing where none is ignored.

    `counts`: (2, C, C + 1) int64 of A and of B, as in `Confusion`.
    """
    if not counts[..., -1].any():
        return ()
    a, b = (scores(each) for each in counts)
    return (
        Row(LABELLED, _known(a.miou_labelled), _known(b.miou_labelled)),
        Row(COVERAGE, _known(a.coverage), _known(b.coverage)),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
