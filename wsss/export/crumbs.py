"""The labels of a store without crumbs, as the writers of labels read them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wsss.data.crumbs import Area, without_crumbs
from wsss.data.index import Record
from wsss.export.labels import Labels, file_label


class WithoutCrumbs:
    """The label maps of `store` at the size of the photos' files, without pieces of less than the `least` area."""

    def __init__(self, store: Labels, photos: Mapping[str, Record], least: Area) -> None:
        self.path, self.classes, self.ids = store.path, store.classes, store.ids
        self._store, self._photos, self._least = store, photos, least

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        label = file_label(self._store, name, self._photos)
        return without_crumbs(label, self._least.least(label))

    def giver(self, name: str) -> Labels:
        """The store, of every photo."""
        return self._store
