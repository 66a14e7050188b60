"""How an artifact was made: the stage, its inputs and settings, and whether the inputs are still those beside it.

`dvc.lock` says it: artifacts themselves hold their settings, and not what they were made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.core.locked_files import CACHE, Output, is_as_listed, read_making
from wsss.core.locked_stages import CODE

LOCK = "dvc.lock"
SAME, OTHER, ABSENT, RAW = "the same now", "another one now", "not here now", "not compared"
NAMED = 5
"""Changed files of code that are named; the rest are counted."""


@dataclass(frozen=True)
class Input:
    """The md5 that an input had, and one of `SAME`, `OTHER`, `ABSENT`; `RAW` where no stage of this run made it."""

    md5: str
    now: str

    def __str__(self) -> str:
        return f"{self.now} (md5 {self.md5[:8]}…)"


def lineage(path: Path) -> dict[str, Any]:
    """How the artifact at `path` was made, for `wsss inspect`; empty if no ``dvc.lock`` above it lists it.

    Of an artifact that is not the listed one only that is said: its own inputs are unknown. Reads the bytes of the
    inputs that stages have made, of stores only the index.
    """
    root = next((folder for folder in path.absolute().parents[:3] if (folder / LOCK).is_file()), None)
    try:
        made = None if root is None else read_making(root / LOCK, path)
    except WsssError as error:  # such as of a merge that git left half done: the artifact is as good as before
        return _unknown(f"{error.where}: {error.what}")
    if root is None or made is None:
        return {}
    cache = root / CACHE
    if not is_as_listed(made.output, cache):
        return _unknown(f"this is not what {LOCK} lists: it is of another run")
    files = {input_path: md5 for input_path, md5 in made.inputs.items() if _named(input_path, root)[0] not in CODE}

    def now(input_path: Path, md5: str) -> str:
        if not input_path.exists():
            return ABSENT
        if input_path in files and input_path not in made.made and input_path.is_dir():
            return RAW  # photos, of any number
        return SAME if is_as_listed(Output("", input_path, md5), cache) else OTHER

    code = [each for each in made.inputs if each not in files]
    changed = ["/".join(_named(each, root)) for each in code if now(each, made.inputs[each]) != SAME]
    return {
        "lineage": {
            "stage": made.output.stage,
            "inputs": {"/".join(_named(each, root)): Input(md5, now(each, md5)) for each, md5 in files.items()},
            "code": _changes(changed, len(code)),
            "settings": made.settings,
        }
    }


def _unknown(why: str) -> dict[str, Any]:
    return {"lineage": {"stage": "unknown", "why": why}}


def _named(path: Path, root: Path) -> tuple[str, ...]:
    """The parts of the path from the run's folder, or all of them where it lies elsewhere."""
    return path.relative_to(root).parts if path.is_relative_to(root) else path.parts


def _changes(changed: list[str], count: int) -> str:
    if not changed:
        return f"{count} files and folders, {SAME}"
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"{count} files and folders; changed since: {', '.join(changed[:NAMED])}{more}"
