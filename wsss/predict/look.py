"""Which masks to look at first: plain rules on a mask, the tags of its photo and its pseudo-label, and on how sure the
network was of it among others. None was tuned, and none reads a mask that a person drew. How well they find bad masks,
and what was left out because it did not: docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsss.data.index import IGNORE
from wsss.data.pieces import count_pieces
from wsss.data.size import fit_label

FILLS = 0.95
"""A class covers at least this fraction of the photo. The background only where no tag says that something is there."""
INSTEAD = 0.5
"""Where a tagged class covers nothing, another tagged one that covers this fraction or more may stand in its place."""
LEAST = 0.02
"""A tagged class covers less of the photo; a class that is no tag covers at least as much."""
UNLIKE = 0.4
"""The mask differs at least so much from the pseudo-label, see `difference`."""
PIECES, SMALL = 10, 0.005
"""A class has at least so many pieces, and these cover less than this fraction of the photo on average."""
UNSURE = 10
"""Of the photos without another reason, one of so many is named: those of the lowest mean confidence, or of photos that
the student was trained on those that differ most from what it has learned from."""

RULES = (
    f"a class of the photo's tags covers nothing (another that covers at least {100 * INSTEAD:g} % is named with it)",
    f"a class that is none of its tags covers at least {100 * LEAST:g} %",
    f"the mask differs by {UNLIKE:g} or more from the pseudo-label that the run has of this photo",
    f"one class covers at least {100 * FILLS:g} % of the photo (the background only where no tags are known)",
    f"a class of its tags covers something, but less than {100 * LEAST:g} %",
    f"a class has {PIECES} pieces or more, of less than {100 * SMALL:g} % on average",
    "none of these holds, and of such photos it is in the tenth of the lowest mean confidence; of those that the "
    "student was trained on, in the tenth whose mask differs from its label on the most pixels",
)
"""In words, in the order of the reasons."""
TWICE = 3
"""So many of them, the first, count twice: there a class is wrong. The last counts nothing: such photos come last."""

SEPARATOR = "; "
CRUMBS, CONFIDENCE, LEARNED = "pieces:", "confidence", "label and mask differ on"
NOTHING, DENIED, DIFFERS = " is tagged and covers nothing", " is no tag and covers ", "differs from its pseudo-label:"


def reasons(
    label: np.ndarray,
    names: Sequence[str],
    tags: Sequence[int] | None = None,
    pseudo: np.ndarray | None = None,
) -> tuple[str, ...]:
    """Why a mask should be looked at, in words; empty where no rule applies.

    `label`: (H, W) uint8, 0 background, 1..K; `names`: K+1, background first;
    `tags`: the numbers of all classes that the photo shows, None where that is not known; `pseudo`:
    (h, w) uint8 of the same photo, 255 where ignored, None where there is none.
    """
    areas = np.bincount(label.ravel(), minlength=len(names)) / label.size
    found = []
    if tags is not None:
        large = max(tags, key=lambda n: float(areas[n]), default=0)
        fills = bool(large) and areas[large] >= INSTEAD
        there = f" ({_percent(areas[large])} of the photo is {names[large]})" if fills else ""
        found += [f"{names[n]}{NOTHING}{there}" for n in tags if not areas[n]]
        denied = [n for n in range(1, len(names)) if n not in tags and areas[n] >= LEAST]
        found += [f"{names[n]}{DENIED}{_percent(areas[n])}" for n in denied]
    differs = None if pseudo is None else difference(label, pseudo)
    if differs is not None and differs >= UNLIKE:
        found.append(f"{DIFFERS} {differs:.2f}")
    first = 0 if tags is None else 1
    found += [f"{names[n]} covers {_percent(areas[n])}" for n in range(first, len(names)) if areas[n] >= FILLS]
    found += [f"{names[n]} is tagged and covers only {_percent(areas[n])}" for n in tags or () if 0 < areas[n] < LEAST]
    pieces = count_pieces(label)
    crumbled = [n for n in range(1, len(names)) if pieces[n] >= PIECES and areas[n] < SMALL * pieces[n]]
    if crumbled:
        found.append(f"{CRUMBS} {' and '.join(f'{names[n]} {pieces[n]}' for n in crumbled)}")
    return tuple(found)


def difference(label: np.ndarray, pseudo: np.ndarray) -> float | None:
    """1 - mean IoU in [0, 1] over the classes in either, background included, where `pseudo` is not 255; None where it
    is nothing else. `label`: (H, W), `pseudo`: (h, w), both uint8.
    """
    known = pseudo != IGNORE
    first, second = fit_label(label, pseudo.shape)[known], pseudo[known]
    of_first, of_second, of_both = (np.bincount(of, minlength=256) for of in (first, second, first[first == second]))
    either = of_first + of_second - of_both
    there = either > 0
    return float(1 - (of_both[there] / either[there]).mean()) if there.any() else None


def differing(label: np.ndarray, learned: np.ndarray) -> float | None:
    """Fraction in [0, 1] of the pixels of `learned`, where it is not 255, in which `label` has another class; None if
    it is nothing else. Both (H, W) and (h, w) uint8.
    """
    known = learned != IGNORE
    return float((fit_label(label, learned.shape) != learned)[known].mean()) if known.any() else None


def weight(found: Sequence[str]) -> int:
    """By which photos are ordered, the largest first; see `TWICE`."""
    return sum(2 if _of_a_class(reason) else 0 if reason.startswith((CONFIDENCE, LEARNED)) else 1 for reason in found)


def _of_a_class(reason: str) -> bool:
    return NOTHING in reason or DENIED in reason or reason.startswith(DIFFERS)


def _percent(fraction: float) -> str:
    """Rounded down above a half, so that 100 % is all of it, and no rule seems to contradict itself."""
    return f"{np.floor(1000 * fraction) / 10 if fraction > 0.5 else 100 * fraction:.3g} %"
