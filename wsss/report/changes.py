"""Where two label maps of one photo differ, and which of the two is right. Arrays only."""

from __future__ import annotations

import numpy as np

from wsss.data.index import IGNORE

SAME, BETTER, WORSE, OTHER = range(4)
"""Of a pixel: no change; only the second label is right; only the first is; neither is, or nobody knows."""


def changes(first: np.ndarray, second: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """(H, W) uint8 of `SAME`, `BETTER`, `WORSE`, `OTHER` for two (H, W) uint8 labels.

    Without a mask whatever differs is `OTHER`. Where the mask is 255 nothing is said: `SAME`. A label of 255 is never
    right.
    """
    differ = first != second
    found = np.where(differ, OTHER, SAME).astype(np.uint8)
    if mask is None:
        return found
    found[differ & (second == mask)] = BETTER
    found[differ & (first == mask)] = WORSE
    found[mask == IGNORE] = SAME
    return found


def changed(first: np.ndarray, second: np.ndarray) -> float:
    """Share in [0, 1] of pixels that have another label, "no label" (255) counted as one."""
    return float((first != second).mean())
