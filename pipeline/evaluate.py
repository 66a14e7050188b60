"""Stage `evaluate`: predictions of both networks, and scores of everything that was made."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.atomic import write_text
from wsss.core.executor import workers_for
from wsss.core.folders import publish
from wsss.core.log import say, warn
from wsss.core.params import Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.data.index import read_index
from wsss.data.inference import InferenceSettings
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.origins import LABELS_SHA
from wsss.data.photos import Location
from wsss.evaluation.counting import Stores
from wsss.evaluation.predictions import Networks, predict_photos, view_of, write_student
from wsss.evaluation.sources import EvaluateSettings, evaluate
from wsss.evaluation.tables import write_tables
from wsss.predict.ways import try_ways, unasked
from wsss.stores.cams import CamStore
from wsss.stores.imported import Labels, imported_labels
from wsss.stores.labels import RelabelledStore
from wsss.stores.options import label_store_options, open_label_stores

FIXES = {
    "oste": "lower train.optim.lr or raise train.optim.epochs, then: dvc repro",
    "student": "look at the pseudo-labels in the gallery; if they are good, lower distill.optim.lr or raise "
    "distill.optim.epochs, then: dvc repro",
}
"""What to do about a collapsed network."""


class Params(Settings):
    """What this stage reads of params.yaml."""

    dataset: Location
    inference: InferenceSettings
    distill: Labels = Labels()
    evaluate: EvaluateSettings


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--masks", type=click.Path(path_type=Path), default="artifacts/masks.csv")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@label_store_options
@click.option("--oste", type=click.Path(path_type=Path), default="artifacts/oste.pt")
@click.option("--distilled", type=click.Path(path_type=Path), default="artifacts/distilled.pt")
@click.option("--student", type=click.Path(path_type=Path), default="artifacts/student.pt")
@click.option("--predictions", type=click.Path(path_type=Path), default="artifacts/predictions")
@click.option("--reports", type=click.Path(path_type=Path), default="reports")
def main(
    params: Path,
    dataset: Path,
    masks: Path,
    cams: Path,
    oste: Path,
    distilled: Path,
    student: Path,
    predictions: Path,
    reports: Path,
    **label_stores: Path,
) -> str:
    """Predict the evaluation split; score CAMs, pseudo-labels and predictions against the masks there are.

    Also write the student with how it was evaluated, for `wsss predict`.
    """
    settings, labels = load(params, Params), open_label_stores(label_stores)
    made_by_distill = next(store for store in labels if isinstance(store, RelabelledStore))
    noted = str(made_by_distill.attributes.get(LABELS_SHA, ""))
    imported = imported_labels(settings.distill.place, noted)
    if imported is not None:
        labels = (*labels, imported)
    inputs = [dataset, masks, cams, *(store.path for store in labels), oste, distilled]
    identity = settings.model_dump(exclude={"dataset"})
    files = [student, reports / "sources.csv"]
    guard = open_stage("evaluate", identity, inputs, files=files, folders=[predictions])
    with guard as stage, workers_for() as workers:
        index = read_index(dataset)
        maps = CamStore(cams)
        for store in (maps, *labels):
            store.expect_classes(index.classes)
        photos = settings.dataset.photos(index.split(settings.evaluate.split))
        networks, how = Networks(distilled, oste), settings.evaluate
        ways = unasked(how)
        if how.by_tags:
            everything = settings.dataset.photos(index.records)
            student_now, kept = networks.load(index.classes)[0], stage.scratch / "ways.json"
            ways = try_ways(student_now, index, everything, how, settings.inference, kept)
            say(f"evaluate: {ways.text()}")
        how = how.model_copy(update=view_of(ways.chosen))
        made = predict_photos(stage, index, photos, networks, how, settings.inference, workers)
        masked = MaskedImages(
            settings.dataset.photos(index.records), len(index.classes), read_mask_checksums(masks), index.dropped
        )
        stores = Stores(maps, labels, made)
        result = evaluate(index, masked, stores, how, workers)
        table = write_tables(reports, index, result, how.split, bool(noted))
        write_text(reports / "ways.csv", ways.csv())
        write_student(distilled, index, how, student)
        publish(made.path, predictions)
    for source, spread in result.spreads.items():
        if spread.collapsed:
            what = f"{source} has collapsed on {settings.evaluate.split}: {spread.describe(index.classes)}"
            warn(predictions, what, FIXES[source.split()[0]])
    return (
        f"{table}\nevaluate: {len(photos.records)} predictions → {predictions}, scores → {reports}/sources.csv, "
        f"network → {student}"
    )


if __name__ == "__main__":
    main()
