"""Stage `correct`: pseudo-labels of all photos from their CAMs, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wsss.core.interrupt import check_stop
from wsss.core.stage import Stage
from wsss.correct.check import check
from wsss.correct.labels import without_signal
from wsss.correct.settings import CorrectSettings
from wsss.correct.tables import unpack
from wsss.data.index import IGNORE, Index, Record
from wsss.data.photos import Photos
from wsss.numeric.device import set_threads
from wsss.stores.cams import MAPS_BY, Cams, CamStore
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore, put_labels, put_mixtures
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer


@dataclass(frozen=True)
class CorrectSummary:
    """`coverage`: fraction of labelled pixels; `empty`: photos with tags and without any foreground label.

    `no_signal`: photos with a CAM without signal; `guards`: by reason, photos with a map that a mixture cannot cut
    (those without signal included). `tagged`, `labelled_with`: of each class, photos with the tag, and those of them
    that have a pixel of it.
    """

    coverage: float
    empty: tuple[str, ...]
    no_signal: tuple[str, ...]
    guards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tagged: tuple[int, ...] = ()
    labelled_with: tuple[int, ...] = ()


def make_pseudo_labels(
    stage: Stage, index: Index, photos: Photos, cams: CamStore, settings: CorrectSettings, shard_size: int
) -> PseudoStore:
    """The pseudo-labels of all `photos`, a store in the stage's scratch folder."""
    cams.expect_classes(index.classes)
    method = settings.made()
    whose = {MAPS_BY: cams.attributes[MAPS_BY]} if MAPS_BY in cams.attributes else {}
    meta = StoreMeta(PSEUDO_FORMAT, index.classes, {"method": settings.method, **method.attributes(), **whose})
    shards = plan_shards([record.id for record in photos.records], shard_size)
    survey = method.survey(_each(cams, index.split("train")))
    return PseudoStore(build_store(stage, meta, shards, correct_shard, (photos, cams, settings, survey)))


def _each(cams: CamStore, records: Sequence[Record]) -> Iterator[Cams]:
    for record in records:
        check_stop()
        yield cams.read(record.id)


def correct_shard(
    path: Path, shard: Shard, meta: StoreMeta, photos: Photos, cams: CamStore, settings: CorrectSettings, survey: Any
) -> None:
    """Make and write one shard, of `photos`."""
    set_threads(1)
    found = [cams.read(record.id) for record in photos.records]
    method = settings.made()
    begun = method.begin(found, survey)
    with shard_writer(path, shard, meta) as file:
        for record, maps, part in zip(photos.records, found, begun, strict=True):
            check_stop()
            image = photos.image(record)
            made = method.label(image, maps, part)
            check(made, settings.method, record, image, len(meta.classes))
            put_labels(file, record.id, made.label, made.confidence, **made.before)
            if made.mixtures is not None:
                put_mixtures(file, record.id, made.mixtures)


def summarise(labels: PseudoStore, photos: Photos, cams: CamStore, foreground: int) -> CorrectSummary:
    """Read the finished labels once and count."""
    labelled = pixels = 0
    tagged, labelled_with = np.zeros(foreground, np.int64), np.zeros(foreground, np.int64)
    empty, no_signal = [], []
    guards: dict[str, list[str]] = {}
    for record in photos.records:
        check_stop()
        label = labels.label(record.id)
        counts = np.bincount(label.ravel(), minlength=256)
        labelled += label.size - int(counts[IGNORE])
        pixels += label.size
        present = np.array(record.tags, np.int64)
        tagged[present - 1] += 1
        labelled_with[present - 1] += counts[present] > 0
        if record.tags and not counts[1:IGNORE].any():
            empty.append(record.id)
        if without_signal(cams.read(record.id).scores).any():
            no_signal.append(record.id)
        if labels.has_mixtures:
            for reason in sorted({unpack(row)[0].guard for row in labels.mixtures(record.id)} - {""}):
                guards.setdefault(reason, []).append(record.id)
    by_reason = {reason: tuple(ids) for reason, ids in sorted(guards.items())}
    return CorrectSummary(
        labelled / max(pixels, 1),
        tuple(empty),
        tuple(no_signal),
        by_reason,
        tuple(tagged.tolist()),
        tuple(labelled_with.tolist()),
    )
