"""Values and colours of masks, counted in bands of rows: a mask of 120 megapixels costs no gigabytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsss.core.errors import UserError

BAND = 4_000_000
"""Pixels that are looked at together."""


def bands(height: int, width: int) -> Iterator[slice]:
    """Rows 0 to `height`, about `BAND` pixels at a time."""
    rows = max(1, BAND // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def value_counts(mask: np.ndarray) -> npt.NDArray[np.int64]:
    """Pixels of each value of (H, W) integers in 0..65535; as long as the largest one needs, but at least 256."""
    total = np.zeros(256, np.int64)
    for rows in bands(*mask.shape):
        found = np.bincount(mask[rows].ravel(), minlength=len(total))  # of int64: eight times the mask
        found[: len(total)] += total
        total = found
    return total


def without_dropped(mask: npt.NDArray[np.uint8], known: int, dropped: Sequence[int]) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 of numbers below `known`, and 255 → the same without the numbers `dropped`: these are 0, and those
    above them move down.
    """
    table = np.zeros(256, np.uint8)
    kept = [number for number in range(known) if number not in dropped]
    table[kept] = np.arange(len(kept))
    table[255] = 255
    return table[mask]


def ids_of_colours(pixels: npt.NDArray[np.uint8], path: Path, palette: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3 or 4) colours of the (256, 3) `palette` → (H, W) uint8 class ids. `UserError` for any other colour."""
    if pixels.shape[2] == 4 and (pixels[..., 3] < 255).any():
        raise UserError(path, "the colour mask has transparent pixels", "save the mask as an indexed PNG")
    weights = np.array([1 << 16, 1 << 8, 1])
    codes = palette @ weights
    order = np.argsort(codes)
    known = codes[order]
    ids = np.empty(pixels.shape[:2], np.uint8)
    unknown: dict[int, int] = {}
    for rows in bands(pixels.shape[0], pixels.shape[1]):
        colours, inverse, counts = np.unique(pixels[rows, :, :3] @ weights, return_inverse=True, return_counts=True)
        nearest = np.searchsorted(known, colours).clip(max=255)
        for place in np.flatnonzero(known[nearest] != colours):
            unknown[int(colours[place])] = unknown.get(int(colours[place]), 0) + int(counts[place])
        ids[rows] = order[nearest][inverse].reshape(ids[rows].shape)
    if unknown:
        code = min(unknown)
        found = f"RGB {(code >> 16, code >> 8 & 255, code & 255)} in {unknown[code]} pixels"
        what = f"colour that is no class (found {found}, expected the colours of the VOC palette)"
        raise UserError(path, what, "save the mask as an indexed PNG of class ids")
    return ids
