"""Masks without crumbs: pieces of a class too small to mean anything become what surrounds them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsss.core.errors import UserError
from wsss.data.index import IGNORE

MOST = 5.0
"""Per cent of a photo; a piece of more is no crumb, and whole masks would go with it."""


@dataclass(frozen=True)
class Area:
    """So many `pixels`, or so many `percent` of a photo's pixels; one of the two is 0."""

    pixels: int = 0
    percent: float = 0.0

    def __str__(self) -> str:
        return f"{self.percent:.12g}%" if self.percent else f"{self.pixels}px" if self.pixels else "0"

    def least(self, label: np.ndarray) -> int:
        """In pixels of `label`, (H, W)."""
        return max(self.pixels, math.ceil(self.percent / 100 * label.size))


def parse_area(text: str, where: str = "--min-area") -> Area:
    """``25`` and ``25px`` are of pixels, ``0.1%`` is of a photo's pixels. Raises `UserError` for anything else; `where`
    is for its message.
    """
    number = text.strip()
    if "," in number and (meant := _with_point(number)):
        raise UserError(where, f"found {text!r}, with a comma", f"write a point: {meant}")
    if number.endswith("%"):
        percent = _number(number[:-1])
        if not 0 <= percent <= MOST:
            what = f"found {text!r}, expected 0 to {MOST:g} per cent of a photo's pixels"
            raise UserError(where, what, "give e.g. 0.1%, or a number of pixels")
        return Area(percent=percent)
    whole = number.removesuffix("px").strip()
    if whole.isascii() and whole.isdigit() and len(whole) < 19:
        return Area(pixels=int(whole))
    what = f"found {text!r}, expected whole pixels, or per cent of a photo's pixels"
    meant = f"for per cent of the photo give {number}%" if 0 < _number(number) <= MOST else "give e.g. 25, or 0.1%"
    raise UserError(where, what, meant)


def _with_point(text: str) -> str:
    """``0,1%`` and ``0,1`` → ``0.1%``; nothing if that is no share that may be given. ``1,000`` may be of pixels."""
    percent = text.removesuffix("%").strip().replace(",", ".", 1)
    share = text.endswith("%") or text.startswith("0,")
    return f"{percent}%" if share and 0 < _number(percent) <= MOST else ""


def _number(text: str) -> float:
    """NaN if `text` is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


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
