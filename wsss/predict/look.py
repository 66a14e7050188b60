"""Which masks to look at first: plain rules on a mask and the tags of its photo. None was tuned, and none reads a mask
that a person drew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsss.data.pieces import count_pieces

FILLS = 0.95
"""A class covers at least this fraction of the photo. The background only where no tag says that something is there."""
LEAST = 0.02
"""A tagged class covers less of the photo; a class that is no tag covers at least as much."""
PIECES, SMALL = 10, 0.005
"""A class has at least so many pieces, and these cover less than this fraction of the photo on average."""
UNSURE = 0.7
"""The mean confidence is lower."""

RULES = (
    f"one class covers at least {100 * FILLS:g} % of the photo (the background only where no tags are known)",
    f"a class of the photo's tags covers less than {100 * LEAST:g} %",
    f"a class that is none of its tags covers at least {100 * LEAST:g} %",
    f"a class has {PIECES} pieces or more, of less than {100 * SMALL:g} % on average",
    f"the mean confidence is below {UNSURE:g}",
)
"""In words, in the order of the reasons."""

SEPARATOR = "; "
CRUMBS, CONFIDENCE = "pieces:", "confidence"


def reasons(
    label: np.ndarray, confidence: float, names: Sequence[str], tags: Sequence[int] | None = None
) -> tuple[str, ...]:
    """Why a mask should be looked at, in words; empty where no rule applies.

    `label`: (H, W) uint8, 0 background, 1..K; `confidence`: its mean, in [0, 1]; `names`: K+1, background first;
    `tags`: the numbers of all classes that the photo shows, None where that is not known.
    """
    areas = np.bincount(label.ravel(), minlength=len(names)) / label.size
    first = 0 if tags is None else 1
    found = [f"{names[n]} covers {_percent(areas[n])}" for n in range(first, len(names)) if areas[n] >= FILLS]
    if tags is not None:
        found += [f"{names[n]} is tagged and covers {_percent(areas[n])}" for n in tags if areas[n] < LEAST]
        denied = [n for n in range(1, len(names)) if n not in tags and areas[n] >= LEAST]
        found += [f"{names[n]} is no tag and covers {_percent(areas[n])}" for n in denied]
    pieces = count_pieces(label)
    crumbled = [n for n in range(1, len(names)) if pieces[n] >= PIECES and areas[n] < SMALL * pieces[n]]
    if crumbled:
        found.append(f"{CRUMBS} {', '.join(f'{names[n]} {pieces[n]}' for n in crumbled)}")
    return (*found, f"{CONFIDENCE} {confidence:.2f}") if confidence < UNSURE else tuple(found)


def weight(found: Sequence[str]) -> int:
    """By which photos are ordered, the largest first: pieces and confidence are of outlines, the others of a class that
    is wrong; they count twice.
    """
    return sum(1 if reason.startswith((CRUMBS, CONFIDENCE)) else 2 for reason in found)


def _percent(fraction: float) -> str:
    """Rounded down above a half, so that 100 % is all of it, and no rule seems to contradict itself."""
    return f"{np.floor(1000 * fraction) / 10 if fraction > 0.5 else 100 * fraction:.3g} %"
