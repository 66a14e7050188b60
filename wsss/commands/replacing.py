"""Settings in the way of `wsss init`: replaced unasked where nothing of a person's is lost with them, else refused."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from pathlib import Path

from wsss.commands.kept_labels import kept_labels
from wsss.core.errors import UserError
from wsss.core.log import warn
from wsss.core.recipes import put_in_place, same_as_recipe

SEAL = "# Unedited: "
"""How the line begins that has the checksum of all other lines of a file that `wsss init` wrote."""
_WHY = " (checksum of the other lines: while it fits, wsss init may replace this file)"


def sealed(text: str) -> str:
    """`text`, settings that begin with comments, with a line below these by which an edit is seen later."""
    lines = text.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join([*lines[:first], f"{SEAL}{_checksum(lines)}{_WHY}\n", *lines[first:]])


def kept_elsewhere(params: Path) -> str | None:
    """What the settings at `params` are, and how to have them back, if nobody's work is in this file alone; else None.

    They are a recipe, or what git has of the last commit, or what `wsss init` wrote.
    """
    try:
        data = params.read_bytes()
        text = params.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if recipe := same_as_recipe(text):
        option = "" if params == Path("params.yaml") else f" --params {shlex.quote(str(params))}"
        return f"recipes/{recipe}.yaml; to have it back: wsss recipe use {recipe}{option}"
    if data == _committed(params):
        place = "" if params.parent == Path() else f" -C {shlex.quote(str(params.parent))}"
        return f"the committed one; to have it back: git{place} checkout HEAD -- {shlex.quote(params.name)}"
    lines = text.splitlines(keepends=True)
    seals = [line for line in lines if line.startswith(SEAL)]
    if len(seals) == 1 and seals[0] == f"{SEAL}{_checksum([line for line in lines if line not in seals])}{_WHY}\n":
        return "what wsss init wrote last, unedited"
    return None


def refuse_edited(params: Path) -> None:
    """Raise `UserError` if `params` exists and is not `kept_elsewhere`."""
    if params.exists() and kept_elsewhere(params) is None:
        raise UserError(params, "exists", f"add --force: the old file is kept as {params.name}.bak")


def replace(params: Path, text: str, force: bool) -> tuple[Path | None, str]:
    """Write settings; the backup of the old ones, if one was made, and a remark on them, empty if there were none.

    `force`: keep a backup, whatever they are. Warns where they named labels that no stage makes. Raises what
    `refuse_edited` does, without it.
    """
    if force or kept_elsewhere(params) is not None:
        _warn_of_labels(params)
    if not force:
        refuse_edited(params)
        if params.exists() and params.read_bytes() != text.encode():
            old = kept_elsewhere(params)
            return put_in_place(params, text, backup=False), f"in place of {old}"
    backup = put_in_place(params, text)
    return backup, f"the old one is {backup}" if backup else ""


def _warn_of_labels(params: Path) -> None:
    """Warn of the labels that the settings at `params` name, and that new ones do not."""
    labels = kept_labels(params)
    if labels is not None and labels.there:
        warn(params, f"is written anew, without {labels.named}", f"to train on these labels again, set {labels.words}")


def _checksum(lines: list[str]) -> str:
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def _committed(params: Path) -> bytes | None:
    """The file as the last commit has it; None where it has none, and without git."""
    command = ["git", "cat-file", "blob", f"HEAD:./{params.name}"]
    try:
        done = subprocess.run(command, cwd=params.parent, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
