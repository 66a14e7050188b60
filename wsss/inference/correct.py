"""Making pseudo-labels of all photos from their CAMs, shard by shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from pydantic import Field

from wsss.core.device import set_threads
from wsss.core.interrupt import check_stop
from wsss.core.params import Settings
from wsss.core.stage import Stage
from wsss.data.datasets import Photos
from wsss.data.index import IGNORE, Index, Record
from wsss.inference.mixtures import pack, shared_scores, unpack
from wsss.pseudo.correction import corrected_label
from wsss.pseudo.fixed import FixedSettings, fixed_pseudo_label
from wsss.pseudo.gmm import GmmSettings, Mixture, Shared, fit_maps
from wsss.pseudo.labels import foreground_scores, without_signal
from wsss.stores.cams import Cams, CamStore
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore, put_labels, put_mixtures, put_soft
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store


class CorrectSettings(Settings):
    """Section `correct` of params.yaml."""

    method: Literal["fixed", "gmm"] = Field(description="thresholds for all photos, or Gaussian mixtures of the scores")
    fixed: FixedSettings = Field(description="what gmm corrects, and what it falls back to")
    gmm: GmmSettings
    soft: bool = Field(description="also keep the posteriors of the present classes on the CAM grid")
    shard_size: int = Field(ge=1, description="photos in one HDF5 file: the most that a killed run loses per worker")


@dataclass(frozen=True)
class CorrectSummary:
    """Share of labelled pixels, photos without any foreground label, photos with a CAM without signal.

    `guards`: by reason, the photos of maps that a mixture cannot cut (those without signal included).
    """

    coverage: float
    empty: tuple[str, ...]
    no_signal: tuple[str, ...]
    guards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def make_pseudo_labels(
    stage: Stage, index: Index, photos: Photos, cams: Path, settings: CorrectSettings, out: Path
) -> CorrectSummary:
    """Write the pseudo-labels of all `photos` as the store `out`."""
    source = CamStore(cams)
    source.expect_classes(index.classes)
    gmm = settings.method == "gmm"
    crf = settings.gmm.crf if gmm else settings.fixed.crf
    attributes = {"crf": crf.enabled, "threshold": settings.method, "soft": settings.soft}
    meta = StoreMeta(PSEUDO_FORMAT, index.classes, stage.fingerprint, attributes)
    shards = plan_shards([record.id for record in photos.records], settings.shard_size)
    shared = None
    if gmm and settings.gmm.scope != "image":
        shared = shared_scores(source, index.split("train"), len(index.classes))
    write_store(stage, out, meta, shards, correct_shard, (photos, source, settings, shared))
    return summarise(PseudoStore(out), photos, source)


def correct_shard(
    path: Path,
    shard: Shard,
    meta: StoreMeta,
    photos: Photos,
    cams: CamStore,
    settings: CorrectSettings,
    shared: Shared | None,
) -> None:
    """Make and write one shard: the mixtures of all its maps at once, then the labels photo by photo."""
    set_threads(1)
    wanted = set(shard.ids)
    records = [record for record in photos.records if record.id in wanted]
    found = [cams.read(record.id) for record in records]
    mixtures: list[list[Mixture]] | None = None
    if settings.method == "gmm":
        mixtures = fit_maps([(maps.scores, maps.classes) for maps in found], settings.gmm, shared)
    with shard_writer(path, shard, meta) as file:
        for number, (record, maps) in enumerate(zip(records, found, strict=True)):
            check_stop()
            image = photos.image(record)
            if mixtures is None:
                _put_fixed(file, record, image, maps, settings)
            else:
                _put_corrected(file, record, image, maps, mixtures[number], settings)


def _put_fixed(file: h5py.File, record: Record, image: np.ndarray, maps: Cams, settings: CorrectSettings) -> None:
    made = fixed_pseudo_label(image, maps.scores, maps.classes, settings.fixed)
    put_labels(file, record.id, made.label, made.confidence)
    if settings.soft:
        put_soft(file, record.id, maps.classes, foreground_scores(maps.scores) if len(maps.classes) else maps.scores)


def _put_corrected(
    file: h5py.File,
    record: Record,
    image: np.ndarray,
    maps: Cams,
    mixtures: list[Mixture],
    settings: CorrectSettings,
) -> None:
    made = corrected_label(image, maps.scores, maps.classes, mixtures, settings.fixed, settings.gmm)
    put_labels(file, record.id, made.label, made.confidence, fbe=made.before)
    put_mixtures(file, record.id, pack(mixtures, made.cuts, made.counts))
    if settings.soft:
        put_soft(file, record.id, maps.classes, made.soft)


def summarise(labels: PseudoStore, photos: Photos, cams: CamStore) -> CorrectSummary:
    """Read the finished labels once and count."""
    labelled = pixels = 0
    empty, no_signal = [], []
    guards: dict[str, list[str]] = {}
    for record in photos.records:
        check_stop()
        label = labels.label(record.id)
        counts = np.bincount(label.ravel(), minlength=256)
        labelled += label.size - int(counts[IGNORE])
        pixels += label.size
        if record.tags and not counts[1:IGNORE].any():
            empty.append(record.id)
        if without_signal(cams.read(record.id).scores).any():
            no_signal.append(record.id)
        if labels.has_mixtures:
            for reason in sorted({unpack(row)[0].guard for row in labels.mixtures(record.id)} - {""}):
                guards.setdefault(reason, []).append(record.id)
    by_reason = {reason: tuple(ids) for reason, ids in sorted(guards.items())}
    return CorrectSummary(labelled / max(pixels, 1), tuple(empty), tuple(no_signal), by_reason)
