"""When, where and by which code artifacts were made, as far as this machine or the checkout has noted it; who was kept
off masks.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.core.folders import MARK
from wsss.core.locked_files import CACHE, Output, is_as_listed, read_makings, read_stages
from wsss.core.minutes import ORDER
from wsss.core.no_masks import STAGES
from wsss.core.records import RECORD, Made, read_made, recorded
from wsss.core.stage import hash_input
from wsss.stores.opened import ImportedStore, is_store, open_store

LOCK = "dvc.lock"
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
        **({} if made.here else {"noted": f"in {RECORD}, not by this machine"}),
        "stage": made.stage,
        "at": made.time,
        **_again(path, made),
        "commit": made.commit or "of no checkout",
        "processor": made.processor,
        "versions": ", ".join(f"{name} {number}" for name, number in made.versions.items()),
        "seconds": made.seconds,
    }
    if made.closed is not None:
        found["masks"] = f"closed while it ran: {made.closed} files"
    return {"made": found}


def _again(path: Path, made: Made) -> dict[str, str]:
    """The inputs of what lies at `path` whose note is later than its own, which is `made`: they were made again, and
    the same bytes came out, or ``dvc.lock`` would list others.
    """
    root = next((folder for folder in path.absolute().parents[:3] if (folder / LOCK).is_file()), None)
    try:
        makings = [] if root is None else read_makings(root / LOCK, path.absolute())
    except WsssError:  # such as of a merge that git left half done
        return {}
    if root is None or not makings or not is_as_listed(makings[0].output, root / CACHE):
        return {}
    found = []
    for place, output in makings[0].made.items():
        if output.md5 == makings[0].inputs[place] and place.exists() and is_as_listed(output, root / CACHE):
            later = read_made(hash_input(place), place)
            if later is not None and datetime.fromisoformat(later.time) > datetime.fromisoformat(made.time):
                found.append(f"{os.path.relpath(place, root)}, at {later.time}")
    return {"its input, the same bytes, was made again later": "; ".join(found)} if found else {}


def made_of(outputs: Sequence[Output], altered: Collection[Output] = ()) -> dict[str, Made | None]:
    """By stage, in the order of the pipeline, the note on its `outputs` that are there; None if one has none. What is
    `altered` has none: a store is noted by its index, which says nothing of shards that are not those it lists.
    """
    found: dict[str, Made | None] = {}
    for output in outputs:
        if output.stage in ORDER and output.path.exists():
            made = None if output in altered else read_made(hash_input(output.path), output.path)
            found[output.stage] = made if found.get(output.stage, made) else None
    return {stage: found[stage] for stage in ORDER if stage in found}


def made_lines(found: dict[str, Made | None]) -> list[str]:
    """What `made_of` has found, in lines: a line for each code, day and processor, for what is not noted, and for what
    could not read a mask.
    """
    groups: dict[str, list[str]] = {}
    for stage, made in found.items():
        where = "made here" if made and made.here else f"made, as {RECORD} says,"
        how = f"{where} by {_code(made)} on {made.day}, {made.processor}" if made else "not recorded here who made"
        groups.setdefault(how, []).append(stage)
    lines = [f"{how}: {', '.join(stages)}" for how, stages in groups.items()]
    closed = {stage: made.closed for stage, made in found.items() if made and made.closed is not None}
    if closed:
        counts = sorted(set(closed.values()))
        files = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
        line = f"masks were closed ({files} files) while these ran: {', '.join(closed)}"
        open_ = [stage for stage in STAGES if stage in found and stage not in closed]
        lines.append(line + (f"; not known of: {', '.join(open_)}" if open_ else ""))
    elif asked := [stage for stage in STAGES if stage in found]:
        why = "" if any(found[stage] for stage in asked) else " (no notes here)"
        lines.append(f"masks: not known of any stage whether they were closed{why}")
    return lines


def strangers(root: Path, outputs: Sequence[Output]) -> dict[str, list[str]]:
    """By stage, those of its `outputs` that `RECORD` of the checkout `root` has with other bytes."""
    paths, found = {output.path for output in outputs if output.path.exists()}, dict[str, list[str]]()
    for stage, made in recorded(root).items():
        for name, checksum in made.items():
            if root / name in paths and hash_input(root / name) != checksum:
                found.setdefault(stage, []).append(name)
    return found


def stranger_lines(found: dict[str, list[str]]) -> list[str]:
    """What `strangers` has found, a line for each stage."""
    return [
        f"not what stage {stage} has made, by {RECORD}: {', '.join(names)} (edited since, and committed to {LOCK}; or "
        "of another run, from DVC's cache)"
        for stage, names in found.items()
    ]


def again_lines(found: dict[str, Made | None], lock: Path) -> list[str]:
    """Of what `made_of` has found, a line on the stages that were made on a later day than what was made of them, by
    `lock`: the same bytes were made again. Errors as for `read_lock`.
    """
    stages = read_stages(lock)
    makers = {(out["path"], out["md5"]): stage for stage, entry in stages.items() for out in entry.get("outs", [])}
    again: dict[str, None] = {}
    for stage, entry in stages.items():
        for maker in (makers.get((dep["path"], dep.get("md5"))) for dep in entry.get("deps", [])):
            earlier, later = found.get(maker or ""), found.get(stage)
            if maker and earlier and later and earlier.day > later.day:
                again[maker] = None
    return [f"made again later, the same bytes as what the next stages have read: {', '.join(again)}"] if again else []


def _code(made: Made) -> str:
    return f"commit {made.commit}" if made.commit else f"wsss {made.versions.get('wsss', 'of unknown version')}"
