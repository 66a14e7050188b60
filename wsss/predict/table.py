"""The table of `wsss predict`: a line for each photo, as text in `predictions.csv` and as values."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.data.index import TAG_SEPARATOR
from wsss.data.tables import csv_text, plain_rows
from wsss.predict.look import SEPARATOR

COLUMNS = ("id", "photo", "sha256", "height", "width", "confidence", "look", "tags", "edited", "split", "differs")
"""Columns before one for the area of each class, as a share of the photo's pixels. `photo`: the file's name, below the
folder that was given; `look`: see `predict.look`; `tags`: what is known of them, see `predict.made`; `edited`:
`BY_HAND` where the areas are those of a mask that a person has changed here, `CORRECTED` where the mask is one that a
person has corrected before; `split`: of photos of the project's own data set; `differs`:
fraction of its pixels in which the mask is not what the student learned from, if the photo has such a label."""
EDITED = COLUMNS.index("edited")
BY_HAND, CORRECTED = "by hand", "corrected by hand"
LATER = COLUMNS[EDITED:]
"""Columns that tables of earlier versions lack."""


@dataclass(frozen=True)
class Row:
    """A line of the table: mean `confidence` in [0, 1], of the network's own mask; `look`: why this mask should be
    looked at; `tags`: names, none where they are not known; `areas`: fractions of the photo by class, background first;
    `edited`: whose mask it is, if a person's: `BY_HAND` or `CORRECTED`; `split`, `differs`: see `COLUMNS`.
    """

    id: str
    confidence: float
    look: tuple[str, ...]
    tags: tuple[str, ...]
    areas: tuple[float, ...]
    edited: str = ""
    split: str = ""
    differs: float | None = None


def parse_row(cells: Sequence[str]) -> Row:
    """The values of a line. Raises `ValueError` for a cell that is no number."""
    named = dict(zip(COLUMNS, cells, strict=False))
    return Row(
        named["id"],
        float(named["confidence"]),
        _parts(named["look"], SEPARATOR),
        _parts(named["tags"], TAG_SEPARATOR),
        tuple(map(float, cells[len(COLUMNS) :])),
        named["edited"],
        named["split"],
        float(named["differs"]) if named["differs"] else None,
    )


def table_text(rows: Mapping[str, Sequence[str]], classes: Sequence[str]) -> str:
    """The file's content, sorted by id."""
    header = (*COLUMNS, *(f"area {name}" for name in classes))
    return csv_text(header, [row for _, row in sorted(rows.items())])


def read_rows(path: Path, classes: Sequence[str]) -> dict[str, list[str]]:
    """The lines of the file by id; of an earlier version, whose table lacks some of `LATER`, these are empty.

    Raises `ValueError` or `csv.Error` for a table of another kind.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        header, *rows = list(plain_rows(csv.reader(handle, strict=True)))
    if any(len(row) != len(header) for row in rows):
        raise ValueError("columns")
    for place, name in enumerate(LATER, start=EDITED):
        if header[place : place + 1] != [name]:
            header.insert(place, name)
            for row in rows:
                row.insert(place, "")
    if tuple(header[: len(COLUMNS)]) != COLUMNS or len(header) != len(COLUMNS) + len(classes):
        raise ValueError("columns or classes")
    return {row[0]: row for row in rows if row[0]}


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()
