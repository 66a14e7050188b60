"""When, where and by which code artifacts were made, as far as this machine has noted it; who was kept off masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsss.core.folders import MARK
from wsss.core.locked_files import Output
from wsss.core.minutes import ORDER
from wsss.core.no_masks import STAGES
from wsss.core.records import Made, read_made
from wsss.core.stage import hash_input
from wsss.stores.opened import ImportedStore, is_store, open_store

UNKNOWN = "not recorded here: it came from a cache or another machine, or from a wsss that noted nothing"


def made_here(path: Path) -> dict[str, Any]:
    """When, where and by which code these very bytes were made: of a store, a network or an index, or that it is not
    known; of another file or folder that wsss has written, such as the gallery, if it is. Else empty. Raises as
    `hash_input`.
    """
    stored = path.is_dir() and is_store(path)
    made_by_stages = stored or path.suffix == ".pt" or (path / "index.csv").is_file()
    if not (made_by_stages or path.is_file() or (path / MARK).is_file()):
        return {}
    if stored and isinstance(open_store(path), ImportedStore):
        return {}
    made = read_made(hash_input(path), path)
    if made is None:
        return {"made": UNKNOWN} if made_by_stages else {}
    found: dict[str, Any] = {
        "stage": made.stage,
        "at": made.time,
        "commit": made.commit or "of no checkout",
        "processor": made.processor,
        "versions": ", ".join(f"{name} {number}" for name, number in made.versions.items()),
        "seconds": made.seconds,
    }
    if made.closed is not None:
        found["masks"] = f"closed while it ran: {made.closed} files"
    return {"made": found}


def made_of(outputs: Sequence[Output]) -> dict[str, Made | None]:
    """By stage, in the order of the pipeline, the note on its `outputs` that are there; None if one has none."""
    found: dict[str, Made | None] = {}
    for output in outputs:
        if output.stage in ORDER and output.path.exists():
            made = read_made(hash_input(output.path), output.path)
            found[output.stage] = made if found.get(output.stage, made) else None
    return {stage: found[stage] for stage in ORDER if stage in found}


def made_lines(found: dict[str, Made | None]) -> list[str]:
    """What `made_of` has found, in lines: a line for each code, day and processor, for what is not noted, and for what
    could not read a mask.
    """
    groups: dict[str, list[str]] = {}
    for stage, made in found.items():
        how = f"made here by {_code(made)} on {made.day}, {made.processor}" if made else "not recorded here who made"
        groups.setdefault(how, []).append(stage)
    lines = [f"{how}: {', '.join(stages)}" for how, stages in groups.items()]
    closed = {stage: made.closed for stage, made in found.items() if made and made.closed is not None}
    if closed:
        counts = sorted(set(closed.values()))
        files = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
        line = f"masks were closed ({files} files) while these ran: {', '.join(closed)}"
        open_ = [stage for stage in STAGES if stage in found and stage not in closed]
        lines.append(line + (f"; not known of: {', '.join(open_)}" if open_ else ""))
    return lines


def _code(made: Made) -> str:
    return f"commit {made.commit}" if made.commit else f"wsss {made.versions.get('wsss', 'of unknown version')}"
