"""A task carries what its shard needs, and nothing that grows with the data set."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.helpers import CLASSES
from tests.toy_networks import write_oste, write_student
from wsss.cams.stage import CamsSettings, dump_cams
from wsss.core.stage import Stage
from wsss.correct.settings import CorrectSettings
from wsss.correct.stage import make_pseudo_labels
from wsss.data.index import Index, Record
from wsss.data.inference import InferenceSettings
from wsss.data.masks import MaskedImages
from wsss.data.photos import Photos
from wsss.distill.data import TrainingData
from wsss.distill.relabel import relabel_photos
from wsss.distill.rules import RelabelSettings
from wsss.evaluation import counting
from wsss.evaluation.import_cams import Files, cam_store
from wsss.evaluation.import_masks import import_masks
from wsss.evaluation.predictions import Networks, predict_photos
from wsss.evaluation.sources import EvaluateSettings
from wsss.stores import shards
from wsss.stores.cams import FORMAT, CamStore
from wsss.stores.labels import PREDICTIONS_FORMAT, PSEUDO_FORMAT, PredictionStore, PseudoStore, RelabelledStore
from wsss.stores.shards import StoreMeta, plan_shards, write_store_index

INFERENCE = InferenceSettings(shard_size=10)


class Set:
    """So many photos, of which there is nothing but the tables, and stores of all of them."""

    def __init__(self, folder: Path, photos: int) -> None:
        records = tuple(
            Record(f"{number:05}", "train", f"{number:05}.jpg", "mask.png", (1,), 8, 8, "f" * 64)
            for number in range(photos)
        )
        self.folder, self.index, self.photos = folder, Index(CLASSES, records), Photos(folder, 1.0, records)
        self.masks = MaskedImages(self.photos, len(CLASSES))
        self.networks = Networks(folder / "student.pt", folder / "oste.pt")
        paths = {record.id: folder / record.image for record in records}
        self.files = Files(paths, {record.id: record for record in records})
        self.cams = CamStore(self.store(FORMAT))
        self.pseudo = PseudoStore(self.store(PSEUDO_FORMAT))
        relabelled = RelabelledStore(self.store(PSEUDO_FORMAT))
        predictions = PredictionStore(self.store(PREDICTIONS_FORMAT))
        self.stores = counting.Stores(self.cams, (self.pseudo, relabelled), predictions)

    def store(self, kind: str) -> Path:
        folder = self.folder / f"{kind} {len(self.photos.records)}"
        planned = plan_shards([record.id for record in self.photos.records], 10)
        folder.mkdir(exist_ok=True)
        for shard in planned:
            (folder / shard.name).touch()
        write_store_index(folder, StoreMeta(kind, CLASSES, {"raw": True}), planned)
        return folder

    @property
    def stage(self) -> Stage:
        return Stage("test", "f" * 16, self.folder / "scratch")

    @property
    def data(self) -> TrainingData:
        return TrainingData(self.index, self.photos, self.pseudo, self.folder / "oste.pt", 0)


def fixed() -> CorrectSettings:
    return CorrectSettings.model_validate({"method": "fixed"})


WORKS: dict[str, Callable[[Set], object]] = {
    "cams": lambda of: dump_cams(
        of.stage, of.index, of.photos, of.folder / "oste.pt", CamsSettings(scales=(1.0,)), INFERENCE
    ),
    "correct": lambda of: make_pseudo_labels(of.stage, of.index, of.photos, of.cams, fixed(), 10),
    "relabel": lambda of: relabel_photos(
        of.stage, of.data, of.folder / "student.pt", RelabelSettings(scales=(1.0,)), INFERENCE
    ),
    "predict": lambda of: predict_photos(
        of.stage, of.index, of.photos, of.networks, EvaluateSettings(scales=(1.0,)), INFERENCE
    ),
    "score": lambda of: counting.count_photos(of.photos.records, "train", of.masks, of.stores, 27),
    "import masks": lambda of: import_masks(of.stage, of.index, of.masks),
    "import cams": lambda of: cam_store(of.stage, of.index, of.files, 0, ""),
}


class TakenError(Exception):
    """Ends a stage once its first task is known."""


@pytest.mark.parametrize("work", WORKS)
def test_pickled_task_is_as_large_among_many_photos_as_among_few(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    write_oste(tmp_path / "oste.pt")
    write_student(tmp_path / "student.pt")
    sizes: list[int] = []

    def weigh(executor: object, task: object, jobs: Iterable[Any], *others: object) -> NoReturn:
        sizes.append(len(pickle.dumps((task, next(iter(jobs))))))
        raise TakenError

    for module in (shards, counting):
        monkeypatch.setattr(module, "run_counted", weigh)
    for photos in (40, 4000):
        with pytest.raises(TakenError):
            WORKS[work](Set(tmp_path, photos))
    few, many = sizes
    assert few < many + 100
    assert many < few + 100
