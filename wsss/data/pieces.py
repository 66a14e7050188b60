"""Counts the pieces of a label map. In numpy alone: a light installation, which predicts, has no scipy."""

from __future__ import annotations

import numpy as np


def count_pieces(label: np.ndarray) -> np.ndarray:
    """(256,) int64: in how many pieces, connected by the sides of pixels, each value of a (H, W) uint8 label lies."""
    begins = np.ones(label.shape, bool)
    begins[:, 1:] = label[:, 1:] != label[:, :-1]
    runs = np.cumsum(begins, dtype=np.int32).reshape(label.shape) - 1  # equal neighbours in a row have one number
    touch = label[1:] == label[:-1]
    pairs = np.stack([runs[:-1][touch], runs[1:][touch]])
    new = np.ones(pairs.shape[1], bool)
    new[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(0)  # two runs touch along many pixels
    above, below = pairs[:, new]
    values = label[begins]
    roots = np.arange(len(values))
    while True:
        low, high = np.sort([roots[above], roots[below]], axis=0)
        if (low == high).all():
            return np.bincount(values[roots == np.arange(len(roots))], minlength=256)
        np.minimum.at(roots, high, low)
        while (roots != roots[roots]).any():
            roots = roots[roots]
