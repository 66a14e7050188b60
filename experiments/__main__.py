"""`python -m experiments modules -S dataset.root=…`: compute a table of docs/experiments.md, or go on with it."""

from __future__ import annotations

import importlib

import click

from experiments.table import run

TABLES = ("modules", "tilings", "levels", "alpha", "distillation")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("table", type=click.Choice(TABLES))
@click.option("-S", "overrides", multiple=True, metavar="KEY=VALUE", help="a setting of all rows, as for `dvc exp run`")
@click.option("--seed", "seeds", type=int, multiple=True, default=(0,), help="one or several; means and deviations")
def main(table: str, overrides: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Compute every row of TABLE that has no result in experiments/results yet."""
    run(importlib.import_module(f"experiments.{table}").TABLE, seeds, overrides)


if __name__ == "__main__":
    main()
