"""Stage `pretrain`: tags → a classifier."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.atomic import write_text
from wsss.core.params import Seed, Settings, load
from wsss.core.stage import open_stage
from wsss.data.index import read_index
from wsss.data.photos import Location
from wsss.data.tables import history_csv
from wsss.models.backbones.registry import weights_inputs
from wsss.numeric.device import set_threads
from wsss.training.launch import training_command
from wsss.training.pretrain import PretrainSettings, pretrain
from wsss.training.schedule import ComputeSettings
from wsss.training.verdict import judge_tags, tags_csv


class Params(Settings):
    """What this stage reads of params.yaml."""

    seed: Seed
    compute: ComputeSettings
    dataset: Location
    pretrain: PretrainSettings


@training_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/backbone.pt")
@click.option("--history", type=click.Path(path_type=Path), default="reports/pretrain.csv")
@click.option("--tags", type=click.Path(path_type=Path), default="reports/pretrain_tags.csv")
def main(params: Path, dataset: Path, out: Path, history: Path, tags: Path) -> str:
    """Train the classifier on the tags of the train split."""
    settings = load(params, Params)
    identity, inputs = settings.model_dump(exclude={"dataset"}), [dataset, *weights_inputs(settings.pretrain.backbone)]
    with open_stage("pretrain", identity, inputs, files=[out, history, tags]) as stage:
        set_threads(settings.compute.threads)
        index = read_index(dataset)
        photos = settings.dataset.photos(index.records)
        made = pretrain(stage, index, photos, settings.seed, settings.pretrain, out)
        write_text(history, history_csv(made.history))
        write_text(tags, tags_csv(made.tags))
    rows = made.history
    before = "probe" if settings.pretrain.probe else "untrained"
    known = judge_tags(stage.name, made.tags, before, settings.pretrain.verdict)
    losses = f"{len(rows)} epochs, loss {rows[0]['loss']:.3f} → {rows[-1]['loss']:.3f}" if rows else "probe not tuned"
    return f"pretrain: {len(index.split('train'))} photos, {losses}, {known} → {out}"


if __name__ == "__main__":
    main()
