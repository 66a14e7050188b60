"""What a time was taken of: a digest of the settings that say how long a stage works, and the number of photos."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from wsss.core.errors import WsssError
from wsss.core.missing import PROJECT

SHARED = ("dataset", "compute", "inference")
"""Sections that all stages work by; each has its own besides."""
OTHERS = {
    "train": ("pretrain.backbone",),
    "cams": ("pretrain.backbone",),
    "evaluate": ("pretrain.backbone", "distill"),
}
"""By stage: what says how large the networks are that it goes on with, and stands in the section of another."""
INDEX = Path("artifacts/dataset/index.csv")
NEAR = 0.8
"""Of photos, the share that is as good as all: where a few were corrected, added or left out, a time tells as much."""


class Work(NamedTuple):
    """Of a stage: `settings`, 16 hex digits; `photos`, None where nobody has counted them yet."""

    settings: str
    photos: int | None

    def is_that_of(self, note: Mapping[str, Any]) -> bool:
        """Whether a `note` is of the same settings and about as many photos, as far as is known."""
        if self.settings != note["settings"]:
            return False
        fewer, more = sorted((self.photos or 0, note["photos"] or 0))
        return None in (self.photos, note["photos"]) or fewer >= NEAR * more


def works(names: Iterable[str], photos: int | None) -> dict[str, Work]:
    """The work of each stage by the settings in the present folder; with none that can be read, that of no settings."""
    from wsss.core.settings_file import plain_values, read_settings  # only who works by settings loads what reads them

    settings: Any = {}
    with suppress(WsssError):
        settings = plain_values(PROJECT, read_settings(PROJECT))
    return {name: Work(_digest(settings, (name, *SHARED, *OTHERS.get(name, ()))), photos) for name in names}


def count_photos() -> int | None:
    """How many photos stage `index` has found; None if it has not run."""
    try:
        return max(0, INDEX.read_bytes().count(b"\n") - 1)  # below the line of headings
    except OSError:
        return None


def _digest(settings: Any, keys: Iterable[str]) -> str:
    chosen = {key: _at(settings, key) for key in keys}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _at(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings
