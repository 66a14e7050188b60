"""Finished runs on hand-made photos: the folders that `wsss compare` reads, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.core.atomic import sha256_file
from wsss.data.images import save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.data.tables import csv_text
from wsss.report.scores import SOURCE_COLUMNS
from wsss.stores.labels import PREDICTIONS_FORMAT, PSEUDO_FORMAT, put_labels
from wsss.stores.shards import Shard, StoreMeta, shard_writer, write_store_index

SHAPE = (12, 16)
CLASSES = ("background", "<script>alert(1)</script>", 'cow" onmouseover="alert(2)')
SCORES = {"cam": 0.25, "student ms+flip+crf": 0.5}


@dataclass(frozen=True)
class Toy:
    """One photo: its split, mask and label maps, each (12, 16) uint8 or None."""

    name: str
    prediction: np.ndarray | None
    mask: np.ndarray | None = None
    pseudo: np.ndarray | None = None
    split: str = "val"


def columns(*values: int) -> np.ndarray:
    """(12, 16) uint8: vertical bands of equal width, one a value."""
    return np.repeat(np.asarray(values, np.uint8), SHAPE[1] // len(values))[None].repeat(SHAPE[0], axis=0)


def write_run(
    folder: Path,
    toys: Sequence[Toy],
    *,
    classes: tuple[str, ...] = CLASSES,
    scores: Mapping[str, float] = SCORES,
    alpha: float = 0.5,
    crf: bool = True,
    labels: tuple[float, float, float] | None = None,
) -> Path:
    """Write photos, index, stores, scores and params.yaml into `folder`, as a finished run leaves them.

    `labels`: of the pseudo-labels mIoU, mIoU of labelled pixels only, and coverage.
    """
    records = [_photo(folder / "data", toy) for toy in toys]
    write_index(folder / "artifacts/dataset", Index(classes, tuple(sorted(records, key=lambda record: record.id))))
    pseudo = {toy.name: (toy.pseudo, {}) for toy in toys if toy.pseudo is not None}
    made = {toy.name: toy.prediction for toy in toys if toy.prediction is not None}
    earlier = ("single", "multiscale", "oste", "oste_single", "oste_multiscale")
    predictions = {name: (label, dict.fromkeys(earlier, label)) for name, label in made.items()}
    _store(folder / "artifacts/pseudo", PSEUDO_FORMAT, pseudo, classes, crf=crf)
    _store(folder / "artifacts/predictions", PREDICTIONS_FORMAT, predictions, classes, crf=crf)
    values = {"split": "val", "images": len(made), "miou_labelled": "", "coverage": "1.0000"}
    named = [{"source": name, "miou": miou, **values} for name, miou in scores.items()]
    if labels is not None:
        measures = dict(zip(("miou", "miou_labelled", "coverage"), labels, strict=True))
        named.insert(0, {"source": "pseudo-label", **values, **measures})
    rows = [[row.get(column, "no") for column in SOURCE_COLUMNS] for row in named]
    (folder / "reports").mkdir(parents=True, exist_ok=True)
    (folder / "reports/sources.csv").write_text(csv_text(SOURCE_COLUMNS, rows), encoding="utf-8")
    params = f"seed: 0\ndataset: {{root: data}}\ncorrect: {{fixed: {{alpha: {alpha}, gamma: 4}}}}\n"
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    return folder


def _photo(root: Path, toy: Toy) -> Record:
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(toy.name.encode())).integers(0, 256, (*SHAPE, 3), np.uint8)
    file = f"{toy.name}.png"
    Image.fromarray(pixels).save(root / file)
    mask = None if toy.mask is None else f"{toy.name}-mask.png"
    if mask is not None and toy.mask is not None:
        save_mask_png(root / mask, toy.mask)
    return Record(toy.name, toy.split, file, mask, (1,), *SHAPE, sha256_file(root / file))


def _store(
    folder: Path,
    kind: str,
    labels: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]],
    classes: tuple[str, ...],
    **attributes: bool,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    meta = StoreMeta(kind, classes, attributes)
    shards = [Shard("00000.h5", tuple(sorted(labels)))] if labels else []
    for shard in shards:
        with shard_writer(folder / shard.name, shard, meta) as file:
            for name in shard.ids:
                label, others = labels[name]
                put_labels(file, name, label, np.ones(SHAPE, np.float32), **others)
    write_store_index(folder, meta, shards)
