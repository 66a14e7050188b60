"""What is known of every photo, the worst first: the gallery's order, and the rows of `reports/photos.csv`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.index import TAG_SEPARATOR, Index, Record
from wsss.data.tables import csv_text
from wsss.report.cards import PSEUDO, Results
from wsss.report.measures import Measured, measure

T = TypeVar("T")
R = TypeVar("R")

COLUMNS = (
    *("id", "split", "tags", "rank", "ranked_by", "iou", "iou_before_crf", "cam_iou", "label_iou", "relabelled_iou"),
    "disagreement",
    *("coverage", "relabelled_coverage", "judged", "confidence", "missing", "label_missing", "relabelled_missing"),
    *("untagged", "specks", "largest", "largest_fraction"),
)
IOU, DISAGREEMENT, COVERAGE, MISSING = "IoU", "disagreement", "coverage", "missing"
"""What photos are ranked by; a split's own measure is one of the first three, the best reason first."""
MEASURES: tuple[tuple[str, Callable[[Measured], float | None]], ...] = (
    (IOU, lambda found: found.judged.iou),
    (DISAGREEMENT, lambda found: found.disagreement),
    (COVERAGE, lambda found: found.pseudo.coverage),
)


@dataclass(frozen=True)
class Ranking:
    """The photos of one split: `ranked` by a `measure`, the worst first, with its values; `others` without it, in the
    order in which photos without a mask are looked at; `unranked`, of which nothing is known, by id.

    `measure`: a name of `MEASURES`, empty if no photo has any; `judged`: ``prediction``, ``pseudo-label`` or nothing.
    """

    split: str
    measure: str
    judged: str
    ranked: tuple[tuple[float, Record], ...]
    others: tuple[Record, ...]
    unranked: tuple[Record, ...]
    measured: Mapping[str, Measured]

    @property
    def order(self) -> tuple[Record, ...]:
        """All photos that have a rank, 1 first."""
        return *(record for _, record in self.ranked), *self.others

    def reason(self, record: Record) -> str:
        """What the photo has its rank by, as `photos.csv` says it; empty without a rank."""
        found = self.measured[record.id]
        if self.measure == IOU and found.judged.iou is not None:
            return "iou"
        if self.judged == PSEUDO and found.pseudo.missing:
            return MISSING
        return next((name for name, value in MEASURES[1:] if value(found) is not None), "")


def rank_photos(results: Results, split: str) -> Ranking:
    """Measure all photos of a split and rank them by the first of `MEASURES` that any of them has.

    A split is judged by its predictions, or by its pseudo-labels where it has no predictions at all. In the latter
    photos of which a tag has hardly a pixel come before all others without a mask: nothing shows a bad label as well.
    """
    records = results.index.split(split)
    judges = results.judges.items()
    judged = next((name for name, store in judges if any(record.id in store for record in records)), "")
    judge = results.judges.get(judged)
    found = each(f"gallery: score {split}", records, lambda record: measure(results, judge, record))
    if not any(one.disagreement for one in found):
        # Labels that were only filled contradict nothing: 0 of every photo would look as if they were all right.
        found = [replace(one, disagreement=None) for one in found]
    measured = {record.id: one for record, one in zip(records, found, strict=True)}

    def unmasked(record: Record) -> tuple[bool, float, float, str]:
        one = measured[record.id]
        whole = not (judged == PSEUDO and one.pseudo.missing)
        # What has no number comes after all that have one.
        disputed = 1.0 if one.disagreement is None else -one.disagreement
        return whole, disputed, 2.0 if one.pseudo.coverage is None else one.pseudo.coverage, record.id

    known = sorted((record for record in records if _known(measured[record.id])), key=unmasked)
    unranked = tuple(record for record in records if not _known(measured[record.id]))
    for name, value in MEASURES:
        values = [(number, record) for record in known if (number := value(measured[record.id])) is not None]
        if values:
            if name == IOU:
                values.sort(key=lambda pair: (pair[0], pair[1].id))
            ids = {record.id for _, record in values}
            others = tuple(record for record in known if record.id not in ids)
            return Ranking(split, name, judged, tuple(values), others, unranked, measured)
    return Ranking(split, "", judged, (), (), records, measured)


def _known(found: Measured) -> bool:
    return any(value(found) is not None for _, value in MEASURES)


def photos_csv(index: Index, rankings: Sequence[Ranking]) -> str:
    """One row for every photo, split by split, in the order of its ranking; fractions have four digits."""
    rows: list[Sequence[object]] = []
    for ranking in rankings:
        for place, record in enumerate((*ranking.order, *ranking.unranked)):
            found = ranking.measured[record.id]
            judged, pseudo, relabelled = found.judged, found.pseudo, found.relabelled
            untagged = TAG_SEPARATOR.join(
                f"{index.classes[number]} {100 * area:.1f}%" for number, area in found.untagged
            )
            rows.append(
                (
                    *(record.id, record.split, _names(index, record.tags)),
                    place + 1 if place < len(ranking.order) else "",
                    ranking.reason(record),
                    *map(_cell, (judged.iou, found.before_crf, found.cam, pseudo.iou, relabelled.iou)),
                    _cell(found.disagreement),
                    *map(_cell, (pseudo.coverage, relabelled.coverage)),
                    "" if found.largest is None else ranking.judged,
                    _cell(found.confidence),
                    *(_names(index, label.missing) for label in (judged, pseudo, relabelled)),
                    *(untagged, _names(index, found.specks)),
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
