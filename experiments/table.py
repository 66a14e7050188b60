"""Running the rows of a table, one experiment after the other, and writing down what they scored."""

from __future__ import annotations

import csv
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.core.atomic import write_text
from wsss.core.log import say

RESULTS = Path("experiments/results")
SOURCES = Path("reports/sources.csv")


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
    """Rows times columns. `paper`: what the paper's scores are of.

    Every row sets the same keys: `dvc exp run` starts from the workspace, where the row before has left its own.
    """

    name: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    paper: str = ""

    def __post_init__(self) -> None:
        keys = [{override.split("=")[0] for override in row.overrides} for row in self.rows]
        if any(each != keys[0] for each in keys):
            raise ValueError(f"table {self.name}: rows set different keys")


def run(table: Table, seeds: Sequence[int], common: Sequence[str]) -> None:
    """Compute every row that has no result yet. `common`: overrides of all rows, such as the place of the data.

    Stops at the first experiment that fails; what is finished is kept, and the next call goes on from there.
    """
    for seed in seeds:
        for row in table.rows:
            target = result_file(table, row, seed)
            if target.exists():
                say(f"{target}: there already")
                continue
            settings = [f"seed={seed}", *common, *row.overrides]
            command = ["dvc", "exp", "run", "evaluate", *(part for setting in settings for part in ("-S", setting))]
            say(" ".join(command))
            subprocess.run(command, check=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SOURCES, target)
            write_text(RESULTS / f"{table.name}.md", markdown(table, seeds))


def result_file(table: Table, row: Row, seed: int) -> Path:
    """Where the scores of one experiment are kept."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in row.name.lower()).strip("-")
    return RESULTS / table.name / f"{slug}-seed{seed}.csv"


def markdown(table: Table, seeds: Sequence[int]) -> str:
    """The table as far as it is computed; mean ± standard deviation where there are several seeds."""
    headings = ["", *(column.title for column in table.columns), *([table.paper] if table.paper else [])]
    lines = [headings, ["---", *("--:" for _ in headings[1:])]]
    for row in table.rows:
        files = [file for seed in seeds if (file := result_file(table, row, seed)).exists()]
        cells = [_cell([_score(file, column) for file in files]) for column in table.columns]
        paper = [] if not table.paper else ["" if row.paper is None else f"{row.paper:.2f}"]
        lines.append([row.name, *cells, *paper])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _score(file: Path, column: Column) -> float | None:
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
