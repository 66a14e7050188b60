"""Label correction between two rounds: the first round's student corrects its own training labels, shard by shard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.interrupt import check_stop
from wsss.core.kept import forget, kept
from wsss.core.params import flat
from wsss.core.stage import Stage
from wsss.crf.dense import dense_crf
from wsss.data.batches import needs, size_batches, to_batch
from wsss.data.index import IGNORE, Record
from wsss.data.inference import InferenceSettings
from wsss.data.origins import FROM_NETWORK, LABELS_SHA
from wsss.data.photos import Photos, tag_vector
from wsss.distill.data import LabelSource, TrainingData
from wsss.distill.rules import CHANGES, Relabelled, RelabelSettings, relabel
from wsss.models.student import load_student
from wsss.numeric.device import device, enough_memory, set_threads
from wsss.predict.segment import probabilities
from wsss.stores.labels import BY_HAND, PSEUDO_FORMAT, UPPER_BOUND, PseudoStore, RelabelledStore, put_labels
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

BEFORE = "before"
"""Name of the stored version of a label before its correction."""
STORE = "relabelled"


def no_labels(stage: Stage, data: TrainingData) -> Path:
    """Make the store of corrected labels for a training of one round: it holds no photo."""
    return build_store(stage, _meta(data, {}), [], relabel_shard, (), name=STORE)


def relabel_photos(
    stage: Stage, data: TrainingData, student: Path, settings: RelabelSettings, inference: InferenceSettings
) -> RelabelledStore:
    """Correct the labels of all training photos: a store in scratch, with the old labels as version `before`.

    `student`: a network file.
    """
    meta = _meta(data, {"multiscale": len(settings.scales) > 1, **flat(settings)}, settings.crf is not None)
    shards = plan_shards(data.ids, inference.shard_size)
    arguments = (data.photos, data.labels, student, settings, inference)
    threads = torch.get_num_threads()
    try:
        in_process = device().type != "cpu"
        folder = build_store(stage, meta, shards, relabel_shard, arguments, in_process, name=STORE)
    finally:
        # This process may write a shard itself, which sets its threads. The next training must not depend on that.
        torch.set_num_threads(threads)
        forget()  # it needs the memory, too
    return RelabelledStore(folder)


def _meta(data: TrainingData, attributes: dict[str, bool | int | float | str], crf: bool = False) -> StoreMeta:
    found = {UPPER_BOUND: data.upper_bound, BY_HAND: data.by_hand, FROM_NETWORK: data.from_network}
    marks: dict[str, bool | int | float | str] = {name: value for name, value in found.items() if value}
    if data.learned:
        marks[LABELS_SHA] = data.learned
    return StoreMeta(PSEUDO_FORMAT, data.index.classes, {"multiscale": False, **attributes, "crf": crf, **marks})


def relabel_shard(
    path: Path,
    shard: Shard,
    meta: StoreMeta,
    photos: Photos,
    labels: LabelSource,
    student: Path,
    settings: RelabelSettings,
    inference: InferenceSettings,
) -> None:
    """Correct and write one shard, of `photos`."""
    set_threads(inference.threads)
    where = device()
    network = kept(load_student, student, meta.classes).to(where)
    with shard_writer(path, shard, meta) as file:
        for batch in size_batches(photos.records, inference.batch):
            check_stop()
            images = [photos.image(record) for record in batch]
            with torch.inference_mode(), enough_memory(*needs("distill.relabel", batch)):
                views = to_batch(images, where)
                # Logits of all classes: the photo's tags are known here, so none is left out by a predicted tag.
                coarse = probabilities(
                    lambda x: network.look(x).logits, "student", views, settings.scales, settings.flip
                )
                size = (views.shape[-2], views.shape[-1])
                scores = F.interpolate(coarse, size, mode="bilinear", align_corners=False).cpu()
            for record, image, score in zip(batch, images, scores, strict=True):
                found = corrected(image, score, record, labels, settings)
                label, confidence = found.labels[0].numpy(), found.confidence[0].numpy()
                put_labels(file, record.id, label, confidence, **{BEFORE: labels.label(record.id)})


def corrected(
    image: np.ndarray, scores: torch.Tensor, record: Record, labels: LabelSource, settings: RelabelSettings
) -> Relabelled:
    """The photo's label after the rules, as a batch of one. `scores`: (K+1, H, W) probabilities of all classes.

    Classes without a tag get probability 0, and the others are renormalised. Then comes the dense CRF, if it is on. A
    changed label's confidence is the network's probability, because the CRF is always confident.
    """
    there = np.append(True, tag_vector(record, len(scores) - 1) > 0)
    limited = torch.where(torch.from_numpy(there)[:, None, None], scores, 0.0)
    divided = posteriors = limited / limited.sum(0).clamp_min(1e-6)
    if settings.crf is not None and there.sum() > 1:
        posteriors = torch.zeros_like(scores)
        posteriors[there] = torch.from_numpy(dense_crf(image, divided[there].numpy(), settings.crf))
    label, confidence = (
        torch.from_numpy(values)[None] for values in (labels.label(record.id), labels.confidence(record.id))
    )
    found = relabel(label, confidence, divided[None], posteriors[None], settings)
    known = (found.labels != label) & (found.labels != IGNORE)
    own = divided[None].gather(1, found.labels.masked_fill(~known, 0).long()[:, None])[:, 0]
    return found._replace(confidence=torch.where(known, own, found.confidence))


def change_fractions(store: PseudoStore, photos: Photos) -> dict[str, float]:
    """For each rule, the fraction of all pixels of `photos` that it changed. `store`: that of `relabel_photos`."""
    counts, pixels = dict.fromkeys(CHANGES, 0), 0
    for record in photos.records:
        check_stop()
        old, new = store.label(record.id, BEFORE), store.label(record.id)
        pixels += old.size
        known = (old != IGNORE) & (old != new)
        counts["to_background"] += int((known & (new == 0)).sum())
        counts["to_unsure"] += int((known & (new == IGNORE)).sum())
        counts["to_class"] += int((known & (new != 0) & (new != IGNORE)).sum())
        counts["filled"] += int(((old == IGNORE) & (new != IGNORE)).sum())
    return {name: count / max(pixels, 1) for name, count in counts.items()}
