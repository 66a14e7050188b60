"""What a correction method is: CAMs of photos in, labels out. Arrays only; `correct.stage` does the files.

To add one, write a file beside this one, and add its settings and its line in `METHODS` to `correct.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsss.stores.cams import Cams


@dataclass(frozen=True)
class Labelled:
    """A photo's pseudo-label.

    `label`: (H, W) uint8, 0 background, 1..K, 255 = ignored; `confidence`: (H, W) float32 in [0, 1], 0 where 255.
    `before`: by name, earlier versions of the label, kept beside it; `rows`: (P, C) float64, what the method found out
    about each map, None where it keeps nothing.
    """

    label: np.ndarray
    confidence: np.ndarray
    before: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray | None = None


class Method(Protocol):
    """A way to make pseudo-labels of CAMs. Pickled to worker processes."""

    def survey(self, cams: Iterable[Cams]) -> Any:
        """What the method has to know of all training photos first, or None."""

    def begin(self, cams: Sequence[Cams], survey: Any) -> Sequence[Any]:
        """What it computes of the photos of one shard at once, one item for each photo."""

    def label(self, image: np.ndarray, cams: Cams, begun: Any) -> Labelled:
        """The label of one photo: `image` (H, W, 3) uint8, its CAMs, and its item of `begin`."""
