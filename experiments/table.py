"""Running the rows of a table, one experiment after the other, and writing down what they scored."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from wsss.core.atomic import write_text
from wsss.core.errors import UserError
from wsss.core.log import say

RESULTS = Path("experiments/results")
SOURCES = Path("reports/sources.csv")
PARAMS = Path("params.yaml")
PLACE = "dataset.root"


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


def run(table: Table, folder: Path, seeds: Sequence[int], common: Sequence[str]) -> None:
    """Compute every row that has no result in `folder` yet. `common`: overrides of all rows, as the place of the data.

    Stops at the first experiment that fails; what is finished is kept, and the next call goes on from there. Raises
    `UserError` if the results that are there are of other settings: their rows could not be compared.
    """
    check_settings(table, folder, common)
    for seed in seeds:
        for row in table.rows:
            target = result_file(folder, row, seed)
            if target.exists():
                say(f"{target}: there already")
                continue
            settings = [f"seed={seed}", *common, *row.overrides]
            # ++: also where params.yaml does not write the key.
            overrides = [part for setting in settings for part in ("-S", f"++{setting}")]
            command = ["dvc", "exp", "run", "evaluate", *overrides]
            say(" ".join(command))
            subprocess.run(command, check=True)
            shutil.copyfile(SOURCES, target)


def check_settings(table: Table, folder: Path, common: Sequence[str]) -> None:
    """Write down what all rows of `folder` have in common, or raise `UserError` if that is something else by now."""
    file = folder / "settings.json"
    # Where the data lies is the reader's own matter.
    settings = [re.sub(rf"^{PLACE}=.*/", f"{PLACE}=/absolute/path/of/", setting) for setting in common]
    now = {"table": table.name, "settings": settings, "fingerprint": fingerprint(table, common)}
    if not file.exists():
        write_text(file, json.dumps(now, indent=1) + "\n")
    elif (before := json.loads(file.read_text(encoding="utf-8")))["fingerprint"] != now["fingerprint"]:
        raise UserError(
            folder,
            f"holds rows of other settings (then: {' '.join(before['settings']) or 'no -S'})",
            "go on with the params.yaml and -S of then, or give these results a name of their own: --name",
        )


def fingerprint(table: Table, common: Sequence[str]) -> str:
    """Of everything in params.yaml that is the same in all rows, wherever the data lies."""
    yaml = YAML(typ="safe")
    tree = yaml.load(PARAMS)
    rows = [override.split("=")[0] for override in table.rows[0].overrides]
    changes = {key: yaml.load(value) for key, value in (each.split("=", 1) for each in common)}
    for key, value in (changes | dict.fromkeys((*rows, "seed", PLACE))).items():
        *way, last = key.split(".")
        section: Any = tree
        for part in way:
            section = section.setdefault(part, {})
        section[last] = value
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def result_file(folder: Path, row: Row, seed: int) -> Path:
    """Where the scores of one experiment are kept."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in row.name.lower()).strip("-")
    return folder / f"{slug}-seed{seed}.csv"


def markdown(table: Table, folder: Path) -> str:
    """The rows that are computed; mean ± standard deviation, and how many, where there are several seeds."""
    headings = ["", *(column.title for column in table.columns), *([table.paper] if table.paper else [])]
    lines = [headings, ["---", *("--:" for _ in headings[1:])]]
    for row in table.rows:
        slug = result_file(folder, row, 0).name.removesuffix("0.csv")
        files = sorted(folder.glob(f"{slug}[0-9]*.csv"))
        if not files:
            continue
        cells = [_cell([_score(file, column) for file in files]) for column in table.columns]
        paper = [] if not table.paper else ["" if row.paper is None else f"{row.paper:.2f}"]
        name = row.name if len(files) == 1 else f"{row.name} ({len(files)} seeds)"
        lines.append([name, *cells, *paper])
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
