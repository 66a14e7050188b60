"""What `wsss predict` says at its end: how many masks, which to look at first, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.core.command import json_text
from wsss.core.words import counted
from wsss.formats.problems import some
from wsss.predict.folder import TABLE, Folder
from wsss.predict.table import Row

if TYPE_CHECKING:
    from wsss.predict.doubted import Doubted
    from wsss.predict.own_corrected import Corrected
    from wsss.predict.run import Outcome

NAMED = 5
"""Photos to look at that are named at the end; the table and the page have all."""


def report_text(
    out: Path,
    folder: Folder,
    outcome: Outcome,
    page: Path | None,
    doubted: Doubted | None = None,
    corrected: Corrected | None = None,
) -> str:
    """One line that counts, the photos to look at first, the classes that a verdict doubts, the masks that a person has
    `corrected`, and what to do next.
    """
    kept = f", {len(outcome.kept)} {'was' if len(outcome.kept) == 1 else 'were'} there" if outcome.kept else ""
    if edited := folder.edited(outcome.kept):
        kept += f" ({len(edited)} edited since, left as {'it is' if len(edited) == 1 else 'they are'}: {some(edited)})"
    failed = f", {len(outcome.failed)} cannot be read" if outcome.failed else ""
    files = f"{out / TABLE}{f', {page}' if page else ''}"
    rows, photos = look_at(folder, outcome), len(outcome.done) + len(outcome.kept)
    lines = [f"predict: {counted(len(outcome.done), 'photo')}{kept}{failed} → {files}"]
    if rows:
        lines.append(f"look at these first ({len(rows)} of {counted(photos, 'photo')}, column look of the table):")
        lines += [f"  {row.id}: {'; '.join(row.look)}" for row in rows[:NAMED]]
    elif photos:
        lines.append(f"none of {counted(photos, 'photo')} is conspicuous (column look of the table)")
    lines += [doubted.text] if doubted else []
    lines += [corrected.told] if corrected and not corrected.kept else []
    return "\n".join([*lines, *next_step(out, page)] if photos else lines)


def next_step(out: Path, page: Path | None) -> Iterator[str]:
    """How to look at the masks and to correct them."""
    look = f"open {page}; " if page else ""
    yield f"next: {look}wsss export --to cvat {shlex.quote(str(out))} {shlex.quote(f'{out}.zip')}"


def look_at(folder: Folder, outcome: Outcome) -> list[Row]:
    """The photos of this run that have a reason to be looked at, worst first."""
    here = {*outcome.done, *outcome.kept}
    return [row for row in folder.worst_first() if row.look and row.id in here]


def report_json(out: Path, folder: Folder, outcome: Outcome, doubted: Doubted | None) -> str:
    """The same for programs."""
    failed = outcome.failed.values()
    return json_text(
        {
            "out": str(out),
            "fingerprint": folder.fingerprint,
            "done": outcome.done,
            "kept": outcome.kept,
            "edited": folder.edited(outcome.kept),
            "failed": [{"photo": error.where, "what": error.what, "fix": error.fix} for error in failed],
            "look": {row.id: row.look for row in look_at(folder, outcome)},
            "doubted": dict(doubted.words) if doubted else {},
        }
    )
