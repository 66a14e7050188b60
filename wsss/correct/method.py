"""The interface of a correction method: CAMs of photos in, labels out. Arrays only; `correct.stage` handles files.

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
    """A photo's pseudo-label as every method returns it and the store keeps it.

    The methods' own results carry more detail: `fixed.PseudoLabel` and, for the Gaussian correction, `gmm.Corrected`.
    `label`: (H, W) uint8, 0 background, 1..K, 255 = ignored; `confidence`: (H, W) float32 in [0, 1], 0 where 255.
    `before`: by name, earlier versions of the label, kept beside it; `mixtures`: (P, 18) float64 of `correct.tables`,
    the mixture of each map, None if the method fits none.
    """

    label: np.ndarray
    confidence: np.ndarray
    before: Mapping[str, np.ndarray] = field(default_factory=dict)
    mixtures: np.ndarray | None = None


class Method(Protocol):
    """A way to make pseudo-labels from CAMs."""

    advice: str
    """What to change if many photos get no foreground label."""

    def attributes(self) -> dict[str, bool | int | float | str]:
        """What the store records of its making: ``crf`` (a bool) and the settings that were read, no others."""

    def survey(self, cams: Iterable[Cams]) -> Any:
        """Statistics of all training photos that the method needs first, or None."""

    def begin(self, cams: Sequence[Cams], survey: Any) -> Sequence[Any]:
        """What the method computes for all photos of a shard together, one item for each photo."""

    def label(self, image: np.ndarray, cams: Cams, begun: Any) -> Labelled:
        """The label of one photo: `image` (H, W, 3) uint8, its CAMs, and its item of `begin`."""
