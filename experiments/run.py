"""Running the rows of a table, one experiment after the other, and writing down what they scored and by what."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.made import AUTO, LAST, Made, digest, drawn, made
from experiments.provenance import precision, provenance, versions
from experiments.settings import PLACE, conflicts, differences, recipe_of, settings_of, without
from experiments.table import SETTINGS, Table, kept_of, result_file
from wsss.core.atomic import write_text
from wsss.core.errors import UserError
from wsss.core.log import say

SOURCES = Path("reports/sources.csv")
NAME = "compute these under a name of their own: --name NEW"


def run(table: Table, folder: Path, seeds: Sequence[int], common: Sequence[str]) -> None:
    """Compute every row that has no result in `folder` yet. `common`: overrides of all rows, as the place of the data.

    Stops at the first experiment that fails; what is finished is kept, and the next call goes on from there. Raises
    `UserError` if the photos are not there, if an experiment fails, if settings or code change meanwhile, or if the
    results that are there are of other settings: their rows could not be compared.
    """
    check_place(common)
    begun = check_settings(table, folder, common)
    for seed in seeds:
        for row in table.rows:
            target = result_file(folder, row, seed)
            if target.exists():
                say(f"{target}: there already")
                continue
            name, overrides = f"row {row.name!r}, seed {seed}", (*common, *row.overrides)
            now = made(overrides)
            # The defaults are those of the code that was loaded when this began.
            _unchanged(f"before {name}", folder, begun, Made(_shared(table, now.settings), now.code))
            record = provenance(now.settings) | {"settings": key_of(begun), "code": now.code, "versions": versions()}
            # ++: also where params.yaml does not write the key.
            settings = [part for setting in (f"seed={seed}", *overrides) for part in ("-S", f"++{setting}")]
            command = ["dvc", "exp", "run", LAST, *settings]
            say(" ".join(command))
            done = subprocess.run(command, check=False)
            if done.returncode:
                what = f"{name}: dvc exp run ended with {done.returncode}"
                raise UserError(folder, what, "mend what it says above, then run this again: it goes on from here")
            _unchanged(f"while {name} was computed, which is not kept", folder, now, made(overrides))
            note(folder, target.name, record, begun)
            shutil.copyfile(SOURCES, target)


def note(folder: Path, row: str, record: dict[str, Any], shared: Made) -> None:
    """Write down when and by what the result `row` of `folder` was computed; `shared`: what all rows have in common."""
    kept = kept_of(folder)
    kept.setdefault("effective", {})[key_of(shared)] = shared.settings
    kept.setdefault("rows", {})[row] = record
    _write(folder, kept)


def key_of(shared: Made) -> str:
    """What rows name a list of settings by."""
    return digest(json.dumps(shared.settings, sort_keys=True))


def check_place(common: Sequence[str]) -> None:
    """Raise `UserError` if the photos are not where `common`, or else params.yaml, says, and no stage draws them."""
    place = Path(str(settings_of(common, keep_place=True)[PLACE]))
    if not place.is_dir() and not drawn(place):
        raise UserError(place, "no such folder", f"give the photos' own: -S {PLACE}=/absolute/path")


def check_settings(table: Table, folder: Path, common: Sequence[str]) -> Made:
    """Write down what all rows of `folder` have in common, or raise `UserError` if that is something else by now.

    Returns it, as of now. Compared are the settings in effect; where a result kept only those that were written, these.
    """
    # Where the data lies is the reader's own matter.
    settings = [re.sub(rf"^{PLACE}=.*/", f"{PLACE}=/absolute/path/of/", setting) for setting in common]
    now = made(common)
    now = Made(_shared(table, now.settings), now.code)
    written = _shared(table, settings_of(common)) | {AUTO: precision()}
    before = kept_of(folder)
    if not before:
        kept = {"table": table.name, "recipe": recipe_of(), "settings": settings, "common": written}
        _write(folder, kept | {"effective": {key_of(now): now.settings}})
        return now
    if "common" not in before:
        measured = before["measured"]
        found = f"those of {measured['date']} (commit {measured['commit']}), which it does not list"
    else:
        lists, known = before.get("effective", {}).values(), written | before["common"]
        found = next(filter(None, (conflicts(each, now.settings, ("then", "now"), known) for each in lists)), "")
        if not lists or any("settings" not in row for row in before.get("rows", {}).values()):
            found = found or differences(before["common"], written, ("then", "now"))
    if found:
        raise UserError(folder, f"holds rows of other settings: {found}", NAME)
    return now


def _shared(table: Table, settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` without the keys that rows set."""
    for override in table.rows[0].overrides:
        settings = without(settings, override.split("=")[0])
    return settings


def _unchanged(when: str, folder: Path, before: Made, after: Made) -> None:
    stages = [stage for stage, digest in after.code.items() if before.code.get(stage) != digest]
    found = [*([f"code of {', '.join(stages)}"] if stages else [])]
    if other := differences(before.settings, after.settings, ("then", "now")):
        found.append(f"settings: {other}")
    if found:
        raise UserError(folder, f"changed {when}: {'; '.join(found)}", f"take it back and run this again, or {NAME}")


def _write(folder: Path, kept: dict[str, Any]) -> None:
    write_text(folder / SETTINGS, json.dumps(kept, indent=1) + "\n")
