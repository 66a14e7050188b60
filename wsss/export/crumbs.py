"""Masks without crumbs: pieces of a class too small to mean anything become what surrounds them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from wsss.data.index import IGNORE, Record
from wsss.export.labels import Labels, file_label


class WithoutCrumbs:
    """The label maps of `store` at the size of the photos' files, without pieces of fewer than `least` pixels."""

    def __init__(self, store: Labels, photos: Mapping[str, Record], least: int) -> None:
        self.path, self.classes, self.ids = store.path, store.classes, store.ids
        self._store, self._photos, self._least = store, photos, least

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        return without_crumbs(file_label(self._store, name, self._photos), self._least)


def without_crumbs(label: np.ndarray, least: int) -> np.ndarray:
    """(H, W) uint8 class ids, 255 where ignored → the same without small pieces.

    A piece is what one class, the background among them, covers and sides of pixels connect. Those of fewer than
    `least` pixels take the value that most pixels along them have; small ones that touch are taken together. The
    ignored pixels are no class: they stay. So does a photo of which everything is small.
    """
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
