"""Of labels that were imported: what of, whether that is still the same, and which photos are whose."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from wsss.core.errors import WsssError
from wsss.core.locked_files import read_settings
from wsss.core.words import counted
from wsss.data.origins import FROM_LABELS, FROM_NETWORK, LABELS_SHA
from wsss.evaluation.edited_masks import BY
from wsss.formats.problems import some
from wsss.report.lineage import LOCK, checked, imported
from wsss.stores.imported import imported_labels
from wsss.stores.labels import BY_HAND, PseudoStore, RelabelledStore
from wsss.stores.store import Store

NAMED = 5
MADE_OF = ("base", "edited")
WORDS = {
    BY_HAND: "corrected by hand",
    FROM_NETWORK: "taken from a network's masks",
    FROM_LABELS: "taken from other labels",
}


@dataclass(frozen=True)
class Ids:
    """Some photos; as text, the first of them and how many there are."""

    ids: list[str]

    def __str__(self) -> str:
        return f"{counted(len(self.ids), 'photo')}: {some(self.ids, NAMED)}"


def imported_summary(store: Store) -> dict[str, Any]:
    """What a store of imported labels was made of, and the ids by origin; empty of any other. Reads every shard."""
    attributes, found = store.attributes, dict[str, Any]()
    if made := {name: attributes[name] for name in MADE_OF if f"{name}_sha256" in attributes}:
        found["made of"] = {name: _made(name, Path(str(path)), attributes) for name, path in made.items()}
    if BY_HAND in attributes or FROM_NETWORK in attributes or FROM_LABELS in attributes:
        ids: dict[str, list[str]] = {}
        for name in store.ids:
            group = store.group(name)
            for mark in WORDS.keys() & group.attrs.keys():
                ids.setdefault(_whose(group, mark), []).append(name)
        found |= {words: Ids(those) for words, those in sorted(ids.items())}
    return found


def learned_store(root: Path) -> PseudoStore | None:
    """The imported labels that the student of the run in the folder `root` has learned from, which its table of photos
    calls the labels; None if it has not, or they are not there as they were.
    """
    with suppress(OSError, WsssError):
        noted = str(RelabelledStore(root / RelabelledStore.place).attributes.get(LABELS_SHA, ""))
        labels = imported(read_settings(root / LOCK))
        return imported_labels(root / labels, noted) if labels else None
    return None


def photo_origin(group: h5py.Group) -> dict[str, str]:
    """Of one photo of such a store."""
    for mark, words in WORDS.items():
        if mark in group.attrs:
            whose = _whose(group, mark)
            return {"origin": f"{words}: {group.attrs[mark]}" if whose == words and mark != BY_HAND else whose}
    return {}


def _whose(group: h5py.Group, mark: str) -> str:
    """In words, of a photo with this mark."""
    source = str(group.attrs[mark])
    return source if source.startswith(BY) else WORDS[mark]


def _made(name: str, path: Path, attributes: Mapping[str, Any]) -> str:
    sha256 = str(attributes[f"{name}_sha256"])
    return f"{path}: {checked(path, sha256)} (sha256 {sha256[:8]}…)"
