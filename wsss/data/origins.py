"""Where labels come from that are no result of tags alone: a person, or a network's masks that a person has chosen.

`wsss export` writes the origin of each mask beside the masks. One that has changed since then is a person's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from wsss.core.words import counted

ORIGINS = "origins.json"
"""The file beside exported masks."""
HAND, NETWORK, LABELS = "by hand", "network", "labels"
"""Origins: painted by a person; masks that a network predicts; labels of another store."""
FROM_NETWORK = "taken_from_network"
"""Attribute of a store: the number of its photos whose labels are a network's masks; and of each of these, the folder
that they were taken from."""
FROM_LABELS = "taken_from_labels"
"""The same of photos whose labels are those of another store."""
LABELS_SHA = "labels_sha256"
"""Attribute of what stage `distill` writes: the checksum of the store that `distill.labels` names."""


@dataclass(frozen=True)
class Origin:
    """One of `HAND`, `NETWORK`, `LABELS`; the store or folder that the mask was in; the `digest` of what it was."""

    kind: str
    source: str
    digest: str


def digest(label: np.ndarray) -> str:
    """16 hex digits over size and values of a label map (H, W) uint8."""
    return hashlib.sha256(f"{label.shape}".encode() + np.ascontiguousarray(label).tobytes()).hexdigest()[:16]


def origins_text(origins: Mapping[str, Origin]) -> str:
    """The content of the file, by photo id."""
    listed = {name: astuple(origin) for name, origin in sorted(origins.items())}
    return json.dumps(listed, ensure_ascii=False, indent=0) + "\n"


def read_origins(folder: Path) -> dict[str, Origin]:
    """What that file in `folder` says, by photo id; empty where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        found = json.loads((folder / ORIGINS).read_text(encoding="utf-8"))
        origins = {name: Origin(*map(str, parts)) for name, parts in found.items()}
        return {name: origin for name, origin in origins.items() if origin.kind in (HAND, NETWORK, LABELS)}
    return {}


def remark(by_hand: int, from_network: int) -> str:
    """What beside tags labels rest on, by the number of photos; empty if nothing."""
    parts = [f"{counted(by_hand, 'photo')} corrected by hand"] if by_hand else []
    parts += [f"{counted(from_network, 'photo')} taken from a network's masks"] if from_network else []
    return f"labels of {' and of '.join(parts)}" if parts else ""
