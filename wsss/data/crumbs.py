"""Masks without crumbs: pieces of a class too small to mean anything become what surrounds them."""

from __future__ import annotations

import math

import numpy as np

from wsss.core.errors import UserError
from wsss.data.index import IGNORE


def parse_percent(text: str) -> float:
    """``0.1`` or ``0.1%`` of a photo's pixels → 0.1. Raises `UserError` for what is no number of 0 to 100."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        what = f"found {text!r}, expected a number of 0 to 100, in per cent of the photo's pixels"
        raise UserError("--min-area", what, "give e.g. --min-area 0.1")
    return percent


def least_pixels(percent: float, label: np.ndarray) -> int:
    """The fewest pixels that are `percent` of those of `label`, (H, W)."""
    return math.ceil(percent / 100 * label.size)


def without_crumbs(label: np.ndarray, least: int) -> np.ndarray:
    """(H, W) uint8 class ids, 255 where ignored → the same without small pieces.

    A piece is what one class, the background among them, covers and sides of pixels connect. Those of fewer than
    `least` pixels take the value that most pixels along them have; small ones that touch are taken together. The
    ignored pixels are no class: they stay. So does a photo of which everything is small.
    """
    from scipy import ndimage  # a light installation has none, and predicts without this

    small = np.zeros(label.shape, bool)
    for value in np.unique(label[label != IGNORE]):
        pieces, _ = ndimage.label(label == value)
        few = np.bincount(pieces.ravel()) < least
        few[0] = False  # everything else
        small |= few[pieces]
    found = label.copy()
    holes, _ = ndimage.label(small)
    for number, place in enumerate(ndimage.find_objects(holes), start=1):
        around = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in place)
        hole = holes[around] == number
        along = label[around][ndimage.binary_dilation(hole) & ~hole]
        if along.size:
            found[around][hole] = np.bincount(along).argmax()
    return found
