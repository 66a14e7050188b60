"""Imports masks as labels, to train the upper bound that weak supervision is compared with.

A student that is trained on this store has seen masks. The store is marked, and stage `distill` takes it only where
`distill.labels` names it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.log import warn
from wsss.core.params import Settings, load
from wsss.core.stage import Stage, open_stage
from wsss.data.index import IGNORE, Index, Record, read_index
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.photos import Location
from wsss.data.size import fit_label
from wsss.evaluation.new_store import publish_new
from wsss.numeric.device import set_threads
from wsss.stores.labels import PSEUDO_FORMAT, UPPER_BOUND, put_labels
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

SHARD = 32
MASKS = Path("artifacts/masks_as_labels")
"""What the names of imported masks begin with."""


class Params(Settings):
    """What this command reads of params.yaml."""

    dataset: Location


def import_masks(stage: Stage, index: Index, masks: MaskedImages) -> tuple[Path, int]:
    """Write the masks of `masks.photos` as a store of labels in the scratch folder. Returns it, and how many there are.

    A photo without a mask is 255 everywhere. Raises `UserError` if no photo has a mask.
    """
    records = masks.photos.records
    known = sum(record.mask is not None for record in records)
    if not known:
        raise UserError(
            "index.csv",
            f"not one of {len(records)} train photos has a mask, so there is nothing to import",
            "set dataset.masks to the folder of masks, and run: dvc repro index",
        )
    meta = StoreMeta(PSEUDO_FORMAT, index.classes, {"crf": False, UPPER_BOUND: True})
    shards = plan_shards([record.id for record in records], SHARD)
    return build_store(stage, meta, shards, import_shard, (masks,)), known


def import_shard(path: Path, shard: Shard, meta: StoreMeta, masks: MaskedImages) -> None:
    """Write one shard, of the photos of `masks`."""
    set_threads(1)
    with shard_writer(path, shard, meta) as file:
        for record in masks.photos.records:
            check_stop()
            label = label_of(masks, record)
            put_labels(file, record.id, label, (label != IGNORE).astype(np.float32))


def label_of(masks: MaskedImages, record: Record) -> np.ndarray:
    """(H, W) uint8 of the size that the photo is read at: the mask, or 255 everywhere."""
    mask = masks.mask(record)
    return np.full(record.size, IGNORE, np.uint8) if mask is None else fit_label(mask, record.size)


def import_train_masks(params: Path, dataset: Path, checksums: Path, out: Path | None = None) -> str:
    """Import the masks of the train split of the index `dataset` into the store `out`, without that into one named by
    its content. Returns the message to print. Raises `UserError` if `out` holds anything else.

    `checksums`: those of the masks by stage `index`, so that shards of an interrupted import are not mixed with others.
    """
    settings = load(params, Params)
    with open_stage("import_masks", {}, [dataset, checksums], folders=[out] if out else []) as stage:
        index = read_index(dataset)
        photos = settings.dataset.photos(index.split("train"))
        masks = MaskedImages(photos, len(index.classes), read_mask_checksums(checksums), index.dropped)
        built, known = import_masks(stage, index, masks)
        place, new = publish_new(built, out, MASKS)
    if unknown := len(photos.records) - known:
        what = f"{unknown} train photos have no mask and are 255 everywhere"
        warn(place, what, "none needed, but the bound is lower")
    return (
        f"labels: {known} masks → {place}{'' if new else ', which is there already'}\n"
        "UPPER BOUND: a student trained on these has seen masks and is not weakly supervised. "
        f"To train it: dvc exp run gallery -S ++distill.labels={place} -S ++distill.relabel.overrule=false "
        "-S distill.rounds=1"
    )
