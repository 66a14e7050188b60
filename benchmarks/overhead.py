"""What a set of photos costs beside the work on them: its index, the plan of a training, and the tasks of each stage.

The tasks are those of the stages with their real arguments, and go to a worker that makes an empty shard of each: so
this is planning, pickling, submission, clean-up, and the checksums of the store's index. See `benchmarks.scale`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from wsss.cams import stage as cams
from wsss.core.stage import Stage
from wsss.correct import stage as correct
from wsss.correct.settings import CorrectSettings
from wsss.data.index import Index, Record, read_index, write_index
from wsss.data.inference import InferenceSettings
from wsss.data.masks import MaskedImages
from wsss.data.photos import Photos
from wsss.evaluation import counting, predictions
from wsss.evaluation.sources import EvaluateSettings
from wsss.stores.cams import FORMAT, CamStore
from wsss.stores.labels import PSEUDO_FORMAT, PredictionStore, PseudoStore
from wsss.stores.shards import StoreMeta, build_store, plan_shards
from wsss.training.sampling import BatchSampler, Plan

CLASSES = ("background", "cat", "cow", "dog")
WORKER = Path("worker")
"""Where the worker notes the processor time at its first and at its last task."""
_first: list[float] = []


def overheads(photos: int) -> Iterator[tuple[str, float, float]]:
    """In a folder that holds `oste.pt` and `distilled.pt`: what it is, seconds of the processor, and MiB of this
    process so far.
    """
    records = tuple(
        Record(f"{n:07}", "val" if n % 2 else "train", f"{n:07}.jpg", f"{n:07}.png", (1 + n % 3,), 72, 96, f"{n:064x}")
        for n in range(photos)
    )
    index = Index(CLASSES, records)
    write_index(Path("dataset"), index)
    works: dict[str, Callable[[], object]] = {
        "reading the index": lambda: read_index(Path("dataset")),
        "order of the photos of an epoch": lambda: sum(1 for _ in BatchSampler(Plan(0, photos, 8, 1))),
        **_stages(index, Photos(Path("photos"), 1.0, records)),
    }
    for what, work in works.items():
        yield what, _seconds(work), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _stages(index: Index, photos: Photos) -> dict[str, Callable[[], object]]:
    """The tasks of each stage that has any."""
    inference, how, split = InferenceSettings(), EvaluateSettings(scales=(1.0,), crf=None), "val"
    networks = predictions.Networks(Path("distilled.pt"), Path("oste.pt"))
    masks = MaskedImages(photos, len(CLASSES))
    fixed = CorrectSettings.model_validate({"method": "fixed", "fixed": {"crf": None}})
    ids = [record.id for record in photos.records]
    maps = CamStore(_empty(StoreMeta(FORMAT, CLASSES, {"scales": "1.0"}), ids))
    labels = PseudoStore(_empty(StoreMeta(PSEUDO_FORMAT, CLASSES, {"crf": False}), ids))

    def stage(name: str) -> Stage:
        return Stage(name, "", Path(f"scratch {name}"))

    def predict() -> PredictionStore:
        return predictions.predict_photos(stage("evaluate"), index, photos, networks, how, inference)

    def score() -> None:
        stores = counting.Stores(maps, (labels,), PredictionStore(Path("scratch evaluate/store")))
        counting.count_photos(photos.records, split, masks, stores, 27)

    return {
        "tasks of `cams`": lambda: cams.dump_cams(
            stage("cams"), index, photos, networks.oste, cams.CamsSettings(), inference
        ),
        "tasks of `correct`": lambda: correct.make_pseudo_labels(stage("correct"), index, photos, maps, fixed, 0),
        "tasks of `evaluate`: predictions": predict,
        "tasks of `evaluate`: scores": score,
    }


def _empty(meta: StoreMeta, ids: list[str]) -> Path:
    """A store of empty shards."""
    return build_store(Stage(meta.format, "", Path(f"made {meta.format}")), meta, plan_shards(ids, 0), empty, (), True)


def _seconds(work: Callable[[], object]) -> float:
    """Seconds of the processor that `work` takes here and, where it has tasks, in its worker after the first one."""
    WORKER.unlink(missing_ok=True)
    begin = time.process_time()
    with (
        mock.patch.object(cams, "build_store", _of_empty_shards),
        mock.patch.object(correct, "build_store", _of_empty_shards),
        mock.patch.object(predictions, "build_store", _of_empty_shards),
        mock.patch.object(counting, "count_chunk", nothing),
    ):
        work()
    here = time.process_time() - begin
    first, last = map(float, WORKER.read_text().split()) if WORKER.exists() else (0.0, 0.0)
    return here + last - first


def _of_empty_shards(*arguments: Any, **more: Any) -> Path:
    stage, meta, shards, _, *others = arguments
    return build_store(stage, meta, shards, empty, *others, **more)


def empty(path: Path, *arguments: Any) -> None:
    """A task that writes a file of nothing."""
    path.write_bytes(b"")
    nothing()


def nothing(*arguments: Any) -> dict[str, Any]:
    """A task that counts nothing."""
    _first.append(time.process_time())
    WORKER.write_text(f"{_first[0]} {_first[-1]}")
    return {}
