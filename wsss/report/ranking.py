"""Which photos a page shows, in which order, and the score they are ranked by. Arrays and numbers only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from wsss.data.index import IGNORE

BINS = 10
TRACE = 0.001
"""Fraction of a photo below which a class is a speck: too little to say that it is there."""
LARGE = 0.01
"""Fraction of a photo above which a class without its tag is worth a look: the tags or the mask are wrong."""


def values_of(label: np.ndarray) -> list[int]:
    """Values that occur in a (H, W) uint8 label, ascending."""
    return [int(value) for value in np.flatnonzero(np.bincount(label.ravel(), minlength=256))]


def class_ious(label: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """IoU of each class in one photo.

    `label`, `mask`: (H, W) uint8; `classes`: K+1 → (K+1,) float64 in [0, 1], NaN for a class in neither.
    Pixels that the mask leaves open (255) do not count; a pixel that only the label leaves open is a miss.
    """
    hits, either = class_overlaps(label, mask, classes)
    ious: np.ndarray = np.divide(hits, either, out=np.full(classes, np.nan), where=either > 0)
    return ious


def class_overlaps(label: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """(2, K+1) int64: pixels of each class's intersection and union in one photo; the rest as in `class_ious`."""
    known = mask != IGNORE
    truth, found = mask[known], label[known]
    hits = np.bincount(truth[truth == found], minlength=256)[:classes]
    either = np.bincount(truth, minlength=256)[:classes] + np.bincount(found, minlength=256)[:classes] - hits
    return np.stack([hits, either])


def mean_iou(ious: np.ndarray) -> float | None:
    """Mean over the classes that are there (background included); None if there is none."""
    present = ious[~np.isnan(ious)]
    return float(present.mean()) if len(present) else None


def classes_in(label: np.ndarray) -> tuple[int, ...]:
    """Classes of a (H, W) uint8 label, the largest first; the background only where there is no other."""
    counts = np.bincount(label.ravel(), minlength=256)[:IGNORE]
    found = sorted((int(value) for value in np.flatnonzero(counts) if value), key=lambda value: (-counts[value], value))
    return tuple(found) or ((0,) if counts[0] else ())


def exchanged(first: np.ndarray, second: np.ndarray) -> tuple[int, int] | None:
    """The class in `first` and the other one in `second` of most pixels in which these (H, W) uint8 labels differ;
    None where they do not, pixels of 255 left out.
    """
    differ = (first != second) & (first != IGNORE) & (second != IGNORE)
    pairs = np.bincount(first[differ].astype(np.int64) * 256 + second[differ], minlength=1)
    return divmod(int(pairs.argmax()), 256) if differ.any() else None


def coverage(label: np.ndarray) -> float:
    """Share of pixels that have a label, in [0, 1]."""
    return float((label != IGNORE).mean())


def specks(label: np.ndarray, mask: np.ndarray | None, tags: Iterable[int]) -> dict[int, int]:
    """Pixels of each class of a (H, W) uint8 label that covers less than `TRACE` of it, and that nobody expects: it is
    in neither the mask, if there is one, nor the tags.
    """
    known = {0, IGNORE, *tags, *([] if mask is None else values_of(mask))}
    counts = np.bincount(label.ravel(), minlength=256)
    return {
        value: int(counts[value])
        for value in values_of(label)
        if value not in known and counts[value] < TRACE * label.size
    }


def untagged(label: np.ndarray, tags: Collection[int]) -> tuple[tuple[int, float], ...]:
    """Classes of a (H, W) uint8 label that cover more than `LARGE` of it and are not in `tags`, the largest first, each
    with its fraction in (0, 1]. None without tags: nobody may have tagged the photo.
    """
    areas = np.bincount(label.ravel(), minlength=256)[:IGNORE] / label.size
    found = [(number, float(areas[number])) for number in classes_in(label) if number and number not in tags]
    return tuple((number, area) for number, area in found if area > LARGE) if tags else ()


def disagreement(first: np.ndarray, second: np.ndarray) -> float | None:
    """Share in [0, 1] of the pixels that both (H, W) uint8 labels have a label for (not 255) in which they differ.

    None where there is no such pixel.
    """
    both = (first != IGNORE) & (second != IGNORE)
    return float((first != second)[both].mean()) if both.any() else None


def worst_and_spread(count: int, shown: int) -> list[int]:
    """Ranks to show of `count` (0 is the worst): half the worst, half spread over the rest, best included."""
    if count <= shown:
        return list(range(count))
    worst = (shown + 1) // 2
    steps = shown - worst
    rest = count - 1 - worst
    spread = [
        worst + rest * (step + 1) // steps if steps == 1 else worst + rest * step // (steps - 1)
        for step in range(steps)
    ]
    return [*range(worst), *spread]


def evenly(count: int, shown: int) -> list[int]:
    """`shown` places spread evenly over `count`, the first included."""
    shown = min(count, shown)
    return [count * step // shown for step in range(shown)]


def histogram(scores: Sequence[float]) -> list[int]:
    """How many scores in [0, 1] fall into each tenth; 1.0 belongs to the last."""
    counts, _ = np.histogram(np.asarray(scores, np.float64), bins=BINS, range=(0.0, 1.0))
    return [int(number) for number in counts]
