"""At which size photos are read: one rule for the stages, and for everything that later runs the networks.

Size is part of a network: one that learned from photos of 500 pixels finds nothing in their originals of 4000.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

SMALLEST, LARGEST = 320, 400
"""`auto` lies between these, in pixels. The recipes' crops of 192 to 320 show of a photo of this size enough to know
what is in it; in smaller ones, a cell of the maps (16 or 32 pixels) is larger than the objects."""
NEAR = 0.1
"""`auto` leaves photos as they are if it would change their median size by a smaller fraction than this."""
MOST_ENLARGED = 3.0
"""A photo is enlarged at most so many times: beyond that there is nothing to see."""
ELONGATED = 4
"""Panoramas longer than 4:1 keep a shorter side of a quarter of the long side; else a strip of a few pixels is left."""


def resolve_auto(sizes: Sequence[tuple[int, int]]) -> int:
    """`dataset.long_side` for photos of these (H, W) in pixels: their median longer side, between `SMALLEST` and
    `LARGEST`; 0, photos as they are, if that is nearly their size or there are none.
    """
    if not sizes:
        return 0
    median = statistics.median(max(size) for size in sizes)
    side = min(max(round(median), SMALLEST), LARGEST)
    return 0 if abs(side / median - 1) < NEAR else side


def read_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(H, W) at which a photo of `height` × `width` pixels is read, each ≥ 1; `long_side` 0: as it is."""
    if long_side == 0:
        return height, width
    shorter, longer = sorted((height, width))
    least = min(1.0, long_side / ELONGATED / shorter)
    scale = min(MOST_ENLARGED, max(long_side / longer, least))
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True)
class ReadSizes:
    """The sizes that a network's photos were read at: it is run on others brought to them.

    `long_side`: the resolved `dataset.long_side`, 0 = photos as they are; `smallest`, `median`, `largest`: of the
    longer sides of the data set's photos, as they were read. All in pixels.
    """

    long_side: int
    smallest: int
    median: int
    largest: int

    @classmethod
    def of(cls, long_side: int, sizes: Iterable[tuple[int, int]]) -> ReadSizes | None:
        """Of photos that were read at the (H, W) `sizes`; None without any."""
        sides = sorted(max(size) for size in sizes)
        return cls(long_side, sides[0], round(statistics.median(sides)), sides[-1]) if sides else None

    @classmethod
    def parse(cls, values: Any) -> ReadSizes | None:
        """From the plain values of a file; None for None. Raises `ValueError` if they are something else."""
        if values is None:
            return None
        names = ("long_side", "smallest", "median", "largest")
        if not isinstance(values, dict) or tuple(values) != names or any(type(v) is not int for v in values.values()):
            raise ValueError(f"sizes of photos: {values!r}")
        found = cls(**values)
        if not (found.long_side >= 0 and 1 <= found.smallest <= found.median <= found.largest):
            raise ValueError(f"sizes of photos: {values!r}")
        return found

    def plain(self) -> dict[str, int]:
        """As plain values, for files."""
        return asdict(self)

    def read(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) at which to read a photo of `height` × `width` pixels.

        By `long_side`. Where the data set's photos were read as they are, photos of their sizes are too, and others are
        brought to the median. Their sizes are within a factor 2 of the median: beyond it are stray photos.
        """
        if self.long_side:
            return read_size(height, width, self.long_side)
        low, high = max(self.smallest, self.median / 2), min(self.largest, self.median * 2)
        return read_size(height, width, 0 if low <= max(height, width) <= high else self.median)

    def describe(self) -> str:
        """``320 pixels``: longer sides after reading."""
        if self.long_side or self.smallest == self.largest:
            return f"{self.long_side or self.median} pixels"
        return f"{self.smallest} to {self.largest} pixels"


def resized(photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A photo (H, W, 3) uint8 at `size` (h, w): the same array, or a copy by Lanczos, or bicubic where enlarged."""
    if photo.shape[:2] == size:
        return photo
    smaller = size[0] * size[1] < photo.shape[0] * photo.shape[1]
    method = Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(photo).resize(size[::-1], method))


def fit_label(label: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Nearest neighbour: (H, W) uint8 → (h, w) uint8 for `shape = (h, w, …)`; no new label appears."""
    if label.shape == shape[:2]:
        return label
    return np.asarray(Image.fromarray(label).resize((shape[1], shape[0]), Image.Resampling.NEAREST))
