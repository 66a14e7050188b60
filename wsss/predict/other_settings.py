"""In what the settings of an earlier `wsss predict` differ from those of now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def changes(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """A text for each setting that is another one, by name: ``scales: found [1.0], now [1.0, 2.0]``."""
    plain = json.loads(json.dumps(wanted))
    return [
        f"{key}: found {_short(found.get(key))}, now {_short(plain.get(key))}"
        for key in sorted({*found, *plain})
        if found.get(key) != plain.get(key)
    ]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
