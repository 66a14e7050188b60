"""Stuff: classes that fill their photos, as water or a meadow does, and what else in a photo belongs to them.

A map is highest where the class is most typical, and what scores less than its half may be background or just a less
typical part. Of a class that fills its photos it is the latter, and then a cut that is right for things makes
background of most of it. Photos and their tags alone tell such a class:

1. What is low in its map does not occur in photos without the class. (The background of a thing does.)
2. What is low in its map looks like what is high. (Background that is always around a thing does not.)

Both are asked of `local` features, and of maps after the walk: what is still low then is unlike the peaks. One question
alone does not suffice: the steel around a scratch is unlike the steel of other photos, and cracks look like walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from wsss.cams.local import local_levels, local_maps
from wsss.cams.walk import walk
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.batches import size_batches, to_batch
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.models.cam import divide_by_peak
from wsss.models.oste import Oste
from wsss.numeric.device import enough_memory

PHOTOS, CELLS = 60, 100
"""At most so many photos of a class, and positions of each."""
LEAST = 8
"""Fewer photos with the tag, or without it, tell nothing."""
STEPS = 2
"""Of the walk."""
LOW, HIGH = 0.3, 0.85
"""Quantiles over a photo: what is low is below the first in the highest of its maps, and what is high above the second
in the class's."""
RARE = 0.95
"""What scores above this quantile of the positions in photos without the class does not occur there."""
FILLS = 0.08
"""Of the low positions the fraction that is unusual, times how badly they are told from the high ones: 1 minus the area
under the ROC curve of a classifier. A class is stuff above it. Chosen by looking at the classes of five sets, whose
masks had a say in it (docs/experiments.md)."""
STRENGTH = 0.003
"""C of the regressions on standardised features."""
BATCH = 8


@dataclass(frozen=True)
class Stuff:
    """`classes`: ids, ascending. For each of these S classes a linear classifier of positions on the concatenated
    local levels: `weight` (S, C), `bias` (S,) float32; a position belongs to the class where it is above 0.
    """

    classes: tuple[int, ...]
    weight: np.ndarray
    bias: np.ndarray

    def of(self, maps: Sequence[torch.Tensor], tags: Sequence[int]) -> np.ndarray:
        """(P, h, w) bool for the P `tags` of one photo: where it belongs to a stuff class. `maps`: (C', h, w) each."""
        found = np.zeros((len(tags), *maps[0].shape[1:]), bool)
        for row, tag in enumerate(tags):
            if tag in self.classes:
                number = self.classes.index(tag)
                together = torch.cat(list(maps)).float().cpu().numpy()
                found[row] = np.tensordot(self.weight[number], together, 1) + self.bias[number] > 0
        return found


@dataclass(frozen=True)
class Seen:
    """Positions of N photos: `features` (N, cells, C) float32, `tags` (N, K) bool, `high` (N, K, cells) bool in each
    class's map, and `low` (N, cells) bool in all maps of the photo's tags.
    """

    features: np.ndarray
    tags: np.ndarray
    high: np.ndarray
    low: np.ndarray


def find_stuff(network: Oste, index: Index, photos: Photos) -> Stuff:
    """The stuff classes of a data set, from its training photos and their tags. `network`: in evaluation mode."""
    chosen = choose(index.split("train"), index.foreground)
    classes, weights, biases = [], [], []
    if chosen:
        seen = look(network, photos, chosen, index.foreground)
        spread = seen.features.reshape(-1, seen.features.shape[-1]).astype(np.float64)
        mean, deviation = spread.mean(0), spread.std(0) + 1e-6
        scaled = ((seen.features - mean) / deviation).astype(np.float32)
        for number in range(index.foreground):
            check_stop()
            found = judge(scaled, seen.tags[:, number], seen.high[:, number], seen.low)
            if found is not None:
                weight = found[0] / deviation
                classes.append(number + 1)
                weights.append(weight)
                biases.append(found[1] - weight @ mean)
    return Stuff(tuple(classes), np.array(weights, np.float32), np.array(biases, np.float32))


