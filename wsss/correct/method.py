"""What a correction method is: CAMs of photos in, labels out. Arrays only; `correct.stage` does the files.

To add one, write a file beside this one; in `correct.settings` add its name, its settings and its line in `METHODS`.
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
    `before`: by name, earlier versions of the label, kept beside it; `mixtures`: (P, 18) float64 of `correct.tables`,
    what was fitted to each map, None where nothing was.
    """

    label: np.ndarray
    confidence: np.ndarray
    before: Mapping[str, np.ndarray] = field(default_factory=dict)
    mixtures: np.ndarray | None = None


class Method(Protocol):
    """A way to make pseudo-labels of CAMs."""

    advice: str
    """What to change where many photos get no foreground label."""

    def attributes(self) -> dict[str, bool | int | float | str]:
        """What the store says of how it was made: ``crf`` (a bool), and the settings that were read, and no others."""

    def survey(self, cams: Iterable[Cams]) -> Any:
        """What the method has to know of all training photos first, or None."""

    def begin(self, cams: Sequence[Cams], survey: Any) -> Sequence[Any]:
        """What it computes of the photos of one shard at once, one item for each photo."""

    def label(self, image: np.ndarray, cams: Cams, begun: Any) -> Labelled:
        """The label of one photo: `image` (H, W, 3) uint8, its CAMs, and its item of `begin`."""
