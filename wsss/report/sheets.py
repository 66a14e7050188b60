"""Sheets of pictures that say what they show: captioned tiles in rows, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsss.data.captions import caption

PAPER = 255


def titled(title: str, picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 with its title above it → (h + H, W, 3)."""
    return np.concatenate([caption(title, picture.shape[1]), picture])


def joined(pictures: Sequence[np.ndarray], gap: int, axis: int = 0) -> np.ndarray:
    """Pictures side by side (`axis` 1) or one below the other."""
    shape = list(pictures[0].shape)
    shape[axis] = gap
    space = np.full(shape, PAPER, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, space)][:-1], axis=axis)
