"""Average precision of the class scores of whole photos against their tags. No mask is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsss.data.index import Record
from wsss.data.photos import tag_vector
from wsss.numeric.precision import average_precisions, mean_known
from wsss.stores.labels import PredictionStore


@dataclass(frozen=True)
class TagScores:
    """Average precision of one split.

    `photos`: (K,) int64, those tagged with each class; `precision`: (K,) average precision, NaN for a class that all or
    none of the photos have; `mean`: over the others, NaN if there are none; `total`: photos of the split.
    """

    photos: np.ndarray
    precision: np.ndarray
    mean: float
    total: int


def score_tags(records: Sequence[Record], predictions: PredictionStore, foreground: int) -> TagScores:
    """Score the logits of OSTE's classification branch for whole photos; all `records` must be in the store."""
    tags = np.stack([tag_vector(record, foreground) for record in records]).astype(bool)
    return tag_scores(tags, np.stack([predictions.tag_logits(record.id) for record in records]))


def tag_scores(tags: np.ndarray, scores: np.ndarray) -> TagScores:
    """Area under each class's precision–recall curve, without interpolation. `tags`: (N, K) bool; `scores`: (N, K)."""
    precision = average_precisions(tags, scores)
    return TagScores(tags.sum(0), precision, mean_known(precision), len(tags))
