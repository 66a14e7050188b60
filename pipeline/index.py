"""Stage `index`: raw data set → artifacts/dataset (index.csv, classes.csv) and the checksums of the masks."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.log import say, warn
from wsss.core.params import Seed, Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.data.index import write_index
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
    counts = ", ".join(f"{len(index.split(name))} {name}" for name in index.splits())
    return f"index: {len(index.records)} photos ({counts}), {index.foreground} classes → {out}"


if __name__ == "__main__":
    main()
