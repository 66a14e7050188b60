"""What a file in `reports` is for, and what stands in it: tables, scores and pages, for `wsss inspect`."""

from __future__ import annotations

import csv
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from wsss.core.errors import IntegrityError, UserError
from wsss.core.words import counted
from wsss.data.tables import plain_rows
from wsss.stores.opened import known_id

KINDS, PICTURES = (".csv", ".json", ".html"), (".png", ".jpg")
REMEDY = "make it again: dvc repro"
MEANT = {
    "backbone.pt": "the classifier of tags",
    "distilled.pt": "the student as it was trained",
    "epochs": "the student's masks of four training photos after each epoch",
    "oste.pt": "the network that CAMs are read from",
    "student.pt": "the student, with the way it was evaluated; wsss predict takes it",
    "agreement.csv": "how far the student agrees with the labels of val photos, by class",
    "classes.csv": "scores of each class in each step",
    "classification.csv": "average precision of the tags, by class",
    "confusion.csv": "which class the pixels of each class became",
    "distill.csv": "the student's training, by epoch",
    "interval.csv": "how sure the score of the student is",
    "made.json": "who made the outputs of each stage: commit, time, processor, and whether masks were closed",
    "masks.csv": "checksums of the masks, which scoring alone reads",
    "metrics.json": "the scores for dvc metrics, as fractions",
    "mixture_histograms.csv": "scores of CAMs that the mixtures saw",
    "mixtures.csv": "the mixture of each CAM, and what each rule changed",
    "per_class.csv": "IoU of each class after each step",
    "photos.csv": "every photo, the worst first",
    "predictions.csv": "what wsss predict found in each photo",
    "pretrain.csv": "the classifier's training, by epoch",
    "pretrain_tags.csv": "how well the classifier learns each tag",
    "sources.csv": "scores of each step: CAMs, labels, predictions",
    "thresholds.csv": "mIoU of CAMs by threshold",
    "train.csv": "OSTE's training, by epoch",
    "train_tags.csv": "how well OSTE learns each tag",
    "ways.csv": "which scales and CRF suit the student, by the tags of val photos",
    "wsss compare": "two runs, and the photos in which they differ",
    "wsss gallery": "the verdict, scores, and photos with CAM, pseudo-label, prediction and mask side by side",
    "wsss predict": "overlays beside their photos, the doubtful first",
}
"""By name, or by title of a page, what the files are for; the columns of tables: docs/artifacts.md."""
ROWS, WIDEST = 20, 24
"""Rows of a table that are shown, and letters of a cell."""
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """A heading and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self, room: int) -> list[str]:
        """The first `ROWS` rows below the heading, in columns; numbers are on the right. `room`: letters of a line.

        Last lines name the columns that do not fit, and count the other rows.
        """
        shown = [tuple(map(_short, row)) for row in (self.columns, *self.rows[:ROWS])]
        columns = list(zip(*shown, strict=True))
        widths = [max(map(cell_len, cells)) for cells in columns]
        right = [all(map(_is_number, cells[1:])) for cells in columns]
        fit = max(1, sum(sum(widths[:end]) + 2 * (end - 1) <= room for end in range(1, len(widths) + 1)))
        found = ["  ".join(map(_padded, row[:fit], widths[:fit], right[:fit])).rstrip() for row in shown]
        if more := self.columns[fit:]:
            found.append(f"… and {counted(len(more), 'more column')}: {', '.join(more)}")
        if (rest := len(self.rows) - ROWS) > 0:
            found.append(f"… and {counted(rest, 'more row')}")
        return found


def report_summary(path: Path, name: str | None) -> dict[str, Any]:
    """The file `path`, one of `KINDS`; with `name`, the row of this photo. Raises `UserError` if it has none,
    `IntegrityError` for a file that cannot be read.
    """
    if path.suffix == ".csv":
        table = read_table(path)
        if name is not None:
            return _row(path, table, name)
        return {**_meaning("table", path.name), "rows": len(table.rows), "table": table}
    if name is not None:
        raise UserError(path, "has no photos by id", "leave the ID away")
    if path.suffix == ".html":
        title = TITLE.search(_text(path))
        named = "" if title is None else html.unescape(title[1]).strip()
        about = {"title": named} if named else {}
        how = {"bytes": path.stat().st_size, "to look at it": f"open {path} in a browser"}
        return {**_meaning("page", named), **about, **how}
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(path, f"no JSON ({error})", REMEDY) from error
    return {**_meaning("values", path.name), "content": content}


def in_a_line(path: Path) -> str:
    """What `path` is, for the list of a folder: one of `KINDS`, or a folder of pictures; empty for anything else."""
    if path.is_dir() and (path / "index.html").is_file():
        return f"page: open {path / 'index.html'} in a browser"
    if path.is_dir():
        pictures = sum(file.suffix in PICTURES for file in path.iterdir())
        return counted(pictures, "picture") if pictures else ""
    if path.suffix not in KINDS or (path.suffix == ".json" and path.name not in MEANT):  # others may be of any size
        return ""
    summary = report_summary(path, None)
    about = f": {found}" if (found := summary.get("for") or summary.get("title")) else ""
    rows = f" of {len(summary['table'].rows)} rows" if "table" in summary else ""
    return f"{summary['what']}{rows}{about}"


def meaning(name: str) -> str:
    """What a file or folder of this name is for, behind a colon; nothing for any other."""
    return f": {MEANT[name]}" if name in MEANT else ""


def read_table(path: Path) -> Table:
    """A table as wsss writes it. Raises `IntegrityError` for anything else."""
    try:
        rows = list(map(tuple, plain_rows(csv.reader(_text(path).splitlines(keepends=True), strict=True))))
    except csv.Error as error:
        raise IntegrityError(path, f"not a table ({error})", REMEDY) from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise IntegrityError(path, "not a table: its rows have different numbers of cells, or it is empty", REMEDY)
    return Table(rows[0], tuple(rows[1:]))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(path, f"cannot be read as UTF-8 text ({error})", REMEDY) from error


def _meaning(what: str, name: str) -> dict[str, Any]:
    return {"what": what} | ({"for": MEANT[name]} if name in MEANT else {})


def _row(path: Path, table: Table, name: str) -> dict[str, Any]:
    if "id" not in table.columns:
        raise UserError(path, f"has no column id (found {', '.join(table.columns)})", "leave the ID away")
    ids = [row[table.columns.index("id")] for row in table.rows]
    row = table.rows[ids.index(known_id(path, tuple(ids), name))]
    return {column: cell or None for column, cell in zip(table.columns, row, strict=True)}


def _short(cell: str) -> str:
    return cell if len(cell) <= WIDEST else f"{cell[: WIDEST - 1]}…"


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def _padded(cell: str, width: int, right: bool) -> str:
    room = " " * (width - cell_len(cell))
    return room + cell if right else cell + room
