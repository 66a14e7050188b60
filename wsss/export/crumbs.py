"""The labels of a store without crumbs, as the writers of labels read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wsss.core.errors import UserError
from wsss.data.crumbs import least_pixels, parse_percent, without_crumbs
from wsss.data.index import Record
from wsss.export.labels import Labels, file_label


@dataclass(frozen=True)
class Area:
    """So many `pixels`, or so many `percent` of a photo's pixels; one of the two is 0."""

    pixels: int = 0
    percent: float = 0.0

    def least(self, label: np.ndarray) -> int:
        """In pixels of `label`, (H, W)."""
        return max(self.pixels, least_pixels(self.percent, label))


def parse_area(text: str) -> Area:
    """``25`` is of pixels, ``0.1%`` of a photo's pixels. Raises `UserError` for anything else."""
    if text.endswith("%"):
        return Area(percent=parse_percent(text))
    if not (text.isascii() and text.isdigit()):
        what = f"found {text!r}, expected pixels, or per cent of a photo's pixels"
        raise UserError("--min-area", what, "give e.g. --min-area 25, or --min-area 0.1%")
    return Area(pixels=int(text))


class WithoutCrumbs:
    """The label maps of `store` at the size of the photos' files, without pieces of less than the `least` area."""

    def __init__(self, store: Labels, photos: Mapping[str, Record], least: Area) -> None:
        self.path, self.classes, self.ids = store.path, store.classes, store.ids
        self._store, self._photos, self._least = store, photos, least

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        label = file_label(self._store, name, self._photos)
        return without_crumbs(label, self._least.least(label))
