"""Which stages of a `dvc.lock` an output comes from: whether one of them is newer than it, and by which code they ran.

Paths are written as in the lock. All raise what `read_stages` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.core.locked_files import read_stages

CODE = ("wsss", "pipeline", ".code")
"""Folders of what is listed of the code."""


def newer_stage(lock: Path, output: str) -> str | None:
    """The first stage whose outputs are no longer those that `output` was made from.

    None where `output` is of the same run as all that it comes from, or is not listed.
    """
    stages = read_stages(lock)
    makers = _makers(stages)
    md5s = {out["path"]: out["md5"] for entry in stages.values() for out in entry.get("outs", [])}
    newer: dict[str, str] = {}
    for stage, entry in stages.items():
        found = []
        for path, md5 in ((dep["path"], dep.get("md5")) for dep in entry.get("deps", []) if dep["path"] in makers):
            if md5 != md5s[path]:
                found.append(makers[path])
            elif makers[path] in newer:
                found.append(newer[makers[path]])
        if found:
            newer[stage] = min(found, key=list(stages).index)
    return newer.get(makers.get(output, ""))


def code_of(lock: Path, output: str) -> dict[str, dict[str, str]]:
    """By stage, the code that `output` and all that it comes from was made with: md5 by path."""
    stages = read_stages(lock)
    makers = _makers(stages)
    wanted = {makers.get(output)}
    for stage in reversed(stages):
        if stage in wanted:
            wanted |= {makers.get(dep["path"]) for dep in stages[stage].get("deps", [])}
    return {
        stage: {dep["path"]: str(dep.get("md5")) for dep in entry.get("deps", []) if _is_code(dep["path"])}
        for stage, entry in stages.items()
        if stage in wanted
    }


def _makers(stages: dict[str, Any]) -> dict[str, str]:
    """By path, the stage that makes it."""
    return {str(out["path"]): stage for stage, entry in stages.items() for out in entry.get("outs", [])}


def _is_code(path: str) -> bool:
    return Path(path).parts[0] in CODE
