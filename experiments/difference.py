"""`python -m experiments difference BASE MINE`: what a change is worth, seed by seed, of two result folders."""

from __future__ import annotations

import importlib
import json
import math
import statistics
from pathlib import Path
from typing import Any

import click
from scipy.stats import t

from experiments.provenance import code_of
from experiments.table import RESULTS, Table, differences, result_file, score_of, seeds_of
from wsss.core.errors import UserError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("base")
@click.argument("mine")
def main(base: str, mine: str) -> None:
    """Print MINE − BASE in points: by seed, mean ± standard deviation and the 95 % interval of the mean (paired t).

    Below it: the settings that differ, and by which code both were computed. With 0 in its interval, no difference is
    shown.
    Both are names of results: `python -m experiments chain --name BASE --seed 0 --seed 1`.
    """
    folders = RESULTS / base, RESULTS / mine
    first, second = (_kept(folder) for folder in folders)
    if first["table"] != second["table"]:
        raise UserError(mine, f"is of table {second['table']}, {base} of {first['table']}", "name two of one table")
    table = importlib.import_module(f"experiments.{first['table']}").TABLE
    click.echo(markdown(table, *folders), nl=False)
    click.echo(f"\n{settings(first, second)}")
    code = [code_of(kept) for kept in (first, second)]
    click.echo(f"code: base {code[0]}; mine {'the same' if code[0] == code[1] != 'not kept' else code[1]}")


def settings(first: dict[str, Any], second: dict[str, Any]) -> str:
    """What differs in the settings of two results; where one kept only those of its command, that and those."""
    if "common" in first and "common" in second:
        found = differences(first["common"], second["common"], ("base", "mine"))
        return f"settings that differ: {found}" if found else "no setting differs"
    old = [name for name, kept in (("base", first), ("mine", second)) if "common" not in kept]
    a, b = (dict(each.split("=", 1) for each in kept["settings"]) for kept in (first, second))
    found = differences(a, b, ("base", "mine")) or "nothing"
    return f"settings: {' and '.join(old)} kept no list, only what the command set; in that differs {found}"


def markdown(table: Table, base: Path, mine: Path) -> str:
    """A line for each score, a column for each seed that both folders have; the last one is mean ± standard deviation
    and, of several, the 95 % interval of the mean.

    Raises `UserError` if they have no row and seed in common.
    """
    by_row = {row: sorted(set(seeds_of(base, row)) & set(seeds_of(mine, row))) for row in table.rows}
    seeds = sorted({seed for found in by_row.values() for seed in found})
    if not seeds:
        what = f"no row and seed in both {base.name} and {mine.name}"
        raise UserError(mine, what, "compute the same seeds of both")
    heads = [f"{mine.name} − {base.name}", *(f"seed {seed}" for seed in seeds), "mean [95 %]"]
    lines = [heads, ["---", *("--:" for _ in heads[1:])]]
    for row, column in ((row, column) for row in table.rows for column in table.columns):
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
    file = folder / "settings.json"
    if not file.is_file():
        raise UserError(folder, "no results", f"compute them: python -m experiments chain --name {folder.name}")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
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
