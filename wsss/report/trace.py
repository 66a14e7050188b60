"""One photo through a whole run, in the order of the pipeline: at which step did it go wrong?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsss.core.errors import WsssError
from wsss.data.images import MAX_MEGAPIXELS
from wsss.data.index import Index, Record, read_index
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.photos import Photos
from wsss.evaluation.sources import EvaluateSettings
from wsss.evaluation.thresholds import BINS
from wsss.report.beside import photo_row
from wsss.report.drawing import photo_file, photo_root
from wsss.report.imported import learned_store
from wsss.report.lineage import unlisted
from wsss.report.pixel import places
from wsss.report.sides import run_settings
from wsss.report.trace_steps import Judge, Step
from wsss.stores.cams import CamStore
from wsss.stores.labels import LabelStore, PredictionStore, PseudoStore, RelabelledStore
from wsss.stores.opened import is_store, known_id, open_pseudo

ARTIFACTS, DATASET, TABLE, MASKS = "artifacts", "dataset", "index.csv", "masks.csv"
THRESHOLD = "cam_threshold"


@dataclass(frozen=True)
class Trace:
    """A photo of a run and its `steps`. `photo`: (H, W, 3) uint8 as it was read, `mask`: (H, W) uint8 of the photo's
    own size; None where they cannot be had. `threshold`: the score at which stretched CAMs are cut.
    """

    record: Record
    classes: tuple[str, ...]
    photo: np.ndarray | None
    mask: np.ndarray | None
    threshold: float
    steps: tuple[Step, ...]


def artifacts_of(path: Path) -> Path | None:
    """The artifacts of the run that `path` is, or `path` where it holds them; None where it is nothing of the kind."""
    return next((folder for folder in (path / ARTIFACTS, path) if (folder / DATASET / TABLE).is_file()), None)


def trace(
    artifacts: Path, name: str, data: Path | None = None, at: tuple[int, int] | None = None
) -> tuple[dict[str, Any], Trace]:
    """Photo `name` through the run in the folder `artifacts`: as plain values, and to draw. `data`: the folder of the
    photos, if not where the settings say; `at`: (x, y), a pixel to say more of at each step.

    Raises `UserError` for an unknown photo, or one that is not in `data`, `IntegrityError` for a damaged store.
    """
    index = read_index(artifacts / DATASET)
    name = known_id(artifacts / DATASET, tuple(record.id for record in index.records), name)
    record = next(record for record in index.records if record.id == name)
    beside = (artifacts / DATASET).resolve()
    root = photo_root(beside) if data is None else data
    photo = None if root is None else _photo(root, record, must=data is not None)
    mask, why = (None, "") if root is None else _mask(root, index, record, artifacts / MASKS)
    where, there = ({}, None) if at is None else places(beside, name, record.size, at)
    judge = Judge(record, index.classes, mask, _threshold(beside.parent.parent), there)
    steps: list[Step] = []
    altered: dict[str, str] = {}
    for store in _stores(artifacts, beside.parent.parent):
        if name in store:
            steps += judge.cams(store) if isinstance(store, CamStore) else judge.labels(store)
            altered |= {str(store.path): reason} if (reason := unlisted(store.path)) else {}
    tags = [index.classes[tag] for tag in record.tags]
    summary: dict[str, Any] = {
        **({"careful": altered} if altered else {}),
        "id": name,
        "split": record.split,
        "tags": tags,
        "height": record.height,
        "width": record.width,
        **photo_file(beside, name, data),
        "mask": why or record.mask,
        **({"pixel": where} if where else {}),
        **({"threshold of stretched CAMs": judge.threshold / BINS} if any(step.maps for step in steps) else {}),
        "steps": {step.name: step.said for step in steps} or None,
        **photo_row(beside, name),
    }
    return summary, Trace(record, index.classes, photo, mask, judge.threshold / BINS, tuple(steps))


def _stores(artifacts: Path, root: Path) -> Iterator[CamStore | LabelStore]:
    """Those that there are, in the order of the pipeline; of imported labels, those that the student learned from."""
    if is_store(artifacts / "cams"):
        yield CamStore(artifacts / "cams")
    for kind in (PseudoStore, RelabelledStore):
        place = artifacts / kind.place.name
        if is_store(place):
            yield open_pseudo(place)
        if kind is PseudoStore and (imported := learned_store(root)) is not None:
            yield imported
    if is_store(artifacts / "predictions"):
        yield PredictionStore(artifacts / "predictions")


def _threshold(root: Path) -> int:
    """The number of the fixed threshold of CAMs, as stage `evaluate` has it."""
    said = (run_settings(root).get("evaluate") or {}).get(THRESHOLD, EvaluateSettings.model_fields[THRESHOLD].default)
    return min(BINS - 1, round(float(said) * BINS))


def _photo(root: Path, record: Record, must: bool) -> np.ndarray | None:
    """None where it cannot be had, or an error if it `must` be there."""
    try:
        return Photos(root, MAX_MEGAPIXELS, [record]).image(record)
    except WsssError:
        if must:
            raise
        return None


def _mask(root: Path, index: Index, record: Record, checksums: Path) -> tuple[np.ndarray | None, str]:
    """The mask, None where there is none; and what is wrong with one that should be there."""
    try:
        known = read_mask_checksums(checksums) if checksums.is_file() else None
        photos = Photos(root, MAX_MEGAPIXELS, [record])
        return MaskedImages(photos, len(index.classes), known, index.dropped).mask(record), ""
    except WsssError as error:
        return None, f"{record.mask}: {error.what}; so nothing is scored"
