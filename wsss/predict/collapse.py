"""Detects a collapsed network, which predicts one class nearly everywhere. It needs no masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsss.data.index import IGNORE, Record
from wsss.stores.labels import LabelStore

DOMINANT, REST = 0.95, 0.5
"""Collapsed: one class has at least `DOMINANT` of all pixels, and the rest less than `REST` of its usual fraction."""
FEW = 1 / 3
"""Also collapsed: fewer than this fraction of the tagged classes are predicted anywhere."""
NAMED = 8
"""A message names at most this many classes; the rest are counted."""


@dataclass(frozen=True)
class Spread:
    """How a network's predicted pixels are distributed over the classes of a split.

    `top`: the most frequent class; `share`: its fraction of the predicted pixels; `usual`: its fraction of the pixels
    that the pseudo-labels of the same photos label (NaN if they label none); `tagged`: classes that the photos are
    tagged with; `missing`: those of them that no pixel is predicted as.
    """

    top: int
    share: float
    usual: float
    tagged: tuple[int, ...]
    missing: tuple[int, ...]

    @property
    def collapsed(self) -> bool:
        """True if the network predicts one class nearly everywhere, or few of the tagged classes."""
        found = len(self.tagged) - len(self.missing)
        dominated = self.share >= DOMINANT and 1 - self.share < REST * (1 - self.usual)
        return dominated or found < FEW * len(self.tagged)

    def describe(self, classes: Sequence[str]) -> str:
        """``98.2 % of all pixels are background (61.0 % in the pseudo-labels); never predicted, though tagged: …``"""
        usual = "" if np.isnan(self.usual) else f" ({100 * self.usual:.1f} % in the pseudo-labels)"
        text = f"{100 * self.share:.1f} % of all pixels are {classes[self.top]}{usual}"
        names = [classes[number] for number in self.missing]
        if len(names) > NAMED:
            names[NAMED:] = [f"and {len(names) - NAMED} more"]
        never = f"; never predicted, though tagged: {', '.join(names)}" if names else ""
        return f"{text}{never}"


def spread_of(records: Sequence[Record], predicted: np.ndarray, pseudo: np.ndarray) -> Spread:
    """`predicted`, `pseudo`: (256,) int64 pixels by value over all `records`; 255 is no class."""
    found, labelled = predicted[:IGNORE], pseudo[:IGNORE]
    top = int(found.argmax())
    tagged = tuple(sorted({tag for record in records for tag in record.tags}))
    return Spread(
        top,
        float(found[top] / max(1, predicted.sum())),
        float(labelled[top] / labelled.sum()) if labelled.any() else float("nan"),
        tagged,
        tuple(tag for tag in tagged if found[tag] == 0),
    )


def count_values(store: LabelStore, records: Sequence[Record], version: str = "label") -> np.ndarray:
    """(256,) int64: pixels of each value in the labels of all `records`."""
    counts = np.zeros(256, np.int64)
    for record in records:
        counts += np.bincount(store.label(record.id, version).ravel(), minlength=256)
    return counts
