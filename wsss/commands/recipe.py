"""`wsss recipe`: complete settings with known cost and result, listed and put in place."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.commands.kept_labels import kept_labels
from wsss.core.command import CONTEXT, json_option, json_text, people_command
from wsss.core.errors import UserError
from wsss.core.recipes import dataset_section, put_in_place, read_recipe, recipe_header, recipe_names, with_dataset


@click.group("recipe", context_settings=dict(CONTEXT))
def main() -> None:
    """List the recipes, print one, or put it in place as params.yaml."""


@people_command
@json_option
def list_recipes(as_json: bool) -> str:
    """Every recipe with what it is, what it costs and what came out."""
    names = recipe_names()
    headers = {name: recipe_header(read_recipe(name)) for name in [*(n for n in OWN if n in names), *names]}
    if as_json:
        return json_text([{"name": name, "about": " ".join(header)} for name, header in headers.items()])
    width = max(map(len, headers), default=0)
    lines = []
    for number, (name, header) in enumerate(headers.items()):
        if OWN[0] in headers and number in (0, len(OWN)):
            lines += [""] * (number > 0) + ["known data sets, and the demo:" if number else "your own photos:"]
        first, *rest = [line for line in header if line != DEFAULTS] or ["(no description)"]
        lines += [f"{name:<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in rest)]
    return "\n".join([*lines, "", NEXT])


OWN = ("quick", "photos")
"""The recipes for photos of one's own come first: they are what a newcomer needs."""
DEFAULTS = "Keys that are not written here have the defaults of docs/settings.md (`wsss explain KEY`)."
"""A line at the top of every recipe, which says nothing of one."""
NEXT = "next: wsss init FOLDER --recipe NAME for your own photos; else wsss recipe use NAME, or wsss recipe show NAME"
NO_MORE = "and nothing else of the old one"


@people_command
@click.argument("name")
@click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="file to write")
@click.option(
    "--keep-dataset", is_flag=True, help="keep the section `dataset` of the present file, and its distill.labels"
)
def use(name: str, params: Path, keep_dataset: bool) -> str:
    """Put recipes/NAME.yaml in place as params.yaml.

    With --keep-dataset, labels that were corrected by hand or imported are kept, too, where distill.labels names them,
    with the settings that belong to them. A file that is there and differs is kept as params.yaml.bak.
    """
    text, remark = read_recipe(name), ""
    if keep_dataset:
        try:
            present = params.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise UserError(params, what, "leave out --keep-dataset") from error
        text = with_dataset(text, dataset_section(present, params), params)
        remark = f" with your data set {NO_MORE}"
        if labels := kept_labels(params):
            text = labels.within(text) if labels.there else text
            kept = f" with your data set, {labels.words} {NO_MORE}"
            remark = kept if labels.there else f"{remark}, not even distill.labels: no labels are in {labels.place}"
    backup = put_in_place(params, text)
    old = f"; the old file is {backup}" if backup else ""
    return f"recipe: {params} is recipes/{name}.yaml{remark}{old}"


@people_command
@click.argument("name")
def show(name: str) -> str:
    """Print recipes/NAME.yaml."""
    return read_recipe(name).rstrip("\n")


main.add_command(list_recipes, "list")
main.add_command(show, "show")
main.add_command(use, "use")
