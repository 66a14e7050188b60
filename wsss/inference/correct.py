"""Making pseudo-labels of all photos from their CAMs, shard by shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from wsss.core.device import set_threads
from wsss.core.interrupt import check_stop
from wsss.core.params import Settings
from wsss.core.stage import Stage
from wsss.data.datasets import Photos
from wsss.data.index import IGNORE, Index
from wsss.pseudo.fixed import FixedSettings, fixed_pseudo_label
from wsss.pseudo.labels import without_signal
from wsss.stores.cams import CamStore
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore, put_labels
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store


class CorrectSettings(Settings):
    """Section `correct` of params.yaml."""

    fixed: FixedSettings
    shard_size: int = Field(ge=1, description="photos in one HDF5 file: the most that a killed run loses per worker")


@dataclass(frozen=True)
class CorrectSummary:
    """Share of labelled pixels, photos without any foreground label, photos with a CAM without signal."""

    coverage: float
    empty: tuple[str, ...]
    no_signal: tuple[str, ...]


def make_pseudo_labels(
    stage: Stage, index: Index, photos: Photos, cams: Path, settings: CorrectSettings, out: Path
) -> CorrectSummary:
    """Write the pseudo-labels of all `photos` as the store `out`."""
    source = CamStore(cams)
    source.expect_classes(index.classes)
    meta = StoreMeta(PSEUDO_FORMAT, index.classes, stage.fingerprint, {"crf": settings.fixed.crf.enabled})
    shards = plan_shards([record.id for record in photos.records], settings.shard_size)
    write_store(stage, out, meta, shards, correct_shard, (photos, source, settings))
    return summarise(PseudoStore(out), photos, source)


def correct_shard(
    path: Path, shard: Shard, meta: StoreMeta, photos: Photos, cams: CamStore, settings: CorrectSettings
) -> None:
    """Make and write one shard."""
    set_threads(1)
    wanted = set(shard.ids)
    with shard_writer(path, shard, meta) as file:
        for record in photos.records:
            if record.id in wanted:
                check_stop()
                found = cams.read(record.id)
                made = fixed_pseudo_label(photos.image(record), found.scores, found.classes, settings.fixed)
                put_labels(file, record.id, made.label, made.confidence)


def summarise(labels: PseudoStore, photos: Photos, cams: CamStore) -> CorrectSummary:
    """Read the finished labels once and count."""
    labelled = pixels = 0
    empty, no_signal = [], []
    for record in photos.records:
        label = labels.label(record.id)
        counts = np.bincount(label.ravel(), minlength=256)
        labelled += label.size - int(counts[IGNORE])
        pixels += label.size
        if record.tags and not counts[1:IGNORE].any():
            empty.append(record.id)
        scores = cams.read(record.id).scores
        if without_signal(scores).any():
            no_signal.append(record.id)
    return CorrectSummary(labelled / max(pixels, 1), tuple(empty), tuple(no_signal))
