"""Stage `train`: tags → OSTE."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.atomic import write_text
from wsss.core.params import Seed, Settings, load
from wsss.core.stage import open_stage
from wsss.data.index import read_index
from wsss.data.photos import Location
from wsss.data.tables import history_csv
from wsss.numeric.device import set_threads
from wsss.training.launch import training_command
from wsss.training.loop import History
from wsss.training.oste import TrainSettings, train
from wsss.training.schedule import ComputeSettings
from wsss.training.untrained import keep_classifier
from wsss.training.verdict import judge_signal, judge_tags, tags_csv

BEFORE = "before"
"""The pretrained classifier, in the table of the tags."""


class Params(Settings):
    """What this stage reads of params.yaml."""

    seed: Seed
    compute: ComputeSettings
    dataset: Location
    train: TrainSettings


@training_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--classifier", type=click.Path(path_type=Path), default="artifacts/backbone.pt")
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/oste.pt")
@click.option("--history", type=click.Path(path_type=Path), default="reports/train.csv")
@click.option("--tags", type=click.Path(path_type=Path), default="reports/train_tags.csv")
def main(params: Path, dataset: Path, classifier: Path, out: Path, history: Path, tags: Path) -> str:
    """Train OSTE on the tags of the train split, from the pretrained classifier; or keep that, if so set."""
    settings = load(params, Params)
    identity = settings.model_dump(exclude={"dataset"})
    with open_stage("train", identity, [dataset, classifier], files=[out, history, tags]) as stage:
        set_threads(settings.compute.threads)
        index = read_index(dataset)
        photos = settings.dataset.photos(index.records)
        if settings.train.enabled:
            made = train(stage, index, photos, classifier, settings.seed, settings.train, out)
        else:
            made = keep_classifier(stage, index, photos, classifier, settings.train, out)
        write_text(history, history_csv(made.history))
        write_text(tags, tags_csv(made.tags))
    if not settings.train.enabled:
        return f"train: the classifier as it is; stage pretrain has judged it → {out}"
    known = judge_tags(stage.name, made.tags, BEFORE, settings.train.verdict)
    judge_signal(stage.name, made.tags, made.signal)
    return f"train: {len(index.split('train'))} photos, {_trained(made.history, settings.train)}, {known} → {out}"


def _trained(rows: History, settings: TrainSettings) -> str:
    first = rows[min(settings.warmup_epochs, len(rows) - 1)]  # the warm-up has fewer terms
    losses = f"loss {first['loss']:.3f} → {rows[-1]['loss']:.3f}"
    return f"{len(rows)} epochs, {losses}, {100 * rows[-1]['labelled']:.0f} % of pixels labelled"


if __name__ == "__main__":
    main()
