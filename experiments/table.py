"""Running the rows of a table, one experiment after the other, and writing down what they scored."""

from __future__ import annotations

import csv
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

from experiments.provenance import precision, provenance
from wsss.core.atomic import write_text
from wsss.core.errors import UserError
from wsss.core.log import say

RESULTS = Path("experiments/results")
SOURCES = Path("reports/sources.csv")
PARAMS = Path("params.yaml")
PLACE = "dataset.root"
UNSCORED = ("gallery",)
"""Sections that change no score."""
AUTO = "precision auto"
"""What that is on the processor that computed the rows, kept beside their settings."""
SHOWN = 8
"""Keys that an error names; of more it says how many."""


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
    `UserError` if the photos are not there, if an experiment fails, or if the results that are there are of other
    settings: their rows could not be compared.
    """
    check_place(common)
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
            done = subprocess.run(command, check=False)
            if done.returncode:
                what = f"row {row.name!r}, seed {seed}: dvc exp run ended with {done.returncode}"
                raise UserError(folder, what, "mend what it says above, then run this again: it goes on from here")
            shutil.copyfile(SOURCES, target)
            note_code(folder, target.name, common)


def note_code(folder: Path, row: str, common: Sequence[str]) -> None:
    """Write down when and by which code the result `row` of `folder` was computed."""
    file = folder / "settings.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    kept.setdefault("rows", {})[row] = provenance(settings_of(common))
    write_text(file, json.dumps(kept, indent=1) + "\n")


def check_place(common: Sequence[str]) -> None:
    """Raise `UserError` if the photos are not where `common`, or else params.yaml, says."""
    place = Path(str(settings_of(common, keep_place=True)[PLACE]))
    if not place.is_dir():
        raise UserError(place, "no such folder", f"give the photos' own: -S {PLACE}=/absolute/path")


def check_settings(table: Table, folder: Path, common: Sequence[str]) -> None:
    """Write down what all rows of `folder` have in common, or raise `UserError` if that is something else by now."""
    file = folder / "settings.json"
    # Where the data lies is the reader's own matter.
    settings = [re.sub(rf"^{PLACE}=.*/", f"{PLACE}=/absolute/path/of/", setting) for setting in common]
    same = settings_of(common)
    for override in table.rows[0].overrides:
        same = _without(same, override.split("=")[0])
    same[AUTO] = precision()
    if not file.exists():
        kept = {"table": table.name, "recipe": recipe_of(), "settings": settings, "common": same}
        write_text(file, json.dumps(kept, indent=1) + "\n")
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    if "common" in before:
        found = differences(before["common"], same, ("then", "now"))
    else:
        kept = before["measured"]
        found = f"those of {kept['date']} (commit {kept['commit']}), which it does not list"
    if found:
        what = f"holds rows of other settings: {found}"
        raise UserError(folder, what, "compute these under a name of their own: --name NEW")


def recipe_of() -> str:
    """The recipe that params.yaml says it began with."""
    found = YAML(typ="safe").load(PARAMS).get("gallery") or {}
    return str(found.get("recipe", ""))


def differences(a: dict[str, Any], b: dict[str, Any], names: tuple[str, str]) -> str:
    """The keys that differ, with both values, called by `names`; empty if none does."""
    keys = [key for key in sorted(a | b) if a.get(key) != b.get(key)]
    values = [f"{key} ({names[0]} {_shown(a, key)}, {names[1]} {_shown(b, key)})" for key in keys[:SHOWN]]
    return ", ".join([*values, *([f"and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else [])])


def _shown(settings: dict[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "not written"


def settings_of(common: Sequence[str], keep_place: bool = False) -> dict[str, Any]:
    """Everything that params.yaml writes and `common` changes, by dotted key, without what changes no score.

    Nor is the seed in it, which each row sets; nor the place of the data, unless `keep_place`.
    """
    yaml = YAML(typ="safe")
    tree = flat({name: value for name, value in yaml.load(PARAMS).items() if name not in UNSCORED})
    for key, value in (each.split("=", 1) for each in common):
        tree = _without(tree, key) | flat({key: yaml.load(value)})
    dropped = ("seed",) if keep_place else ("seed", PLACE)
    return {key: value for key, value in tree.items() if key not in dropped}


def _without(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """All but what setting `key` replaces: its own value, the values below it, and one that it is below."""
    return {
        name: value
        for name, value in settings.items()
        if not (f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}."))
    }


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; an empty section is none."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def result_file(folder: Path, row: Row, seed: int) -> Path:
    """Where the scores of one experiment are kept."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in row.name.lower()).strip("-")
    return folder / f"{slug}-seed{seed}.csv"


def seeds_of(folder: Path, row: Row) -> list[int]:
    """The seeds whose scores are kept, in order."""
    slug = result_file(folder, row, 0).name.removesuffix("0.csv")
    return sorted(int(file.stem.removeprefix(slug)) for file in folder.glob(f"{slug}[0-9]*.csv"))


def markdown(table: Table, folder: Path) -> str:
    """The rows that are computed; mean ± standard deviation, and how many, where there are several seeds."""
    headings = ["", *(column.title for column in table.columns), *([table.paper] if table.paper else [])]
    lines = [headings, ["---", *("--:" for _ in headings[1:])]]
    for row in table.rows:
        files = [result_file(folder, row, seed) for seed in seeds_of(folder, row)]
        if not files:
            continue
        cells = [_cell([score_of(file, column) for file in files]) for column in table.columns]
        paper = [] if not table.paper else ["" if row.paper is None else f"{row.paper:.2f}"]
        name = row.name if len(files) == 1 else f"{row.name} ({len(files)} seeds)"
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
