"""When and by which code a result was computed: kept beside it, so that it can be computed again."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from wsss.numeric.device import fast_bf16

CODE = ("wsss", "pipeline")
"""Folders whose changes since the commit count; a run changes `params.yaml` and `dvc.lock` itself."""
LIBRARIES = ("torch", "numpy", "numba")
UNCOMMITTED = "with changes"
"""What stands behind the commit where the code was changed since."""
UNKNOWN = {name: f"unknown {name}" for name in ("date", "commit", "precision")}
"""Of a result that has nothing beside it."""


def provenance(settings: Mapping[str, Any]) -> dict[str, str]:
    """`date` of today, `commit` of this code, and `precision` of the trainings by `settings` (by dotted key)."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown code"
    changed = _git("status", "--porcelain", "--", *(f":/{name}" for name in CODE))
    asked = [settings.get(f"{stage}.optim.precision", "auto") for stage in ("pretrain", "train", "distill")]
    return {
        "date": str(date.today()),
        "commit": f"{commit} {UNCOMMITTED}" if changed else commit,
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


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