def choose(records: Sequence[Record], foreground: int) -> list[Record]:
    """At most `PHOTOS` of each class, spread evenly; none if no class has photos enough with it and without it."""
    chosen: dict[str, Record] = {}
    for tag in range(1, foreground + 1):
        tagged = [record for record in records if tag in record.tags]
        others = [record for record in records if tag not in record.tags]
        if min(len(tagged), len(others)) >= LEAST:
            for group in (tagged, others):
                count = min(PHOTOS, len(group))
                some = (group[place * len(group) // count] for place in range(count))
                chosen |= {record.id: record for record in some}
    return [chosen[name] for name in sorted(chosen)]


@torch.inference_mode()
def look(network: Oste, photos: Photos, records: Sequence[Record], foreground: int) -> Seen:
    """Features of `records` and what is high and low, at positions that are spread evenly, always the same."""
    numbers = local_levels(network.backbone.levels)
    where = next(network.parameters()).device
    found: dict[str, tuple[np.ndarray, ...]] = {}
    with Progress("cams: stuff", len(records), "photos") as progress:
        for batch in size_batches(records, BATCH):
            check_stop()
            with enough_memory("cams", f"on {batch[0].width}×{batch[0].height} pixels", "lower dataset.long_side"):
                features = network.backbone(to_batch([photos.image(record) for record in batch], where))
                cams = divide_by_peak(network.head(features[-1]).relu().float())
                maps = local_maps(features, numbers, (cams.shape[-2], cams.shape[-1]))
                flat = walk(cams, maps, STEPS).flatten(2).cpu().numpy()
            places = np.linspace(0, flat.shape[2] - 1, CELLS).round().astype(np.int64)
            here = torch.cat(maps, 1).flatten(2).mT[:, places].cpu().numpy()
            for record, seen, scores in zip(batch, here, flat, strict=True):
                found[record.id] = (seen, *(part[..., places] for part in high_and_low(scores, record.tags)))
            progress.advance(len(batch))
    tags = np.array([[tag in record.tags for tag in range(1, foreground + 1)] for record in records])
    features_, high, low = (np.stack([found[record.id][part] for record in records]) for part in range(3))
    return Seen(features_, tags, high, low)


def high_and_low(scores: np.ndarray, tags: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """`scores`: (K, positions) of one photo → what is high in the map of each of its `tags`, (K, positions) bool, and
    what is low in all of these maps, (positions,) bool; of a photo without tags, nothing.
    """
    high, present = np.zeros(scores.shape, bool), np.asarray(tags, np.int64) - 1
    if not len(present):
        return high, np.zeros(scores.shape[1], bool)
    own = scores[present]
    high[present] = own > np.quantile(own, HIGH, 1, keepdims=True)
    highest = own.max(0)
    low: np.ndarray = highest < np.quantile(highest, LOW)
    return high, low


def judge(
    features: np.ndarray, tagged: np.ndarray, high: np.ndarray, low: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """The classifier (weight (C,), bias) of the positions of one class if it is stuff, else None.

    `features`: (N, cells, C) standardised; `tagged`: (N,) bool; `high`, `low`: (N, cells) bool, see `Seen`. Every
    question is asked of photos that the answering classifier has not seen.
    """
    with_tag, without = np.flatnonzero(tagged), np.flatnonzero(~tagged)
    if min(len(with_tag), len(without)) < LEAST:
        return None
    with_tag, without = (group[:: -(-len(group) // PHOTOS)] for group in (with_tag, without))
    unusual, judged = 0, 0
    for part in (0, 1):
        seen = classifier(features, with_tag[part::2], without[part::2])
        limit = np.quantile(decide(seen, features[without[1 - part :: 2]]), RARE)
        asked = with_tag[1 - part :: 2]
        below = decide(seen, features[asked])[low[asked]]
        unusual, judged = unusual + int((below > limit).sum()), judged + len(below)
    if not judged or unusual / judged * (1 - told_apart(features, high, low, with_tag)) <= FILLS:
        return None
    weight, bias = classifier(features, with_tag, without)
    return weight, bias - float(np.quantile(decide((weight, bias), features[without]), RARE))


def classifier(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, float]:
    """Weight and bias that tell positions of the photos `first` from those of `second`."""
    chosen = features[np.concatenate([first, second])]
    cells = chosen.shape[1]
    return regression(
        chosen.reshape(-1, chosen.shape[-1]), np.repeat([True, False], [len(first) * cells, len(second) * cells])
    )


def regression(features: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weight and bias of a logistic regression, (M, C) and (M,) bool; both answers weigh the same."""
    # Not imported at the top: it takes seconds, and would in every worker process too.
    from sklearn.linear_model import LogisticRegression

    with threadpool_limits(1):  # the order of sums, and so the last bits, would follow the number of threads
        found = LogisticRegression(C=STRENGTH, max_iter=200, class_weight="balanced").fit(features, truth)
    return found.coef_[0], float(found.intercept_[0])


def decide(seen: tuple[np.ndarray, float], features: np.ndarray) -> np.ndarray:
    """Decision values: (…, C) → (…)."""
    values: np.ndarray = features @ seen[0] + seen[1]
    return values


def told_apart(features: np.ndarray, high: np.ndarray, low: np.ndarray, photos: np.ndarray) -> float:
    """Area under the ROC curve of high against low positions, mean of two halves; 1 if a half lacks one of the two."""
    from sklearn.metrics import roc_auc_score

    areas = []
    for part in (0, 1):
        known, asked = photos[part::2], photos[1 - part :: 2]
        values, truth = zip(*(positions(features, high, low, half) for half in (known, asked)), strict=True)
        if any(len(set(answers.tolist())) < 2 for answers in truth):
            return 1.0
        areas.append(roc_auc_score(truth[1], decide(regression(values[0], truth[0]), values[1])))
    return float(np.mean(areas))


def positions(
    features: np.ndarray, high: np.ndarray, low: np.ndarray, photos: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The high and the low positions of `photos`: (M, C), and whether each is high, (M,) bool."""
    some = high[photos] | low[photos]
    return features[photos][some], high[photos][some]
