"""`wsss init`: params.yaml for one's own photos, with the data set's section filled in."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.commands.check import Params, look
from wsss.core.atomic import write_text
from wsss.core.command import people_command
from wsss.core.errors import UserError
from wsss.core.params import load
from wsss.core.recipes import (
    SCHEMA,
    put_in_place,
    read_recipe,
    same_as_recipe,
    times_longer,
    with_dataset,
    with_longer_distillation,
)
from wsss.formats.guess import dataset_yaml, guess_dataset


@people_command
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--tags", type=click.Path(path_type=Path), help="table of tags; default: what FOLDER holds")
@click.option("--recipe", default="msrc", help="recipe that gives all other settings")
@click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="file to write")
@click.option("--force", is_flag=True, help="replace an existing file; the old one is kept beside it")
def main(folder: Path, tags: Path | None, recipe: str, params: Path, force: bool) -> str:
    """Write params.yaml for the photos in FOLDER: layout, tags, masks and class names are looked for there.

    For few photos the student's epochs are multiplied: steps are what a network learns by.
    """
    text = read_recipe(recipe)
    dataset = guess_dataset(folder, tags)
    if params.exists() and not force:
        raise _in_the_way(params)
    header = [SCHEMA, f"# Settings for {Path(dataset.root).name}, made by `wsss init` from recipes/{recipe}.yaml."]
    header += ["# Keys that are not written here have the defaults of docs/settings.md (`wsss explain KEY`)."]
    body = text.splitlines(keepends=True)
    while body and body[0].startswith("#"):
        body.pop(0)
    text = with_dataset("\n".join(header) + "\n" + "".join(body), dataset_yaml(dataset), params)
    backup = put_in_place(params, text)
    kept = f" (the old one is {backup})" if backup else ""
    click.echo(f"{params}: settings of recipes/{recipe}.yaml{kept}, and this data set:\n\n{dataset_yaml(dataset)}")

    survey, problems = look(load(params, Params))
    if survey is not None:
        from wsss.formats.health import health_table

        click.echo(f"{health_table(survey)}\n")
        photos = sum(record.split == "train" for record in survey.index.records)
        if (times := times_longer(photos)) > 1:
            write_text(params, with_longer_distillation(text, times))
            click.echo(f"{photos} training photos are few: the student has {times} times the recipe's epochs\n")
    if problems:
        some = f"{len(problems)} problem{'' if len(problems) == 1 else 's'} to correct"
        return f"init: {some}; next: wsss check {params}"
    there = "" if params == Path("params.yaml") else f"copy {params} to the params.yaml of the pipeline, "
    check = f"wsss check {params} (what would limit the result)"
    return f"init: nothing to correct; next: {check}, then {there}dvc repro gallery"


def _in_the_way(params: Path) -> UserError:
    try:
        recipe = same_as_recipe(params.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        recipe = None
    what = f"exists (it is recipes/{recipe}.yaml, unchanged)" if recipe else "exists"
    return UserError(params, what, f"add --force: the old file is kept as {params.name}.bak")
