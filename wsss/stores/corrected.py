"""Imported labels that a person has corrected: where they lie, and which labels they were imported over."""

from __future__ import annotations

from pathlib import Path

from wsss.core.errors import WsssError
from wsss.stores.labels import PseudoStore
from wsss.stores.opened import is_store, open_pseudo

CORRECTED = Path("artifacts/corrected")
"""What the names of corrected labels begin with."""
BASE = "base"
"""Attribute of a store of corrected labels: the folder of the one that it was imported over."""


def corrected_folders(project: Path = Path()) -> list[Path]:
    """All folders of `project` whose names say that corrected labels are in them."""
    return sorted((project / CORRECTED.parent).glob(f"{CORRECTED.name}*"))


def made_over(store: PseudoStore, project: Path = Path()) -> list[Path]:
    """The folder of `store`, that of the labels that it was imported over, and so on: as far as they can be read."""
    found = [store.path]
    while is_store(found[-1]):
        try:
            base = open_pseudo(found[-1]).attributes.get(BASE)
        except WsssError:
            break
        if base is None or (place := project / str(base)) in found:
            break
        found.append(place)
    return found
