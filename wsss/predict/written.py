"""How a folder that `wsss predict` has filled is known, without loading what fills it."""

from __future__ import annotations

import json
from pathlib import Path

FORMAT, SETTINGS = "wsss.predict", "settings.json"
MASKS = "masks"
WRITTEN = (MASKS, "overlays", "page")
"""Folders in it that hold pictures."""


def is_filled(path: Path) -> bool:
    """True of a folder that `wsss predict` has filled, in whatever version."""
    try:
        return bool(json.loads((path / SETTINGS).read_text(encoding="utf-8"))["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
