"""Labels for the student that `plan.probe` times, where none are made yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsss.data.index import Record


@dataclass(frozen=True)
class HalfLabelled:
    """Labels for a student that has none yet: the first tag in one half of the photo, background in the other."""

    records: dict[str, Record]

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8."""
        record = self.records[name]
        found = np.zeros(record.size, np.uint8)
        found[:, : record.width // 2] = record.tags[0] if record.tags else 0
        return found

    def confidence(self, name: str) -> np.ndarray:
        """(H, W) float32, 1 everywhere."""
        return np.ones(self.records[name].size, np.float32)
