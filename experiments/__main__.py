"""`python -m experiments modules -S dataset.root=…`: compute a table of docs/experiments.md, or go on with it."""

from __future__ import annotations

import importlib
import sys

import click

from experiments import difference, zoo
from experiments.lab import command as lab
from experiments.run import run
from experiments.table import RESULTS, markdown, remarks
from wsss.core.command import guarded

TABLES = ("chain", "modules", "tilings", "levels", "alpha", "crops", "backbones", "distillation", "students")

COMMANDS = {"zoo": zoo.main, "lab": lab.main, "difference": difference.main}
"""Those that run no table."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("table", type=click.Choice(TABLES))
@click.option("-S", "overrides", multiple=True, metavar="KEY=VALUE", help="a setting of all rows, as for `dvc exp run`")
@click.option("--seed", "seeds", type=int, multiple=True, default=(0,), help="one or several; means and deviations")
@click.option("--name", help="of the results' folder, where the table's own has results of other settings")
def main(table: str, overrides: tuple[str, ...], seeds: tuple[int, ...], name: str | None) -> None:
    """Compute every row of TABLE that has no result yet, and print the table. `make tables` writes those of docs/.

    `python -m experiments difference --help`: two results, seed by seed. `python -m experiments zoo --help`: one recipe
    on every set of a folder. `python -m experiments lab --help`: ideas on the frozen features of every set, in minutes.
    """
    found, folder = importlib.import_module(f"experiments.{table}").TABLE, RESULTS / (name or table)
    guarded(lambda: run(found, folder, seeds, overrides), debug=False)
    click.echo(guarded(lambda: markdown(found, folder), debug=False), nl=False)
    for remark in remarks(found, folder):
        click.echo(f"\n{remark}")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        own = COMMANDS[sys.argv[1]]
        guarded(lambda: own(sys.argv[2:], prog_name=f"python -m experiments {sys.argv[1]}"), debug=False)
    main()
