"""What `wsss predict` notes beside its masks: of which network they are, how they were made, and when.

It is a file of its own: the others are the same whenever and wherever they were made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from wsss.core.atomic import write_text
from wsss.core.records import commit, versions

NOTE = "made.json"
RUNS, KEY = "runs", "fingerprint"


def write_note(folder: Path, fingerprint: str, about: Mapping[str, Any], tags: str, photos: int) -> None:
    """Note a run that has come to its end and made the masks of so many `photos`; `about`: what is known of the network
    and of the way it was used; `tags`: what was known of them. Earlier runs stay noted, if they had this `fingerprint`.
    """
    before = read_note(folder)
    runs = before[RUNS] if before.get(KEY) == fingerprint else []
    if runs and not photos:
        return
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    run = {"at": now, "photos": photos, "tags": tags, "commit": commit() or "of no checkout", "versions": versions()}
    content = {KEY: fingerprint, **about, RUNS: [*runs, run]}
    write_text(folder / NOTE, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_note(folder: Path) -> dict[str, Any]:
    """The note in a folder of predictions; empty if there is none that can be read."""
    try:
        found = dict(json.loads((folder / NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found.get(RUNS), list) else {}
