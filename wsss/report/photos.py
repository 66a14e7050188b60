"""What is known of every photo, the worst first: the gallery's order, and the rows of `reports/photos.csv`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.index import IGNORE, TAG_SEPARATOR, Index, Record
from wsss.data.tables import csv_text
from wsss.report.cards import Results
from wsss.report.ranking import TRACE, coverage, mean_iou, specks
from wsss.stores.labels import LabelStore

T = TypeVar("T")
R = TypeVar("R")

COLUMNS = (
    *("id", "split", "tags", "rank", "iou", "disagreement", "coverage"),
    *("judged", "confidence", "missing", "specks", "largest", "largest_fraction"),
)
MEASURES = (("IoU", "iou", 1), ("disagreement", "disagreement", -1), ("coverage", "coverage", 1))
"""What a split is ranked by, the best reason first: its name, the field of `Measured`, 1 if low is bad."""


@dataclass(frozen=True)
class Measured:
    """Numbers of one photo, in [0, 1], None where there is nothing to measure.

    `disagreement`: see `Results.disagreement`; `coverage` is that of the pseudo-label. The others are of the label that
    its split is judged by: mean `iou` of the classes, where there is a mask; mean `confidence` of labelled pixels;
    tagged classes that are `missing` (less than `TRACE` of the photo); `specks`; the `largest` class, and its
    `fraction` of the photo.
    """

    iou: float | None = None
    disagreement: float | None = None
    coverage: float | None = None
    confidence: float | None = None
    missing: tuple[int, ...] = ()
    specks: tuple[int, ...] = ()
    largest: int | None = None
    fraction: float | None = None


@dataclass(frozen=True)
class Ranking:
    """The photos of one split: `ranked` by a `measure`, the worst first, with its values; the others by id.

    `measure`: a name of `MEASURES`, empty if no photo has any; `judged`: ``prediction``, ``pseudo-label`` or nothing.
    """

    split: str
    measure: str
    judged: str
    ranked: tuple[tuple[float, Record], ...]
    unranked: tuple[Record, ...]
    measured: Mapping[str, Measured]


def rank_photos(results: Results, split: str) -> Ranking:
    """Measure all photos of a split and rank them by the first of `MEASURES` that any of them has; disagreement has to
    be more than 0 somewhere.

    A split is judged by its predictions, or by its pseudo-labels where it has no predictions at all.
    """
    records = results.index.split(split)
    judges = results.judges.items()
    judged = next((name for name, store in judges if any(record.id in store for record in records)), "")
    judge = results.judges.get(judged)
    found = each(f"gallery: score {split}", records, lambda record: measure(results, judge, record))
    measured = {record.id: one for record, one in zip(records, found, strict=True)}
    for name, field, sign in MEASURES:
        values = [(getattr(measured[record.id], field), record) for record in records]
        ranked = [(value, record) for value, record in values if value is not None]
        # Labels that were only filled contradict nothing, and no photo would be worse than another.
        if ranked and (name != "disagreement" or any(value for value, _ in ranked)):
            ranked.sort(key=lambda pair: (sign * pair[0], pair[1].id))
            unranked = tuple(record for value, record in values if value is None)
            return Ranking(split, name, judged, tuple(ranked), unranked, measured)
    return Ranking(split, "", judged, (), records, measured)


def measure(results: Results, judge: LabelStore | None, record: Record) -> Measured:
    """Everything that is counted in the labels of one photo; `judge` is the store that its split is judged by."""
    prediction, pseudo = (results.label(store, record) for store in (results.predictions, results.pseudo))
    disputed = results.disagreement(record, prediction, pseudo)
    covered = None if pseudo is None else coverage(pseudo)
    label = prediction if judge is results.predictions else pseudo
    if judge is None or label is None:
        return Measured(disagreement=disputed, coverage=covered)
    mask = results.masked.mask(record)
    ious = results.ious(label, mask)
    counts = np.bincount(label.ravel(), minlength=256)[:IGNORE]
    largest = int(counts.argmax()) if counts.any() else None
    return Measured(
        None if ious is None else mean_iou(ious),
        disputed,
        covered,
        float(judge.confidence(record.id)[label != IGNORE].mean(dtype=np.float64)) if counts.any() else None,
        tuple(tag for tag in record.tags if counts[tag] < TRACE * label.size),
        tuple(specks(label, mask, record.tags)),
        largest,
        None if largest is None else float(counts[largest] / label.size),
    )


def photos_csv(index: Index, rankings: Sequence[Ranking]) -> str:
    """One row for every photo, split by split, in the order of its ranking; fractions have four digits."""
    rows: list[Sequence[object]] = []
    for ranking in rankings:
        order = [record for _, record in ranking.ranked] + list(ranking.unranked)
        for place, record in enumerate(order):
            found = ranking.measured[record.id]
            rows.append(
                (
                    *(record.id, record.split, _names(index, record.tags)),
                    place + 1 if place < len(ranking.ranked) else "",
                    *map(_cell, (found.iou, found.disagreement, found.coverage)),
                    "" if found.largest is None else ranking.judged,
                    _cell(found.confidence),
                    *(_names(index, found.missing), _names(index, found.specks)),
                    "" if found.largest is None else index.classes[found.largest],
                    _cell(found.fraction),
                )
            )
    return csv_text(COLUMNS, rows)


def each(label: str, things: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """`work(thing)` for all, with a progress bar, ending early if a signal asks for it."""
    done = []
    with Progress(label, len(things), "photos") as progress:
        for thing in things:
            check_stop()
            done.append(work(thing))
            progress.advance()
    return done


def _names(index: Index, numbers: Sequence[int]) -> str:
    return TAG_SEPARATOR.join(index.classes[number] for number in numbers)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
