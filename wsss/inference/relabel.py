"""Labels that a trained student gives the photos it has learnt from, limited to their tags: corrections of theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.device import device, enough_memory, set_threads
from wsss.core.interrupt import check_stop
from wsss.core.stage import Stage
from wsss.data.datasets import LabelSource, Photos, tag_vector
from wsss.data.index import IGNORE, Index, Record
from wsss.inference.multiscale import WholePhotoSettings, needs, size_batches, to_batch
from wsss.inference.segment import probabilities
from wsss.models.checkpoint import load_network
from wsss.models.student import Student
from wsss.pseudo.crf import dense_crf
from wsss.stores.labels import PSEUDO_FORMAT, UPPER_BOUND, PseudoStore, put_labels
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store
from wsss.training.relabel import CHANGES, Relabelled, RuleSettings, relabel

BEFORE = "before"
"""Version of a label: what it was."""


class PhotoLabelSettings(WholePhotoSettings):
    """How whole photos are labelled by a student."""

    rules: RuleSettings


def relabel_photos(
    stage: Stage,
    index: Index,
    photos: Photos,
    labels: LabelSource,
    student: Path,
    settings: PhotoLabelSettings,
    out: Path,
    upper_bound: bool = False,
) -> None:
    """Write the corrected `labels` of all `photos`, and as version `before` what they were, as the store `out`.

    `student`: a network file. `upper_bound`: the labels are masks, and the store is to say so.
    """
    attributes = {"crf": settings.rules.crf.enabled, "multiscale": len(settings.scales) > 1}
    attributes |= {UPPER_BOUND: True} if upper_bound else {}
    meta = StoreMeta(PSEUDO_FORMAT, index.classes, stage.fingerprint, attributes)
    shards = plan_shards([record.id for record in photos.records], settings.shard_size)
    arguments = (index, photos, labels, student, settings)
    threads = torch.get_num_threads()
    try:
        write_store(stage, out, meta, shards, relabel_shard, arguments, in_process=device().type == "cuda")
    finally:
        # A last shard is written by this process, and what trains next shall not depend on that.
        torch.set_num_threads(threads)


def relabel_shard(
    path: Path,
    shard: Shard,
    meta: StoreMeta,
    index: Index,
    photos: Photos,
    labels: LabelSource,
    student: Path,
    settings: PhotoLabelSettings,
) -> None:
    """Correct and write one shard."""
    set_threads(settings.threads)
    where = device()
    network, _ = load_network(student, "student", index.classes)
    assert isinstance(network, Student)
    network.to(where)
    wanted = set(shard.ids)
    with shard_writer(path, shard, meta) as file:
        for batch in size_batches([record for record in photos.records if record.id in wanted], settings.batch):
            check_stop()
            images = [photos.image(record) for record in batch]
            with torch.inference_mode(), enough_memory(*needs("distill.first", batch)):
                views = to_batch(images, where)
                # Of all classes: the photo's tags are known here, and need not be guessed.
                coarse = probabilities(
                    lambda x: network.look(x).logits, "student", views, settings.scales, settings.flip
                )
                size = (views.shape[-2], views.shape[-1])
                scores = F.interpolate(coarse, size, mode="bilinear", align_corners=False).cpu()
            for record, image, score in zip(batch, images, scores, strict=True):
                found = corrected(image, score, record, labels, settings.rules)
                label, confidence = found.labels[0].numpy(), found.confidence[0].numpy()
                put_labels(file, record.id, label, confidence, **{BEFORE: labels.label(record.id)})


def corrected(
    image: np.ndarray, scores: torch.Tensor, record: Record, labels: LabelSource, rules: RuleSettings
) -> Relabelled:
    """The photo's label after the rules, as a batch of one. `scores`: (K+1, H, W) probabilities of all classes.

    Classes without a tag get none, the others share what is left; then the dense CRF, if it is on. A label that has
    changed is as sure as the network was of it: the CRF is always sure.
    """
    there = np.append(True, tag_vector(record, len(scores) - 1) > 0)
    limited = torch.where(torch.from_numpy(there)[:, None, None], scores, 0.0)
    shares = posteriors = limited / limited.sum(0).clamp_min(1e-6)
    if rules.crf.enabled and there.sum() > 1:
        posteriors = torch.zeros_like(scores)
        posteriors[there] = torch.from_numpy(dense_crf(image, shares[there].numpy(), rules.crf))
    label, confidence = (
        torch.from_numpy(values)[None] for values in (labels.label(record.id), labels.confidence(record.id))
    )
    found = relabel(label, confidence, shares[None], posteriors[None], rules)
    known = (found.labels != label) & (found.labels != IGNORE)
    own = shares[None].gather(1, found.labels.masked_fill(~known, 0).long()[:, None])[:, 0]
    return found._replace(confidence=torch.where(known, own, found.confidence))


def change_shares(store: PseudoStore, photos: Photos) -> dict[str, float]:
    """By rule, the share of all pixels of `photos` that it has changed in the `store` of `relabel_photos`."""
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
