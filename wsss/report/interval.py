"""How sure the headline score is: an interval by drawing the scored photos again, noted beside the gallery's page."""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from wsss.data.size import fit_label
from wsss.data.tables import csv_text
from wsss.report.bootstrap import mean_interval
from wsss.report.cards import Results
from wsss.report.ranking import class_overlaps
from wsss.report.scores import Source

FILE = "interval.csv"
COLUMNS = ("source", "split", "images", "miou", "low", "high")
FIELDS = {"student": "single", "student ms+flip": "multiscale", "student ms+flip+crf": "label"}
"""The array of a prediction that a row of scores is of."""
EXACT = 0.0001
"""The table of scores has four digits: one that differs by more is not of these predictions."""


@dataclass(frozen=True)
class Interval:
    """`low` to `high`: where 95 per cent of the mIoUs of photos lie that are drawn from these, all in [0, 1]; it is of
    one row of scores, with the mIoU `miou`.
    """

    source: str
    split: str
    images: str
    miou: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """Short, for beside the score. Photos vary in it, trainings do not."""
        return f"95 % interval {100 * self.low:.1f} to {100 * self.high:.1f} %, one seed"

    @property
    def words(self) -> str:
        """The same with what it means."""
        drawn = f"from drawing these {self.images} photos again and again"
        return f"{self.text} (the interval is {drawn}; how another training would do is not in it)"

    @property
    def csv(self) -> str:
        """As it is noted."""
        return csv_text(COLUMNS, [(*astuple(self)[:3], f"{self.miou:.4f}", f"{self.low:.4f}", f"{self.high:.4f}")])


def score_interval(results: Results, scored: Source | None) -> Interval | None:
    """Of the row `scored`, a student's, by its predictions and the masks of all photos of its split; None where it is
    of other photos or predictions than are there, or of too few. Raises as the stores and masks that are read.
    """
    if scored is None or scored.miou is None or scored.source not in FIELDS:
        return None
    store, field = results.predictions, FIELDS[scored.source]
    overlaps = []
    for record in results.index.split(scored.split):
        if record.mask is None or record.id not in store or field not in ("label", *store.versions(record.id)):
            continue
        mask = results.masked.mask(record)
        if mask is not None:
            label = fit_label(store.label(record.id, field), mask.shape)
            overlaps.append(class_overlaps(label, mask, len(results.index.classes)))
    if str(len(overlaps)) != scored.images:
        return None
    table = np.stack(overlaps)
    hits, union = table.sum(0)
    found = mean_interval(table)
    if found is None or abs(float((hits[union > 0] / union[union > 0]).mean()) - scored.miou) > EXACT:
        return None
    low, high = (round(each, 4) for each in found)
    return Interval(scored.source, scored.split, scored.images, scored.miou, low, high)


def read_interval(gallery: Path, scored: Source | None) -> Interval | None:
    """The one noted in the folder `gallery`, if it is of the row `scored`; None else, and where it cannot be read."""
    with suppress(OSError, ValueError, csv.Error):
        header, row = csv.reader((gallery / FILE).read_text(encoding="utf-8").splitlines())
        if tuple(header) == COLUMNS and scored is not None and scored.miou is not None:
            source, split, images, *numbers = row
            miou, low, high = map(float, numbers)
            found = Interval(source, split, images, miou, low, high)
            same = (found.source, found.split, found.images) == (scored.source, scored.split, scored.images)
            return found if same and abs(found.miou - scored.miou) < EXACT else None
    return None
