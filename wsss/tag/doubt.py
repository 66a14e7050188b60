"""Tags that a classifier contradicts which has not seen their photos: a probe fitted on the others, fold by fold.

A probe that was fitted on a wrong tag as well believes it: with more features than photos it can learn each by heart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.index import Index
from wsss.formats.problems import Finding, some

FOLDS = 5
LEAST = 30
"""Photos from which a probe is asked."""
FEW = 5
"""Photos of a class below which it is not asked about that class."""
UNLIKELY, LIKELY = 0.1, 0.5
"""A tag is contradicted that is at most this probable, on a photo for which another class is at least this probable.
Rare tags are improbable everywhere, which alone says nothing."""

Look = Callable[[Path], np.ndarray]


def held_out(features: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) of the classes on photos that the probe has not seen; NaN for classes with fewer than `FEW`
    photos, or without as many that lack them. `features`: (N, C) float32; `present`: (N, K) bool.
    """
    from wsss.training.probe import fit_probe

    found = np.full(present.shape, np.nan)
    counts = present.sum(0)
    known = (counts >= FEW) & (len(present) - counts >= FEW)
    if not known.any():
        return found
    fold = np.random.default_rng(0).permutation(len(features)) % FOLDS
    for number in range(FOLDS):
        here = fold == number
        probe = fit_probe(features[~here], present[~here][:, known])
        logits = features[here] @ probe.weight.T + probe.bias
        found[np.ix_(here, known)] = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return found


def contradictions(probabilities: np.ndarray, present: np.ndarray) -> list[tuple[int, int, int]]:
    """Photo, its tag, and the class that is probable in its place, by number; the clearest case first. Both arguments
    are (N, K), the first as `held_out` gives it.
    """
    given = np.where(present, probabilities, np.inf)
    other = np.where(present, -np.inf, np.nan_to_num(probabilities, nan=-np.inf))
    given = np.where(np.isnan(given), np.inf, given)
    tags, others = given.argmin(1), other.argmax(1)
    rows = np.arange(len(present))
    low, high = given[rows, tags], other[rows, others]
    doubtful = np.flatnonzero((low <= UNLIKELY) & (high >= LIKELY))
    order = sorted(doubtful, key=lambda row: (low[row] - high[row], row))
    return [(int(row), int(tags[row]), int(others[row])) for row in order]


def doubtful_tags(root: Path, index: Index, look: Look) -> list[Finding]:
    """A warning that names photos below `root` whose tags are contradicted; or that there are too few to tell.

    `look`: the path of a photo → its features (C,) float32.
    """
    if len(index.records) < LEAST:
        what = f"whether photos show their tags was not asked: there are {len(index.records)} photos, expected {LEAST}"
        return [Finding(what, "look at them yourself")]
    rows = []
    with Progress("check: tags", len(index.records), "photos") as progress:
        for record in index.records:
            check_stop()
            rows.append(look(root / record.image))
            progress.advance(1)
    present = np.array([[k in record.tags for k in range(1, len(index.classes))] for record in index.records], bool)
    probabilities = held_out(np.stack(rows), present)
    named = [
        f"{index.records[row].id} ({_said(index.classes, probabilities[row], (tag, other))})"
        for row, tag, other in contradictions(probabilities, present)
    ]
    if not named:
        return []
    what = f"tags that a classifier contradicts which has not seen these photos: {some(named)}"
    return [Finding(what, "look at these photos, and correct the tags that are wrong: the classifier may be, too")]


def _said(classes: Sequence[str], probabilities: np.ndarray, numbers: Sequence[int]) -> str:
    return ", ".join(f"{classes[number + 1]} {probabilities[number]:.2f}" for number in numbers)
