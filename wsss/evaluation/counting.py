"""Counts the pixels of all sources against the masks, in one pass over the photos, in worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from wsss.core.executor import run_counted, workers_for
from wsss.core.log import Progress
from wsss.core.units import unit_done
from wsss.correct.labels import foreground_scores, upsample
from wsss.data.index import Record
from wsss.data.masks import MaskedImages
from wsss.data.size import fit_label
from wsss.evaluation.boundary import count_bands, outline_band
from wsss.evaluation.confusion import count_pairs
from wsss.evaluation.thresholds import count_scores, cut
from wsss.stores.cams import CamStore
from wsss.stores.labels import PredictionStore, PseudoStore, learned
from wsss.stores.shards import parts

CHUNK = 32
CAMS = ("raw cam", "cam")
"""Sources that are scores and not labels: they are counted at all thresholds at once."""
NETWORKS = ("oste", "student")
"""Names of the networks that predict, in the order of their stages."""


@dataclass(frozen=True)
class Stores:
    """What is scored: `cams` hold all photos, `labels` are those of `LABEL_STORES` and, last, imported ones that the
    student learned from; `predictions` hold one split.
    """

    cams: CamStore
    labels: tuple[PseudoStore, ...]
    predictions: PredictionStore

    @property
    def pseudo(self) -> PseudoStore:
        """The labels that the student learned from."""
        return learned(self.labels)

    def part(self, ids: Sequence[str]) -> Stores:
        """What the stores hold of the photos `ids`."""
        labels = tuple(store.part(ids) for store in self.labels)
        return Stores(self.cams.part(ids), labels, self.predictions.part(ids))


@dataclass(frozen=True)
class Counts:
    """Pixels of one source. `pairs`: (C, C + 1) int64 as in `Confusion`, or of CAMs (C, C, 100) by score;
    `bands`: (3, C) int64 of `count_bands`, CAMs at the fixed threshold.
    """

    pairs: np.ndarray
    bands: np.ndarray

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.pairs + other.pairs, self.bands + other.bands)


def count_photos(
    records: Sequence[Record],
    split: str,
    masks: MaskedImages,
    stores: Stores,
    threshold: int,
    shared: Executor | None = None,
) -> dict[str, Counts]:
    """Counts by source over `records`, which all have masks. `threshold`: number of the fixed one for CAMs.

    `shared`: an executor that the stage has for other work too.
    """
    chunks = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
    total: dict[str, Counts] = {}
    jobs = ((chunk, *parts((masks, stores), [record.id for record in chunk]), threshold) for chunk in chunks)
    with (
        workers_for(len(chunks) == 1, shared) as executor,
        Progress(f"score {split}", len(records), "photos") as progress,
    ):
        for _, part in run_counted(executor, count_chunk, jobs, list(map(len, chunks)), progress):
            _add(total, part)
    return total


def count_chunk(records: Sequence[Record], masks: MaskedImages, stores: Stores, threshold: int) -> dict[str, Counts]:
    """`count_photos` for one chunk of records, in this process."""
    total: dict[str, Counts] = {}
    for record in records:
        truth = masks.mask(record)
        assert truth is not None
        _add(total, count_photo(record, truth, masks.classes, stores, threshold))
        unit_done()
    return total


def count_photo(record: Record, truth: np.ndarray, classes: int, stores: Stores, threshold: int) -> dict[str, Counts]:
    """Counts by source of one photo with the mask `truth`, (H, W) uint8 at the photo's own size."""
    counts: dict[str, Counts] = {}
    band = outline_band(truth)
    found = stores.cams.read(record.id)
    for name, maps in zip(CAMS, (found.raw, found.scores), strict=True):
        if maps is not None:
            scores = foreground_scores(upsample(maps, (truth.shape[0], truth.shape[1])))
            bands = count_bands(truth, band, cut(scores, found.classes, threshold), classes)
            counts[name] = Counts(count_scores(truth, scores, found.classes, classes), bands)
    labels = {store.source: store.label(record.id) for store in stores.labels if store.whole or record.id in store}
    if record.id in stores.predictions:
        for name, version in predicted_sources(stores.predictions).items():
            labels[name] = stores.predictions.label(record.id, version)
    for name, found_label in labels.items():
        label = fit_label(found_label, truth.shape)  # masks are scored at their own size
        # Pairs first: that checks the values, which the bands then rely on.
        pairs = count_pairs(truth, label, classes)
        counts[name] = Counts(pairs, count_bands(truth, band, label, classes))
    return counts


def predicted_sources(predictions: PredictionStore) -> dict[str, str]:
    """Row names of the networks' label maps and the arrays that hold them; the student's come last."""
    sources: dict[str, str] = {}
    for network, final, prefix in zip(NETWORKS, ("oste", "label"), ("oste_", ""), strict=True):
        if network == "oste" and not predictions.has_branch:
            continue
        sources |= {network: f"{prefix}single", f"{network} ms+flip": f"{prefix}multiscale"}
        if predictions.attributes["crf"]:
            sources[f"{network} ms+flip+crf"] = final
    return sources


def final_sources(predictions: PredictionStore) -> dict[str, str]:
    """`predicted_sources`, but only the last step of each network."""
    last = {name.split()[0]: (name, version) for name, version in predicted_sources(predictions).items()}
    return dict(last.values())


def _add(total: dict[str, Counts], part: dict[str, Counts]) -> None:
    for name, counts in part.items():
        total[name] = total[name] + counts if name in total else counts
