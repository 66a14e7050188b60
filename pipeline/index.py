"""Stage `index`: raw data set → artifacts/dataset (index.csv, classes.csv) and the checksums of the masks."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.errors import UserError
from wsss.core.labels_fit import labels_fit, named_labels
from wsss.core.log import say, warn
from wsss.core.params import Seed, Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.data.index import Index, write_index
from wsss.formats.build import build_index, write_mask_checksums
from wsss.formats.health import empty_splits, health_findings, health_table, statements
from wsss.formats.settings import DatasetSettings

STOPPED = {"train": "pretrain", "val": "evaluate"}
"""The stage that will stop where a split has no photo; `evaluate`, if its settings name no other split."""


class Params(Settings):
    """Sections that this stage reads."""

    seed: Seed
    dataset: DatasetSettings


@stage_command
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/dataset", help="folder of the index")
@click.option("--masks", type=click.Path(path_type=Path), default="artifacts/masks.csv", help="checksums of the masks")
def main(params: Path, out: Path, masks: Path) -> str:
    """Check the raw data set and write its index: ids, splits, tags, sizes to read photos at, checksums."""
    settings = load(params, Params)
    with open_stage("index", settings.model_dump(), [], files=[masks], folders=[out]):
        survey = build_index(settings.dataset, settings.seed)
        write_index(out, survey.index)
        write_mask_checksums(masks, survey)
    say("\n".join(survey.reading))
    say(health_table(survey))
    for statement in statements(survey):
        say(f"index: {statement}")
    for finding in [*empty_splits(survey, STOPPED), *health_findings(survey)]:
        warn(settings.dataset.root, finding.what, finding.fix)
    index = survey.index
    _tell_of_labels(params, index)
    counts = ", ".join(f"{len(index.split(name))} {name}" for name in index.splits())
    return f"index: {len(index.records)} photos ({counts}), {index.foreground} classes → {out}"


def _tell_of_labels(params: Path, index: Index) -> None:
    """Say now, before any training, what stage `distill` will find in labels that no stage makes. It is no error here:
    what mends it reads the index, or the labels that later stages make.
    """
    place = named_labels(params)
    fit = labels_fit(place, {record.id: record.split for record in index.records}, index.classes) if place else None
    if fit is None:
        return
    try:
        fit.check()
    except UserError as error:
        warn(error.where, f"{error.what}, so stage distill will stop (distill.labels)", error.fix)
    else:
        if fit.told and not fit.whole:
            say(f"index: distill.labels: {fit.place}: {fit.told}")


if __name__ == "__main__":
    main()
