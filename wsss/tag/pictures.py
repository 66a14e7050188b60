"""Photos as the page shows them: small JPEGs, made when they are asked for and kept while there is room."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.data.codec import read_file
from wsss.data.images import read_photo
from wsss.data.size import read_size

SMALL, LARGE = 240, 1280
"""Longer sides in pixels: in the grid, and of the photo that one looks at."""
KEPT = 64_000_000
"""Bytes of JPEGs that are kept: some thousands of small ones."""
AT_ONCE = 2
"""Photos that are decoded at the same time: each may need some hundred megabytes."""
QUALITY = 82


class Pictures:
    """Makes the JPEGs of photos below `root`. May be called from any thread."""

    def __init__(self, root: Path, kept: int = KEPT) -> None:
        self.root, self.kept = root, kept
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._turn = threading.Lock()
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def jpeg(self, image: str, side: int) -> bytes:
        """The photo at path `image`, at most `side` pixels long. Raises `UserError` if it is damaged."""
        key = (image, side)
        with self._turn:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        with self._room:
            data = encoded(read_small(self.root / image, side))
        with self._turn:
            if key not in self._made:
                self._made[key] = data
                self._bytes += len(data)
            while self._bytes > self.kept:
                self._bytes -= len(self._made.popitem(last=False)[1])
        return data


def read_small(path: Path, side: int) -> np.ndarray:
    """The photo at `path` with a longer side of at most `side` pixels, (h, w, 3) uint8 RGB."""

    def at_most(height: int, width: int) -> tuple[int, int]:
        return read_size(height, width, side) if max(height, width) > side else (height, width)

    return read_photo(read_file(path), path, at_most).image


def encoded(pixels: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a JPEG, which holds nothing of the photo's file but its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
