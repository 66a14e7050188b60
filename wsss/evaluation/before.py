"""What a data set had before it was changed: photos that are gone, and classes that were dropped.

Masks that come back may be of an earlier state. A photo counts as gone, and not as misspelt, if labels or an export
of this project know it; a class, if `dataset.drop` names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import WsssError
from wsss.core.settings_file import read_settings
from wsss.evaluation.exported import PROJECT, notes, read_exported
from wsss.evaluation.mask_names import photo_names
from wsss.stores.corrected import corrected_folders
from wsss.stores.labels import LABEL_STORES
from wsss.stores.opened import open_pseudo


@dataclass(frozen=True)
class Before:
    """The `photos` that are gone, by id, and the `classes` that were dropped, by name."""

    photos: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


NEVER = Before()


def before(folder: Path, given: Path | None, ids: Sequence[str], classes: Sequence[str]) -> Before:
    """What is known of photos and classes that are not among `ids` and `classes` any more: by the stores of labels in
    the working folder, what is said of the masks in `folder`, what is `given` of their export, and the notes of this
    project.
    """
    names: set[str] = set()
    for place in [*(kind.place for kind in LABEL_STORES), *corrected_folders()]:
        with suppress(WsssError):
            names |= {*open_pseudo(place).ids}
    for export in [read_exported(folder), *([] if given is None else [read_exported(given)]), *notes()]:
        names |= {*export.origins}
    there = photo_names(ids)
    return Before(frozenset(names - there.keys()), dropped_classes(Path(PROJECT)) - {*classes})


def dropped_classes(params: Path) -> frozenset[str]:
    """The names in `dataset.drop` of the settings at `params`."""
    with suppress(WsssError, KeyError, TypeError):
        return frozenset(map(str, read_settings(params)["dataset"]["drop"]))
    return frozenset()
