"""Average precision: how well scores rank the photos of a class before all others."""

from __future__ import annotations

import numpy as np


def average_precisions(tags: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(K,) area under each class's precision–recall curve, without interpolation; NaN where all or none are tagged.

    `tags`: (N, K) bool; `scores`: (N, K). Scores that say nothing give the frequency of the tag.
    """
    # Not imported at the top: it takes seconds, and would in every worker process too.
    from sklearn.metrics import average_precision_score

    found = np.full(tags.shape[1], np.nan)
    for number in np.flatnonzero(tags.any(0) & ~tags.all(0)):
        found[number] = average_precision_score(tags[:, number], scores[:, number])
    return found


def mean_known(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
