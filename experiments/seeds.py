"""Whether the seeds of a row may be averaged: computed by the same settings, and by the same code and libraries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from experiments.provenance import origin_text
from experiments.settings import conflicts
from wsss.core.errors import UserError
from wsss.core.records import UNCOMMITTED
from wsss.formats.problems import some

DRAWN = "demo"
"""The stage that draws its photos by the seed."""
ANEW = "for a mean of one kind compute all seeds anew under a name of their own: --name NEW"

Records: TypeAlias = Mapping[int, Mapping[str, Any]]
"""By seed, what is kept of how it was computed; before 30 November 2026 neither settings in effect nor code were."""


def check(folder: Path, row: str, records: Records) -> None:
    """Raise `UserError` if seeds of a row are of different settings: a mean of them means nothing."""
    known = {seed: record["settings"] for seed, record in records.items() if "settings" in record}
    fix = "move the scores of one of them away, or compute all seeds under a name of their own: --name NEW"
    for seed, settings in known.items():
        if settings is None:
            raise UserError(folder, f"row {row!r}: settings.json does not list the settings of seed {seed}", fix)
        first = next(iter(known))
        if found := conflicts(known[first], settings, (f"seed {first}", f"seed {seed}")):
            raise UserError(folder, f"row {row!r} has seeds of different settings: {found}", fix)


def mark(records: Records) -> str:
    """What a table says behind the number of seeds: nothing where one code computed them."""
    known = _groups(records, "code")
    unknown = {str(record["commit"]) for record in records.values() if "code" not in record}
    if len(known) > 1:
        return ", OF DIFFERENT CODE"
    loose = len(records) > 1 and any(commit.endswith(UNCOMMITTED) for commit in unknown)
    return ", PERHAPS OF DIFFERENT CODE" if loose or len(known) + len(unknown) > 1 else ""


def remarks(rows: Mapping[str, Records]) -> list[str]:
    """What a reader has to know of the seeds of `rows`, a line each; none where all is as it should be."""
    found = [line for row, records in rows.items() for line in _mixtures(row, records)]
    unknown: dict[str, list[str]] = {}
    for row, records in rows.items():
        unknown.setdefault(_unknown(records), []).append(repr(row))
    found += [
        f"{some(names)}: unknown by which settings in effect, code and libraries: {who}"
        for who, names in unknown.items()
        if who
    ]
    if any(DRAWN in record.get("code", {}) for each in rows.values() if len(each) > 1 for record in each.values()):
        found.append("the demo's scenes are drawn by the seed: ± is of other data and another training together")
    return found


def differing(rows: Iterable[Records], key: str) -> dict[str, list[str]] | None:
    """Of the parts of `key` (code or versions), those that have several values in all of `rows`, with these; None where
    a record has no such key.
    """
    parts = [record.get(key) for records in rows for record in records.values()]
    if None in parts:
        return None
    values = {
        name: sorted({part.get(name, "none") for part in parts if part}) for part in parts if part for name in part
    }
    return {name: each for name, each in values.items() if len(each) > 1}


def _mixtures(row: str, records: Records) -> list[str]:
    known = {seed: record for seed, record in records.items() if "code" in record}
    found = []
    if stages := differing([known], "code"):
        who = _by_whom(_groups(known, "code"), known)
        found.append(f"{row}: SEEDS OF DIFFERENT CODE: {who}; code differs in {', '.join(stages)}; {ANEW}")
    elif mark(records):
        who = _by_whom(_groups(records, "commit"), records)
        found.append(f"{row}: PERHAPS SEEDS OF DIFFERENT CODE: {who}; {ANEW}")
    if libraries := differing([known], "versions"):
        versions = ", ".join(f"{name} {' and '.join(values)}" for name, values in libraries.items())
        found.append(f"{row}: seeds of different libraries: {versions}; {ANEW}")
    return found


def _unknown(records: Records) -> str:
    groups = _groups({seed: record for seed, record in records.items() if "code" not in record}, "commit")
    return _by_whom(groups, records)


def _groups(records: Records, key: str) -> list[list[int]]:
    """Seeds that have the same value of `key`, together; those without it are in none."""
    found: dict[str, list[int]] = {}
    for seed, record in records.items():
        if key in record:
            found.setdefault(json.dumps(record[key], sort_keys=True), []).append(seed)
    return list(found.values())


def _by_whom(groups: Iterable[list[int]], records: Records) -> str:
    parts = []
    for group in groups:
        origins = dict.fromkeys(origin_text(records[seed]) for seed in group)
        parts.append(f"seed{'s' * (len(group) > 1)} {', '.join(map(str, group))} by {', '.join(origins)}")
    return "; ".join(parts)
