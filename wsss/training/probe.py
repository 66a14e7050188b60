"""A linear probe: logistic regressions on the frozen backbone's pooled features, and how well scores tell the tags.

It needs a minute, cannot diverge, and is what a trained classifier has to beat. The classifier starts from it
(linear probing, then fine-tuning: Kumar et al., ICLR 2022, arXiv 2202.10054).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.batches import size_batches, to_batch
from wsss.data.index import Record
from wsss.data.photos import Photos, tag_vector
from wsss.models.classifier import Classifier
from wsss.numeric.device import enough_memory

STRENGTH = 0.01
"""C of the regressions on standardised features. On coffee_leaf at 320 pixels tag AP is .816 for .003, .825 for this,
.827 for .03; other sets have not been tried."""
MOST_TRAIN, MOST_VAL = 5000, 1000
"""Photos that are looked at, spread evenly over the split: all of a large set would take hours."""
BATCH = 8


@dataclass(frozen=True)
class Probe:
    """`weight` (K, C) and `bias` (K,) float32 of the logits; `mean` (C,) of the training photos' features."""

    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray

    def put_into(self, network: Classifier) -> None:
        """Make the logits of `network` those of the probe, and centre its maps if it has a bias."""
        with torch.no_grad():
            network.head.weight.copy_(torch.from_numpy(self.weight)[:, :, None, None])
            network.prior.copy_(torch.from_numpy(self.bias))
        if network.bias:
            network.centre(torch.from_numpy(self.mean))


def evenly(records: Sequence[Record], most: int) -> list[Record]:
    """At most `most` of the records, spread evenly."""
    count = min(most, len(records))
    return [records[place * len(records) // count] for place in range(count)]


@torch.inference_mode()
def over_photos(
    photos: Photos,
    records: Sequence[Record],
    run: Callable[[torch.Tensor], torch.Tensor],
    where: torch.device,
    label: str,
    stoppable: bool = True,
) -> np.ndarray:
    """`run` on every whole photo, (N, 3, H, W) float 0..255 → (N, D); float32 in the order of `records`.

    Not `stoppable`: a signal waits for the end, where whoever calls keeps work that a stop now would lose.
    """
    place = {record.id: number for number, record in enumerate(records)}
    found: dict[int, np.ndarray] = {}
    with Progress(label, len(records), "photos") as progress:
        for batch in size_batches(records, BATCH):
            if stoppable:
                check_stop()
            with enough_memory(label, f"on {batch[0].width}×{batch[0].height} pixels", "lower dataset.long_side"):
                rows = run(to_batch([photos.image(record) for record in batch], where)).float().cpu().numpy()
            found |= {place[record.id]: row for record, row in zip(batch, rows, strict=True)}
            progress.advance(len(batch))
    return np.stack([found[number] for number in range(len(records))])


def pooled(network: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Mean of the backbone's last features over the photo. (N, 3, H, W) float 0..255 → (N, C)."""
    return network.backbone(images)[-1].mean((2, 3))


def centre_maps(network: Classifier, photos: Photos, records: Sequence[Record], label: str) -> None:
    """Centre the maps of `network` on the average of the pooled features of `records`, if it has a bias."""
    if not network.bias:
        return
    some = evenly(records, MOST_TRAIN)
    where = next(network.parameters()).device
    found = over_photos(photos, some, lambda images: pooled(network, images), where, f"{label}: centring the maps")
    network.centre(torch.from_numpy(found.mean(0, dtype=np.float64).astype(np.float32)))


def tags_of(records: Sequence[Record], foreground: int) -> np.ndarray:
    """(N, K) bool."""
    found = np.zeros((len(records), foreground), bool)
    for row, record in zip(found, records, strict=True):
        row[:] = tag_vector(record, foreground) > 0
    return found


def fit_probe(features: np.ndarray, tags: np.ndarray, bias: bool = True) -> Probe:
    """One L2-regularised logistic regression for each class. `features`: (N, C) float32; `tags`: (N, K) bool.

    The standardisation is folded into the weights. A class that all or none of the photos have gets weights of 0 and
    the bias of its frequency, half a photo away from certainty. Without `bias` the features are scaled, not centred,
    and all biases are 0.
    """
    # Not imported at the top: it takes seconds, and would in every worker process too.
    from sklearn.linear_model import LogisticRegression

    mean, spread = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64) + 1e-6
    scaled = (features - mean * bias) / spread
    weight = np.zeros((tags.shape[1], features.shape[1]))
    biases = np.zeros(tags.shape[1])
    with threadpool_limits(1):  # the order of sums, and so the last bits, would follow the number of threads
        for number, present in enumerate(tags.T):
            check_stop()
            if present.all() or not present.any():
                frequency = (present.sum() + 0.5) / (len(present) + 1)
                biases[number] = bias * np.log(frequency / (1 - frequency))
                continue
            found = LogisticRegression(C=STRENGTH, max_iter=1000, fit_intercept=bias).fit(scaled, present)
            weight[number] = found.coef_[0] / spread
            if bias:
                biases[number] = found.intercept_[0] - weight[number] @ mean
    return Probe(weight.astype(np.float32), biases.astype(np.float32), mean.astype(np.float32))
