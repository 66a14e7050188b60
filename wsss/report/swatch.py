"""Classes in the legends of pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsss.data.palette import display_palette
from wsss.data.render import css_colour


@dataclass(frozen=True)
class Swatch:
    """A class in a legend: id, name, colour in CSS (the background is transparent), its IoU in one photo if known.

    `speck`: its pixels in the photo, if they are too few to mean anything and nobody expects it there; else 0.
    """

    number: int
    name: str
    colour: str
    iou: float | None = None
    speck: int = 0


def make_swatch(number: int, classes: Sequence[str], iou: float | None = None, speck: int = 0) -> Swatch:
    """Class `number` of `classes`, in the colour that overlays have."""
    colour = css_colour(display_palette()[number]) if number else "transparent"
    return Swatch(number, classes[number], colour, iou, speck)
