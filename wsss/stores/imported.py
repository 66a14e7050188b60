"""Labels that no stage made and that `distill.labels` names: where they are, and if a student learned from them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict

from wsss.core.folders import STORE_INDEX
from wsss.core.params import Settings
from wsss.core.stage import hash_input
from wsss.stores.labels import PseudoStore

PSEUDO = "pseudo"
"""`distill.labels` for the store that stage `correct` writes."""


class Labels(Settings):
    """Section `distill`, as far as it names the labels that the student learned from."""

    model_config = ConfigDict(extra="ignore")

    labels: str = PSEUDO

    @property
    def place(self) -> Path | None:
        """Their folder, if no stage makes them."""
        return None if self.labels == PSEUDO else Path(self.labels)


class ImportedStore(PseudoStore):
    """Imported labels, in the table of scores; it may lack photos, as those of val."""

    source = "imported labels"
    whole = False

    @property
    def threshold(self) -> str:
        """Who decided on them is not known, but for masks."""
        return "oracle: masks" if self.upper_bound else "imported"


def imported_labels(place: Path | None, noted: str) -> ImportedStore | None:
    """The store in `place`, if it is the one that the student learned from; else None.

    `noted`: the checksum that stage `distill` noted of the store that it learned from, empty for pseudo-labels.
    """
    if not noted or place is None or not (place / STORE_INDEX).is_file() or hash_input(place) != noted:
        return None
    return ImportedStore(place)
