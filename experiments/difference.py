"""`python -m experiments difference BASE MINE`: what a change is worth, seed by seed, of two result folders."""

from __future__ import annotations

import importlib
import math
import statistics
from pathlib import Path
from typing import Any

import click
from scipy.stats import t

from experiments.provenance import code_of
from experiments.seeds import Records, differing
from experiments.settings import differences
from experiments.table import RESULTS, Table, columns_of, kept_of, records_of, remarks, result_file, score_of
from wsss.core.errors import UserError
from wsss.core.records import UNCOMMITTED

NAMES = ("base", "mine")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("base")
@click.argument("mine")
def main(base: str, mine: str) -> None:
    """Print MINE − BASE in points: by seed, mean ± standard deviation and the 95 % interval of the mean (paired t).

    Below it: the settings that differ, defaults among them, by which code and library versions both were computed, and
    whether the seeds of one are of different code. With 0 in its interval, no difference is shown.
    Both are names of results: `python -m experiments chain --name BASE --seed 0 --seed 1`.
    """
    folders = RESULTS / base, RESULTS / mine
    first, second = (_kept(folder) for folder in folders)
    if first["table"] != second["table"]:
        raise UserError(mine, f"is of table {second['table']}, {base} of {first['table']}", "name two of one table")
    table = importlib.import_module(f"experiments.{first['table']}").TABLE
    click.echo(markdown(table, *folders), nl=False)
    click.echo(f"\n{settings(first, second)}")
    both = [[records_of(folder, row) for row in table.rows] for folder in folders]
    click.echo(code(first, second, *both))
    click.echo(libraries(*both))
    for folder in folders:
        for remark in remarks(table, folder):
            click.echo(f"{folder.name}: {remark}")


def settings(first: dict[str, Any], second: dict[str, Any]) -> str:
    """What differs in the settings of two results, defaults among them; where one kept less, that and what it kept."""
    lists = [in_effect(kept) for kept in (first, second)]
    if lists[0] and lists[1]:
        found = differences(lists[0], lists[1], NAMES, absent="no such key")
        return f"settings that differ: {found}" if found else "no setting differs"
    if "common" in first and "common" in second:
        found = differences(first["common"], second["common"], NAMES)
        said = f"settings that differ: {found}" if found else "no setting differs"
        return f"of the settings that are written, {said}; their defaults were not kept: unknown"
    old = [name for name, kept in zip(NAMES, (first, second), strict=True) if "common" not in kept]
    a, b = (dict(each.split("=", 1) for each in kept["settings"]) for kept in (first, second))
    found = differences(a, b, NAMES) or "nothing"
    return f"settings: {' and '.join(old)} kept no list, only what the command set; in that differs {found}"


def in_effect(kept: dict[str, Any]) -> dict[str, Any]:
    """The settings in effect of a result; none where some of its rows did not keep them."""
    if any("settings" not in row for row in kept.get("rows", {}).values()):
        return {}
    return {key: value for each in kept.get("effective", {}).values() for key, value in each.items()}


def code(first: dict[str, Any], second: dict[str, Any], base: list[Records], mine: list[Records]) -> str:
    """By which code two results were computed, and the stages whose code differs."""
    stages = differing([*base, *mine], "code")
    names = [code_of(kept) for kept in (first, second)]
    same = names[0] == names[1] and not stages
    said = f"code: base {names[0]}; mine {'the same' if same else names[1]}"
    if stages is None:
        return said if same and UNCOMMITTED not in names[0] else f"{said}; unknown which stages' code differs"
    return f"{said}; code differs in: {', '.join(stages)}" if stages else f"{said}; no stage's code differs"


def libraries(base: list[Records], mine: list[Records]) -> str:
    """Whether two results were computed by the same versions of the libraries."""
    if None in (old := [differing(each, "versions") for each in (base, mine)]):
        names = [name for name, found in zip(NAMES, old, strict=True) if found is None]
        return f"versions of the libraries: unknown of {' and '.join(names)}"
    found = differing([*base, *mine], "versions")
    listed = (f"{name} ({' and '.join(values)})" for name, values in (found or {}).items())
    return f"versions of the libraries that differ: {', '.join(listed)}" if found else "no library's version differs"


def markdown(table: Table, base: Path, mine: Path) -> str:
    """A line for each score, a column for each seed that both folders have; the last one is mean ± standard deviation
    and, of several, the 95 % interval of the mean.

    Raises `UserError` if they have no row and seed in common.
    """
    by_row = {row: sorted(records_of(base, row).keys() & records_of(mine, row).keys()) for row in table.rows}
    seeds = sorted({seed for found in by_row.values() for seed in found})
    if not seeds:
        what = f"no row and seed in both {base.name} and {mine.name}"
        raise UserError(mine, what, "compute the same seeds of both")
    heads = [f"{mine.name} − {base.name}", *(f"seed {seed}" for seed in seeds), "mean [95 %]"]
    lines = [heads, ["---", *("--:" for _ in heads[1:])]]
    for row, column in ((row, column) for row in table.rows for column in columns_of(table, base, mine)):
        found: dict[int, float] = {}
        for seed in by_row[row]:
            a, b = (score_of(result_file(folder, row, seed), column) for folder in (base, mine))
            if a is not None and b is not None:
                found[seed] = b - a
        if found:
            name = column.title if len(table.rows) == 1 else f"{row.name}: {column.title}"
            lines.append([name, *(_signed(found.get(seed)) for seed in seeds), _mean([*found.values()])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _kept(folder: Path) -> dict[str, Any]:
    if not (found := kept_of(folder)):
        raise UserError(folder, "no results", f"compute them: python -m experiments chain --name {folder.name}")
    return found


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def _mean(values: list[float]) -> str:
    mean, spread = statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    if len(values) < 2:
        return _signed(mean)
    reach = interval(spread, len(values))
    return f"{_signed(mean)} ± {spread:.2f}" + (f" [{mean - reach:+.1f}, {mean + reach:+.1f}]" if spread else "")


def interval(deviation: float, seeds: int) -> float:
    """Half the width of the 95 % interval of a mean of `seeds` differences, t·deviation/√n: 2.5 deviations of three."""
    return float(t.ppf(0.975, seeds - 1)) * deviation / math.sqrt(seeds)
