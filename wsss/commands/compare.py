"""`wsss compare`: two runs side by side, by folder or by revision."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.command import json_option, json_text, people_command


@people_command
@click.argument("a")
@click.argument("b", default=".")
@click.option("--source", help="label maps to compare, as the score table names them  [default: the final prediction]")
@click.option("--split", help="photos to compare  [default: those that both have predicted]")
@click.option("--images", type=click.IntRange(1, 1000), default=10, help="most photos shown of each kind")
@click.option("--data", type=click.Path(path_type=Path), help="folder of the photos, if not where the settings say")
@click.option("-o", "--out", type=click.Path(path_type=Path), default="reports/compare", help="folder of the page")
@json_option
def main(
    a: str,
    b: str,
    source: str | None,
    split: str | None,
    images: int,
    data: Path | None,
    out: Path,
    as_json: bool,
) -> str:
    """Compare run B (default: this folder) with run A: scores, classes, photos that became better and worse, settings.

    A and B are folders of checkouts after `dvc repro`, or revisions of this repository: branches, tags, commits,
    experiments. So `wsss compare HEAD` shows what has changed since the last commit. Photos without masks are ordered
    by how much of them differs. Writes a page of pictures into -o.
    """
    from wsss.commands.sections import default_values
    from wsss.report.compare import compare
    from wsss.report.compare_page import write_page
    from wsss.report.compare_text import as_text, as_values
    from wsss.report.sides import open_sides

    with open_sides(a, b) as (first, second):
        found = compare(first, second, source, split, data, default_values())
        page = write_page(found, images, out)
    return json_text(as_values(found, images, page)) if as_json else as_text(found, images, page)
