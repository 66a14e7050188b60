"""Stage `cams`: photos → class activation maps of their tags."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.cams.stage import CamsSettings, dump_cams
from wsss.core.folders import publish
from wsss.core.params import Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.data.index import read_index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Location


class Params(Settings):
    """What this stage reads of params.yaml."""

    dataset: Location
    inference: InferenceSettings
    cams: CamsSettings


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--network", type=click.Path(path_type=Path), default="artifacts/oste.pt")
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/cams")
def main(params: Path, dataset: Path, network: Path, out: Path) -> str:
    """Dump the CAMs of all photos to HDF5."""
    settings = load(params, Params)
    with open_stage("cams", settings.model_dump(exclude={"dataset"}), [dataset, network], folders=[out]) as stage:
        index = read_index(dataset)
        photos = settings.dataset.photos(index.records)
        publish(dump_cams(stage, index, photos, network, settings.cams, settings.inference), out)
    size = sum(file.stat().st_size for file in out.iterdir())
    return f"cams: {len(index.records)} photos, {size / len(index.records) / 1024:.1f} KiB a photo → {out}"


if __name__ == "__main__":
    main()
