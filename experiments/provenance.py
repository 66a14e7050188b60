"""When and by which code a result was computed: kept beside it, so that it can be computed again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from platform import python_version
from typing import Any

from wsss.core.records import commit
from wsss.numeric.device import fast_bf16

LIBRARIES = ("torch", "numpy", "numba")
UNKNOWN = {name: f"unknown {name}" for name in ("date", "commit", "precision")}
"""Of a result that has nothing beside it."""


def provenance(settings: Mapping[str, Any]) -> dict[str, str]:
    """`date` of today, `commit` of this code, and `precision` of the trainings by `settings` (by dotted key)."""
    asked = [settings.get(f"{stage}.optim.precision", "auto") for stage in ("pretrain", "train", "distill")]
    return {
        "date": str(date.today()),
        "commit": commit() or "unknown code",
        "precision": " and ".join(dict.fromkeys(precision() if each == "auto" else each for each in asked)),
    }


def versions() -> dict[str, str]:
    """Of Python and of the libraries that compute."""
    return {"python": python_version()} | {name: version(name) for name in LIBRARIES}


def precision() -> str:
    """What `precision: auto` is here."""
    return "bf16-mixed" if fast_bf16() else "32-true"


def origins(kept: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """When and by which code the rows of a result were computed, each once; none where it was not kept."""
    found: list[Mapping[str, str]] = []
    for row in [*kept.get("rows", {}).values(), *([kept["measured"]] if "measured" in kept else [])]:
        origin = {name: row[name] for name in UNKNOWN}
        if origin not in found:
            found.append(origin)
    return found


def code_of(kept: Mapping[str, Any]) -> str:
    """`origins` in a line."""
    return ", ".join(map(origin_text, origins(kept))) or "not kept"


def origin_text(row: Mapping[str, Any]) -> str:
    """Commit, date and precision of a row."""
    return f"{row['commit']} ({row['date']}, {row['precision']})"
