"""Predictions of the student and of OSTE's segmentation branch for the evaluation split, shard by shard."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsss.core.interrupt import check_stop
from wsss.core.kept import kept
from wsss.core.params import flat
from wsss.core.stage import Stage
from wsss.data.batches import needs, size_batches
from wsss.data.index import Index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.models.base_student import BaseStudent
from wsss.models.checkpoint import save_network
from wsss.models.oste import Oste, load_oste
from wsss.models.student import load_student
from wsss.numeric.device import device, enough_memory, set_threads
from wsss.predict.segment import SegmentSettings, predict, predict_oste
from wsss.stores.labels import BRANCH, PREDICTIONS_FORMAT, PredictionStore, put_labels, put_tag_logits
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer


@dataclass(frozen=True)
class Networks:
    """The files of the two networks that segment."""

    student: Path
    oste: Path

    def load(self, classes: tuple[str, ...]) -> tuple[BaseStudent, Oste]:
        """Both, checked against the data set's classes; the same objects for every shard of a process."""
        return kept(load_student, self.student, classes), kept(load_oste, self.oste, classes)


def predict_photos(
    stage: Stage,
    index: Index,
    photos: Photos,
    networks: Networks,
    settings: SegmentSettings,
    inference: InferenceSettings,
    shared: Executor | None = None,
) -> PredictionStore:
    """The predictions of both networks for all `photos`, a store in the stage's scratch folder. An OSTE without a
    segmentation branch gives the photos' class scores only.

    `shared`: an executor that the stage has for other work too.
    """
    _, oste = networks.load(index.classes)  # errors before workers start
    attributes = flat(SegmentSettings(**view_of(settings)))
    branch = {} if oste.segmentation is not None else {BRANCH: False}
    meta = StoreMeta(PREDICTIONS_FORMAT, index.classes, {**attributes, "crf": settings.crf is not None, **branch})
    shards = plan_shards([record.id for record in photos.records], inference.shard_size)
    arguments = (photos, networks, settings, inference)
    in_process = device().type != "cpu"
    return PredictionStore(build_store(stage, meta, shards, predict_shard, arguments, in_process, shared=shared))


def write_student(distilled: Path, index: Index, settings: SegmentSettings, out: Path) -> None:
    """Write the network of the file `distilled` to `out`, with how it was evaluated: what uses it does the same."""
    network, card = load_student(distilled, index.classes)
    save_network(out, network, replace(card, view=SegmentSettings(**view_of(settings)).model_dump(mode="json")))


def view_of(settings: SegmentSettings) -> dict[str, Any]:
    """The fields of `SegmentSettings` alone."""
    return {name: getattr(settings, name) for name in SegmentSettings.model_fields}


def predict_shard(
    path: Path,
    shard: Shard,
    meta: StoreMeta,
    photos: Photos,
    networks: Networks,
    settings: SegmentSettings,
    inference: InferenceSettings,
) -> None:
    """Predict and write one shard, of `photos`."""
    set_threads(inference.threads)
    where = device()
    student, oste = networks.load(meta.classes)
    student.to(where)
    oste.to(where)
    with shard_writer(path, shard, meta) as file:
        for batch in size_batches(photos.records, inference.batch):
            check_stop()
            with enough_memory(*needs("evaluate", batch)):
                images = [photos.image(record) for record in batch]
                final = predict(student, "student", images, settings, where)
                branch, tags = predict_oste(oste, images, settings, where)
            for number, (record, made, logits) in enumerate(zip(batch, final, tags, strict=True)):
                steps = {"single": made.single, "multiscale": made.multiscale}
                if branch is not None:
                    before = branch[number]
                    steps |= {"oste": before.final, "oste_single": before.single, "oste_multiscale": before.multiscale}
                put_labels(file, record.id, made.final, made.confidence, **steps)
                put_tag_logits(file, record.id, logits)
