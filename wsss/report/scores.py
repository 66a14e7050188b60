"""The table of scores, as `evaluate` wrote it: what was scored, how it was made, and how good it is."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import IntegrityError, UserError

SOURCE_COLUMNS = (
    *("source", "split", "images", "tags_used", "threshold", "multiscale", "crf", "collapsed"),
    *("miou", "miou_labelled", "boundary_miou", "coverage"),
)
"""Columns of `reports/sources.csv`; the last four are fractions in [0, 1] or empty."""


@dataclass(frozen=True)
class Source:
    """One row of the score table."""

    source: str
    split: str
    images: str
    tags_used: str
    threshold: str
    multiscale: str
    crf: str
    collapsed: str
    miou: float | None
    miou_labelled: float | None
    boundary_miou: float | None
    coverage: float | None


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read `reports/sources.csv`. Raises `UserError` if missing, `IntegrityError` if it is something else."""
    fix = "run the stage that writes it: dvc repro evaluate"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(path, "no such file", fix) from error
    except UnicodeDecodeError as error:
        raise IntegrityError(path, "is not UTF-8 text", fix) from error
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header, *rows = list(lines) or [[]]
        if tuple(header) != SOURCE_COLUMNS:
            raise ValueError(f"found columns {header}, expected {list(SOURCE_COLUMNS)}")
        return tuple(_source(row) for row in rows)
    except (ValueError, csv.Error) as error:
        raise IntegrityError(path, f"is not the table of scores ({error})", fix) from error


def best_row(sources: Sequence[Source], split: str, network: str) -> Source | None:
    """The best row of a network (student, oste) on `split`, None if it has none."""
    rows = [row for row in sources if row.split == split and row.source.partition(" ")[0] == network]
    return max(rows, key=lambda row: -1.0 if row.miou is None else row.miou, default=None)


def final_row(sources: Sequence[Source], split: str, network: str = "student") -> Source | None:
    """The last row of a network on `split`, None if it has none: how `wsss predict` reads it, unless told otherwise."""
    rows = [row for row in sources if row.split == split and row.source.partition(" ")[0] == network]
    return rows[-1] if rows else None


def cam_threshold(sources: Sequence[Source]) -> int | None:
    """Number of the fixed threshold, of a hundred, that CAMs were scored at; None where none was scored."""
    found = (re.fullmatch(r"fixed 0\.(\d\d)", row.threshold) for row in sources if row.source == "cam")
    return next((int(each.group(1)) for each in found if each), None)


def _source(row: Sequence[str]) -> Source:
    if len(row) != len(SOURCE_COLUMNS):
        raise ValueError(f"found a row of {len(row)} cells, expected {len(SOURCE_COLUMNS)}")
    source, split, images, tags_used, threshold, multiscale, crf, collapsed = row[:8]
    miou, labelled, boundary, coverage = (_fraction(cell) for cell in row[8:])
    made = tags_used, threshold, multiscale, crf, collapsed
    return Source(source, split, images, *made, miou, labelled, boundary, coverage)


def _fraction(text: str) -> float | None:
    if text == "" or text.lower() == "nan":
        return None
    value = float(text)
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError(f"found {text!r}, expected a fraction from 0 to 1, or nothing")
    return value
