"""Orders of photos by their features: those like one photo, and a walk on which similar photos lie together."""

from __future__ import annotations

import numpy as np

DIRECTIONS = 32
"""Principal directions that the walk looks at: distances in all 1280 say little more, and take 40 times as long."""


def standardised(features: np.ndarray) -> np.ndarray:
    """(N, C) float32 with mean 0 and spread 1 in each column."""
    spread = features.std(0) + 1e-6
    return np.asarray((features - features.mean(0)) / spread, np.float32)


def like(features: np.ndarray, number: int) -> list[int]:
    """Rows of `features` (N, C) by their cosine similarity to row `number`, which comes first."""
    scaled = standardised(features)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True) + 1e-6
    nearness = scaled @ scaled[number]
    nearness[number] = np.inf
    return [int(row) for row in np.argsort(-nearness, kind="stable")]


def principal(features: np.ndarray) -> np.ndarray:
    """(N, at most `DIRECTIONS`) float32: where the rows of `features` (N, C) lie along their principal directions."""
    scaled = standardised(features).astype(np.float64)
    if len(scaled) < scaled.shape[1]:  # the smaller of the two matrices of products: its time grows with the cube
        squares, places = np.linalg.eigh(scaled @ scaled.T)
        found = places[:, -DIRECTIONS:] * np.sqrt(np.maximum(squares[-DIRECTIONS:], 0))
    else:
        found = scaled @ np.linalg.eigh(scaled.T @ scaled)[1][:, -DIRECTIONS:]
    return np.asarray(found, np.float32)


def walk(features: np.ndarray) -> list[int]:
    """All rows of `features` (N, C), each followed by the one nearest to it of those that are left.

    Begins at the row farthest from the mean: from there, fewer are left behind for the end.
    """
    count = len(features)
    if count < 3:
        return list(range(count))
    points = principal(features)
    rows = np.arange(count)
    place = int(np.argmax((points**2).sum(1)))
    order = []
    while True:
        order.append(int(rows[place]))
        here = points[place].copy()
        # The last of those left takes the place of the one that was visited.
        rows[place], points[place] = rows[len(rows) - 1], points[len(rows) - 1]
        rows, points = rows[:-1], points[:-1]
        if not len(rows):
            return order
        place = int(np.argmin(((points - here) ** 2).sum(1)))
