"""A table of experiments: its rows and columns, the results that are kept of them, and what they say."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import seeds
from experiments.provenance import UNKNOWN
from experiments.seeds import Records

RESULTS = Path("experiments/results")
SETTINGS = "settings.json"
"""Beside the scores of a folder: by what they were computed."""


@dataclass(frozen=True)
class Row:
    """One variation: its name, what it sets (`key=value` of params.yaml), and the paper's score where there is one."""

    name: str
    overrides: tuple[str, ...]
    paper: float | None = None


@dataclass(frozen=True)
class Column:
    """One score of reports/sources.csv: its heading, and the source, split and field it is read from."""

    title: str
    source: str
    split: str
    field: str = "miou"


@dataclass(frozen=True)
class Table:
    """Rows times columns. `paper`: what the scores of the paper are of. `val_only`: columns in place of those of train,
    where only val has masks.

    Every row sets the same keys: `dvc exp run` starts from the workspace, where the row before has left its own.
    """

    name: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    paper: str = ""
    val_only: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        keys = [{override.split("=")[0] for override in row.overrides} for row in self.rows]
        if any(each != keys[0] for each in keys):
            raise ValueError(f"table {self.name}: rows set different keys")


def result_file(folder: Path, row: Row, seed: int) -> Path:
    """Where the scores of one experiment are kept."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in row.name.lower()).strip("-")
    return folder / f"{slug}-seed{seed}.csv"


def seeds_of(folder: Path, row: Row) -> list[int]:
    """The seeds whose scores are kept, in order."""
    slug = result_file(folder, row, 0).name.removesuffix("0.csv")
    return sorted(int(file.stem.removeprefix(slug)) for file in folder.glob(f"{slug}[0-9]*.csv"))


def kept_of(folder: Path) -> dict[str, Any]:
    """What is kept beside the scores in `folder`; nothing where there is none."""
    file = folder / SETTINGS
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def records_of(folder: Path, row: Row) -> Records:
    """By seed, by what the scores of `row` were computed. Raises `UserError` where that is by different settings."""
    kept = kept_of(folder)
    rows, lists, all_rows = kept.get("rows", {}), kept.get("effective", {}), kept.get("measured", UNKNOWN)
    found = {seed: dict(rows.get(result_file(folder, row, seed).name, all_rows)) for seed in seeds_of(folder, row)}
    for record in found.values():
        if "settings" in record:
            record["settings"] = lists.get(record["settings"])
    seeds.check(folder, row.name, found)
    return found


def remarks(table: Table, folder: Path) -> list[str]:
    """What is to be known of the seeds in `folder`, a line each."""
    return seeds.remarks({row.name: records_of(folder, row) for row in table.rows})


def columns_of(table: Table, *folders: Path) -> tuple[Column, ...]:
    """The columns of `table` for the results in `folders`: others where none of these has scores of train photos."""
    files = [
        result_file(folder, row, seed) for folder in folders for row in table.rows for seed in seeds_of(folder, row)
    ]
    train = [column for column in table.columns if column.split == "train"]
    if not (table.val_only and files) or any(score_of(file, column) is not None for file in files for column in train):
        return table.columns
    return (*table.val_only, *(column for column in table.columns if column not in train))


def markdown(table: Table, folder: Path, dated: bool = False) -> str:
    """The rows that are computed; mean ± standard deviation, and how many, where there are several seeds.

    `dated`: a row that sets nothing is a recipe as it was when it was measured, and says when. Raises `UserError` where
    the seeds of a row are of different settings.
    """
    columns = columns_of(table, folder)
    headings = ["", *(column.title for column in columns), *([table.paper] if table.paper else [])]
    lines = [headings, ["---", *("--:" for _ in headings[1:])]]
    for row in table.rows:
        records = records_of(folder, row)
        files = [result_file(folder, row, seed) for seed in records]
        if not files:
            continue
        cells = [_cell([score_of(file, column) for file in files]) for column in columns]
        paper = [] if not table.paper else ["" if row.paper is None else f"{row.paper:.2f}"]
        days = sorted({record["date"] for record in records.values()})
        name = f"{row.name} as of {' and '.join(days)}" if dated and not row.overrides else row.name
        name += f" ({len(files)} seeds{seeds.mark(records)})" if len(files) > 1 else ""
        lines.append([name, *cells, *paper])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def score_of(file: Path, column: Column) -> float | None:
    """The score of `column` in the table of scores `file`, in per cent; None where it has no such row."""
    with file.open(encoding="utf-8", newline="") as opened:
        for line in csv.DictReader(opened):
            if (line["source"], line["split"]) == (column.source, column.split):
                return 100 * float(line[column.field])
    return None


def _cell(scores: Sequence[float | None]) -> str:
    known = [score for score in scores if score is not None]
    if not known:
        return ""
    spread = f" ± {statistics.stdev(known):.2f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.2f}{spread}"
