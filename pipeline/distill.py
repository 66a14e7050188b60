"""Stage `distill`: pseudo-labels → the student network."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.atomic import write_text
from wsss.core.environment import leads
from wsss.core.folders import publish
from wsss.core.params import Seed, Settings, load
from wsss.core.stage import hash_input, open_stage
from wsss.data.index import read_index
from wsss.data.inference import InferenceSettings
from wsss.data.origins import FROM_NETWORK
from wsss.data.photos import Location
from wsss.data.tables import history_csv
from wsss.distill.agreement import agreement_csv, judge_agreement
from wsss.distill.data import TrainingData, open_labels
from wsss.distill.settings import PSEUDO, DistillSettings
from wsss.distill.stage import distill
from wsss.models.backbones.registry import weights_inputs
from wsss.numeric.device import set_threads
from wsss.stores.labels import LEARNED
from wsss.training.launch import training_command
from wsss.training.schedule import ComputeSettings


class Params(Settings):
    """What this stage reads of params.yaml."""

    seed: Seed
    compute: ComputeSettings
    dataset: Location
    inference: InferenceSettings
    distill: DistillSettings


@training_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--pseudo", type=click.Path(path_type=Path), default=str(LEARNED.place))
@click.option("--oste", type=click.Path(path_type=Path), default="artifacts/oste.pt")
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/distilled.pt")
@click.option("--relabelled", type=click.Path(path_type=Path), default="artifacts/relabelled")
@click.option("--epochs", type=click.Path(path_type=Path), default="artifacts/epochs")
@click.option("--history", type=click.Path(path_type=Path), default="reports/distill.csv")
@click.option("--agreement", type=click.Path(path_type=Path), default="reports/agreement.csv")
def main(
    params: Path,
    dataset: Path,
    pseudo: Path,
    oste: Path,
    out: Path,
    relabelled: Path,
    epochs: Path,
    history: Path,
    agreement: Path,
) -> str:
    """Train the student on the pseudo-labels of the train split, with OSTE as its teacher."""
    settings = load(params, Params)
    learned_from = settings.distill.store(pseudo)
    # What a store of corrected labels lacks is read of the pseudo-labels.
    rest = [pseudo] if learned_from != pseudo and pseudo.exists() else []
    inputs = [dataset, learned_from, *rest, oste, *weights_inputs(settings.distill.backbone)]
    identity, files = settings.model_dump(exclude={"dataset"}), [out, history, agreement]
    with open_stage("distill", identity, inputs, files=files, folders=[epochs, relabelled]) as stage:
        set_threads(settings.compute.threads)
        index = read_index(dataset)
        labels = open_labels(pseudo, settings.distill, index)
        photos = settings.dataset.photos(index.split("train"))
        taken = int(labels.attributes.get(FROM_NETWORK, 0))
        learned = "" if settings.distill.labels == PSEUDO else hash_input(labels.path)
        marks = labels.upper_bound, labels.by_hand, taken, learned
        data = TrainingData(index, photos, labels, oste, settings.seed, *marks)
        made = distill(stage, data, settings.distill, settings.inference, out)
        if leads():
            write_text(history, history_csv(made.history))
            write_text(agreement, agreement_csv(made.agreement, index))
            publish(made.epochs, epochs)
            publish(made.relabelled, relabelled)
    rows = made.history
    losses = f"loss {rows[0]['loss']:.3f} → {rows[-1]['loss']:.3f}"
    remark = f", {data.remark}" if data.remark else ""
    agrees = judge_agreement(stage.name, made.agreement, index)
    return f"distill: {len(photos.records)} photos, {len(rows)} epochs, {losses}, {agrees}{remark} → {out}"


if __name__ == "__main__":
    main()
