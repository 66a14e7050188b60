"""How small a crop may be before the tags of its photo become untrue for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.nn import functional as F

from wsss.core.interrupt import check_stop
from wsss.core.log import Progress, say
from wsss.data.index import Record
from wsss.data.photos import Photos
from wsss.data.samples import WeakImages
from wsss.data.transforms import AugmentSettings
from wsss.models.classifier import Classifier
from wsss.training.batches import collate
from wsss.training.probe import BATCH, evenly
from wsss.training.rules import pixels

SHARES = (0.6, 0.8, 1.0)
"""Of the photos' longer side, smallest first: a step on crops of .6 costs a third of one on whole photos."""
LOOKED_AT = 160
"""Photos whose crops are classified."""
WORSE = 1.25
"""A crop may raise the loss of an unchanged classifier by this factor over that on crops of the whole side, and by
`SLACK`. On blood_cells, crops of .6 of the side triple it."""
SLACK = 0.01


def smallest_crop(
    network: Classifier,
    photos: Photos,
    records: Sequence[Record],
    foreground: int,
    seed: int,
    settings: AugmentSettings,
    label: str,
) -> AugmentSettings:
    """`settings` with the smallest crop, pixels, on which the trained classifier still finds the tags of the photos.

    Reads photos and tags only. The classifier is as it is in use: without dropout, and unchanged.
    """
    some = evenly(records, LOOKED_AT)
    sides = sorted({pixels(records, share) for share in SHARES})
    training = network.training
    network.eval()
    losses = {}
    with Progress(f"{label}: crops", len(some) * len(sides), "photos") as progress:
        for side in reversed(sides):
            crops = settings.model_copy(update={"crop": side})
            samples = WeakImages(replace(photos, records=some), foreground, seed, crops)
            losses[side] = crop_loss(network, samples, progress)
    network.train(training)
    limit = WORSE * losses[sides[-1]] + SLACK
    # From the largest down: a smaller one that happens to be fine says nothing where a larger one is not.
    chosen = sides[-1]
    for side in reversed(sides):
        if losses[side] > limit:
            break
        chosen = side
    listed = ", ".join(f"{side} px {losses[side]:.3f}" for side in sides)
    say(f"{label}: crops of {chosen} pixels (loss of the classifier on crops: {listed})")
    return settings.model_copy(update={"crop": chosen})


@torch.inference_mode()
def crop_loss(network: Classifier, samples: WeakImages, progress: Progress) -> float:
    """Mean binary cross-entropy of the tags on one random crop of each photo."""
    where = next(network.parameters()).device
    total, count = 0.0, 0
    numbers = range(len(samples.photos.records))
    for start in numbers[::BATCH]:
        check_stop()
        batch = collate([samples[0, number] for number in numbers[start : start + BATCH]])
        logits = network.logits(network.backbone(batch["image"].float().to(where))[-1])
        tags = batch["tags"].to(where)
        total += float(F.binary_cross_entropy_with_logits(logits.float(), tags, reduction="sum"))
        count += tags.numel()
        progress.advance(len(tags))
    return total / count
