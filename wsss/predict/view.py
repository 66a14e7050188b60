"""Test-time scales, flips and tiles of a photo. No torch import: a command's help needs the defaults and is fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wsss.core.errors import UserError

TILE = 1024
"""Default side of the tiles of large photos."""

ALIGNMENT = 32
"""Tiles begin at multiples of the coarsest stride, so that a network's grid lies on the same pixels in each of them."""

OVERLAP = 4
"""Neighbouring tiles share a quarter of a side. The outer quarter of the overlap has weight 0: there the network sees
an edge that the photo does not have."""

UNTILED = 4
"""A photo is cut if its largest view has more pixels than this many tiles."""


@dataclass(frozen=True)
class View:
    """The views of a photo that are averaged: `scales` and, with `flip`, horizontal flips; `tile`: side of the tiles in
    pixels of the largest view.
    """

    scales: tuple[float, ...]
    flip: bool
    tile: int

    def side(self, height: int, width: int) -> int | None:
        """Side of a tile in pixels of the photo, a multiple of 128; None if the photo is not cut."""
        largest = max(self.scales)
        if height * width * largest**2 <= UNTILED * self.tile**2:
            return None
        return max(1, round(self.tile / largest) // (OVERLAP * ALIGNMENT)) * OVERLAP * ALIGNMENT


def checked_scales(scales: Sequence[float] | object) -> tuple[float, ...]:
    """The scales as numbers. Raises `UserError` unless `scales` is a sequence of at least one, and all in (0, 8]."""
    listed = list(scales) if isinstance(scales, Iterable) and not isinstance(scales, str) else []
    try:
        found = tuple(float(scale) for scale in listed)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(0 < scale <= 8 for scale in found):
        what = f"found {listed or scales!r}, expected a list of numbers above 0 and up to 8"
        raise UserError("scales", what, "give e.g. [0.75, 1, 1.25] (on the command line: 0.75,1,1.25)")
    return found
