"""`wsss labels`: labels that the pipeline does not make itself."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.command import CONTEXT, people_command


@click.group("labels", context_settings=dict(CONTEXT))
def main() -> None:
    """Import masks as labels, for the upper bound."""


@people_command
@click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="settings file")
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset", help="what `index` wrote")
@click.option(
    "--masks", type=click.Path(path_type=Path), default="artifacts/masks.csv", help="their checksums, of `index`"
)
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/masks_as_labels", help="folder to write")
def import_masks(params: Path, dataset: Path, masks: Path, out: Path) -> str:
    """Import the masks of the train split as labels, to train the UPPER BOUND: a student that has seen masks.

    Nothing reads them unless distill.labels names them.
    """
    from wsss.core.processes import end_children
    from wsss.evaluation.import_masks import import_train_masks

    try:
        return import_train_masks(params, dataset, masks, out)
    finally:
        end_children()


main.add_command(import_masks, "import-masks")
