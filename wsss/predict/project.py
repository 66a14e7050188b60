"""What the settings in a folder say, for commands that know of them and do not need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.core.settings_file import plain_values, read_settings

PARAMS = Path("params.yaml")


def section_of(folder: Path, name: str) -> dict[str, Any]:
    """A section of the settings in `folder`, unchecked; empty if there is none, or if it cannot be read."""
    try:
        return dict(plain_values(folder / PARAMS, read_settings(folder / PARAMS))[name])
    except (WsssError, KeyError, TypeError, ValueError, AttributeError):
        return {}  # what is wrong there is no matter of the photos that are given
