"""Ground-truth masks, in a module of their own: a test allows importing it in evaluation and report only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from wsss.data.images import load_mask
from wsss.data.index import Record
from wsss.data.photos import Photos


@dataclass(frozen=True)
class MaskedImages:
    """Photos with ground truth. `classes` counts the background."""

    photos: Photos
    classes: int

    def part(self, ids: Iterable[str]) -> MaskedImages:
        """The photos `ids` alone."""
        return replace(self, photos=self.photos.part(ids))

    def mask(self, record: Record) -> np.ndarray | None:
        """(H, W) uint8 of the photo's own size, 0..K and 255, or None if the photo has no mask."""
        if record.mask is None:
            return None
        return load_mask(self.photos.root / record.mask, record.own_size, self.classes)
