"""Pictures in rows and columns on one white sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.data.captions import caption

GAP = 6


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (h, w, 3) uint8 in a row, their tops in line."""
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) - 1)
    row, left = np.full((height, width, 3), 255, np.uint8), 0
    for picture in pictures:
        row[: len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return row


def below(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (h, w, 3) uint8 in a column, their left sides in line."""
    return beside([picture.swapaxes(0, 1) for picture in pictures]).swapaxes(0, 1)


def titled(titles: Sequence[str], pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures (h, w, 3) uint8, each with its title above it."""
    return [below([caption(t, p.shape[1]), p]) for t, p in zip(titles, pictures, strict=True)]


def save(sheet: np.ndarray, out: Path) -> None:
    """Write (H, W, 3) uint8 as the picture file `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(out)
