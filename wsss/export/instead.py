"""Labels of several sources as one: of some photos those of another source, which a person found better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsss.core.errors import UserError
from wsss.data.index import Record
from wsss.export.labels import Labels
from wsss.export.only import named_photos
from wsss.export.opened import Opened

NAMED = 3
"""Photos that an error names."""


class Instead:
    """The label maps of `store`, but of the photos `ids` those of `other`, whether `store` has them or not."""

    def __init__(self, store: Labels, other: Labels, ids: frozenset[str]) -> None:
        self.path, self.classes = store.path, store.classes
        self.ids = tuple(sorted({*store.ids, *ids}))
        self._store, self._other, self._chosen = store, other, ids

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        return self.giver(name).label(name)

    def giver(self, name: str) -> Labels:
        """The one of the two whose label of photo `name` it is."""
        return self._other if name in self._chosen else self._store


def instead(opened: Opened, other: Opened, names: Path) -> tuple[Opened, int]:
    """The labels `opened`, with those of `other` for the photos that the file `names` names (see `export.only`), and
    how many these are. A photo's file is what `opened` says it is, where that knows it.

    Raises `UserError` for other classes, for photos that `other` does not have, and if one id is of two photos.
    """
    (store, photos), (second, its_photos) = opened, other
    if store.classes != second.classes:
        what = f"has other classes than {store.path}: {', '.join(second.classes)}; expected {', '.join(store.classes)}"
        raise UserError(second.path, what, "give labels of one run, or of one network, to both")
    chosen = named_photos(names, second, its_photos)
    _refuse_namesakes(photos, its_photos, chosen, second.path, store.path)
    return (Instead(store, second, chosen), {**its_photos, **photos}), len(chosen)


def _refuse_namesakes(
    photos: Mapping[str, Record], others: Mapping[str, Record], chosen: frozenset[str], path: Path, first: Path
) -> None:
    both = sorted(name for name in chosen if name in photos and name in others)
    wrong = [name for name in both if photos[name].sha256 != others[name].sha256]
    if wrong:
        what = f"{len(wrong)} of its photos are other files than those of these names in {first}: "
        fix = "predict the folder of the data set, and not one above or below it, so that ids mean the same photos"
        raise UserError(path, what + ", ".join(wrong[:NAMED]), fix)
