"""`make tables`: the tables of results, advice and notebook, from the results that are kept in experiments/results.

Between ``<!-- table NAME -->`` and ``<!-- end -->`` stands what `python -m experiments` has found, between
``<!-- zoo RECIPE -->`` and ``<!-- end zoo -->`` what `python -m experiments zoo` has, and between
``<!-- tags RECIPE -->`` and ``<!-- end tags -->`` its columns about tags, and between ``<!-- lab -->`` and
``<!-- end lab -->`` what `python -m experiments lab` has.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import click

from experiments import zoo
from experiments.lab import command as lab
from experiments.provenance import origins
from experiments.table import RESULTS, Table, markdown
from wsss.core.atomic import write_text
from wsss.core.errors import UserError

PAGES = tuple(Path("docs", name) for name in ("results.md", "choosing.md", "experiments.md"))
BLOCK = re.compile(r"(?P<begin><!-- table (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
ZOO = re.compile(r"(?P<begin><!-- zoo (?P<recipe>\w+) -->\n).*?(?P<end><!-- end zoo -->)", re.DOTALL)
TAGS = re.compile(r"(?P<begin><!-- tags (?P<recipe>\w+) -->\n).*?(?P<end><!-- end tags -->)", re.DOTALL)
LAB = re.compile(r"(?P<begin><!-- lab -->\n).*?(?P<end><!-- end lab -->)", re.DOTALL)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("pages", type=click.Path(path_type=Path), nargs=-1)
def main(pages: tuple[Path, ...]) -> None:
    """Write every table of PAGES anew; without PAGES, of results, advice and notebook."""
    for page in pages or PAGES:
        text = page.read_text(encoding="utf-8")
        try:
            write_text(page, filled(text))
        except UserError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"tables: {', '.join(found['name'] for found in BLOCK.finditer(text)) or 'none'} → {page}")


def filled(text: str) -> str:
    """`text` with what is kept of each table it names."""
    text = ZOO.sub(lambda found: f"{found['begin']}{zoo_block(found['recipe'])}{found['end']}", text)
    text = TAGS.sub(lambda found: f"{found['begin']}{tags_block(found['recipe'])}{found['end']}", text)
    text = LAB.sub(lambda found: f"{found['begin']}{lab_block()}{found['end']}", text)
    return BLOCK.sub(lambda found: f"{found['begin']}{block(RESULTS / found['name'])}{found['end']}", text)


def tags_block(recipe: str) -> str:
    """What the zoo says of the classifier by one recipe: AP of the tags on each set."""
    return f"\n{zoo.markdown(zoo.RESULTS / recipe, ('guess', 'probe', 'pretrain'))}\n"


def lab_block() -> str:
    """The command of the lab, and its tables."""
    command = "python -m experiments lab /absolute/path/of/zoo /absolute/path/of/msrc_v2 /absolute/path/of/voc20_mix"
    return f"\n```console\n$ {command} --idea floor --idea 'cut .25' --again\n```\n\n{lab.markdown(lab.results())}\n"


def zoo_block(recipe: str) -> str:
    """The command that runs the zoo by one recipe anew, and the table of the results that are kept."""
    folder = zoo.RESULTS / recipe
    ran = [json.loads(path.read_text(encoding="utf-8"))["stages"] for path in folder.glob("*.json")]
    whole = all(zoo.BOUND in stages for stages in ran)
    until = "" if whole else f" --until {[stage for stage in zoo.STAGES if any(stage in each for each in ran)][-1]}"
    command = f"python -m experiments zoo /absolute/path/of/zoo --recipe {recipe} --name {recipe}_again{until}"
    return f"\n```console\n$ {command}\n```\n\n{zoo.markdown(folder)}\n"


def block(folder: Path) -> str:
    """The command of the results in `folder`, and their table."""
    if not (folder / "settings.json").is_file():
        raise UserError(folder, "no results", "compute them: python -m experiments TABLE; or correct the table's name")
    kept = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    table = importlib.import_module(f"experiments.{kept['table']}").TABLE
    assert isinstance(table, Table)
    base = f"$ cp recipes/{kept['recipe']}.yaml params.yaml\n" if kept.get("recipe") else ""
    shown = f"\n```console\n{base}$ {command(table, folder, kept['settings'])}\n```\n\n"
    return f"{shown}{measured(kept)}{markdown(table, folder, dated=True)}\n"


def measured(kept: dict[str, Any]) -> str:
    """By what the rows were measured, where that is not today's settings and code; else nothing."""
    made = [f"on {row['date']} (commit `{row['commit']}`, trainings in `{row['precision']}`)" for row in origins(kept)]
    return f"Measured {', '.join(made)}; the command runs today's settings.\n\n" if made else ""


def command(table: Table, folder: Path, settings: list[str]) -> str:
    """What computes the rows anew, beside the results that are kept."""
    quoted = [f"'{setting}'" if "[" in setting else setting for setting in settings]
    seeds = sorted({file.stem.rpartition("-seed")[2] for file in folder.glob("*-seed*.csv")}, key=int)
    drawn = [] if seeds == ["0"] else [f"--seed {seed}" for seed in seeds]
    words = [f"--name {folder.name}_again", *(f"-S {setting}" for setting in quoted), *drawn]
    lines = [f"python -m experiments {table.name}"]
    for word in words:
        if len(lines[-1]) + len(word) > 130:
            lines[-1] += " \\"
            lines.append("    " + word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


if __name__ == "__main__":
    main()
