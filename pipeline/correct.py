"""Stage `correct`: CAMs → pseudo-labels."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.log import warn
from wsss.core.params import Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.data.datasets import Location
from wsss.data.index import read_index
from wsss.inference.correct import CorrectSettings, make_pseudo_labels


class Params(Settings):
    """What this stage reads of params.yaml."""

    dataset: Location
    correct: CorrectSettings


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/pseudo")
def main(params: Path, dataset: Path, cams: Path, out: Path) -> str:
    """Make pseudo-labels from CAMs: fixed thresholds and a dense CRF, 255 where they disagree."""
    settings = load(params, Params)
    with open_stage("correct", settings.model_dump(exclude={"dataset"}), [dataset, cams]) as stage:
        index = read_index(dataset)
        made = make_pseudo_labels(stage, index, settings.dataset.photos(index.records), cams, settings.correct, out)
    if made.no_signal:
        warn(
            cams,
            f"{len(made.no_signal)} photos have a tag without CAM signal, e.g. {', '.join(made.no_signal[:5])}",
            "check their tags",
        )
    share = len(made.empty) / len(index.records)
    if share > 0.2:
        warn(
            out,
            f"{share:.0%} of the photos got no foreground label, e.g. {', '.join(made.empty[:5])}",
            "lower correct.fixed.alpha",
        )
    return (
        f"correct: {len(index.records)} photos, {made.coverage:.1%} of pixels labelled, "
        f"{len(made.empty)} without foreground, {len(made.no_signal)} without signal → {out}"
    )


if __name__ == "__main__":
    main()
