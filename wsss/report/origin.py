"""Where the masks in a folder of `wsss predict` come from, in words: by its note, its settings and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsss.core.words import counted
from wsss.predict.note import RUNS
from wsss.predict.table import Row

NETWORK, HOW, TAGS = "network", "how", "tags"
EVALUATED = ", as the model was evaluated"


def origin(note: Mapping[str, Any], settings: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """`NETWORK`: what is known of it, by name; `HOW` photos were read, and in what that is not how the network was
    evaluated; `TAGS`: whether these masks heed them; `RUNS`: a line each, by the time it ended. Empty where the note is
    none or cannot be read.

    `settings`: those of the folder, `rows`: its table.
    """
    try:
        runs = {run["at"]: _run(run) for run in _runs(note)}
        how = str(note["how"])
        if how.endswith(EVALUATED) and (others := _others(settings)):
            how = f"{how}, except for {' and '.join(others)}"
        return {NETWORK: dict(note["model"]), HOW: how, TAGS: _tags(settings, rows), RUNS: runs}
    except (KeyError, TypeError, ValueError):
        return {}


def made_by(note: Mapping[str, Any], settings: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, str]:
    """The same for a page, in lines by their titles, without times and counts of runs; empty as `origin`."""
    if not (found := origin(note, settings, rows)):
        return {}
    network = found[NETWORK]
    code = "; ".join(dict.fromkeys(_code(run) for run in _runs(note)))
    lines = {NETWORK: network.pop("file", ""), "checksum": network.pop("sha256", "")[:16], **network}
    lines |= {HOW: found[HOW], TAGS: found[TAGS], "masks taken as they are": note.get("corrected", "")}
    lines |= {"masks made by": code}
    return {title: str(line) for title, line in lines.items() if line}


def _runs(note: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(note[RUNS])


def _run(run: Mapping[str, Any]) -> str:
    return f"{counted(run['photos'], 'mask')} made by {_code(run)}; tags: {run['tags']}"


def _code(run: Mapping[str, Any]) -> str:
    made = ", ".join(f"{name} {run['versions'][name]}" for name in ("wsss", "torch") if name in run["versions"])
    return f"commit {run['commit']}, {made}"


def _others(settings: Mapping[str, Any]) -> list[str]:
    """What the evaluation of a network never does, and these masks went through."""
    area = str(settings.get("min_area", "0"))
    return [*(["tags"] if "tags" in settings else []), *([f"small pieces (min_area {area})"] if area != "0" else [])]


def _tags(settings: Mapping[str, Any], rows: Sequence[Row]) -> str:
    if "tags" not in settings:
        return "not heeded by these masks, and not by those that were scored"
    known = sum(bool(row.tags) for row in rows)
    return (
        f"known of {known} of {counted(len(rows), 'photo')}, whose masks show no class that they deny; the network was "
        "scored without tags, so its scores are not of these masks"
    )
