"""What lies beside an artifact and speaks of it: the gallery's table of photos, and what params.yaml says now."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsss.data.tables import plain_rows

TABLE, PARAMS = "reports/photos.csv", "params.yaml"
FIRST = "id"
LABEL, RELABELLED, PREDICTION = "label", "relabelled label", "prediction"
"""What a cell of the table may be of; `LABEL`: the one that a photo is taught or judged by."""
NONE = "none of these"
"""Of labels that this run has neither made nor learned from."""
OF = {"coverage": LABEL, "iou_before_crf": PREDICTION, **{f"label_{name}": LABEL for name in ("iou", "missing")}} | {
    f"relabelled_{name}": RELABELLED for name in ("iou", "coverage", "missing")
}
JUDGED = ("iou", "confidence", "missing", "untagged", "specks", "largest", "largest_fraction")
"""Columns of what the photo is judged by, which column `judged` names."""


def photo_row(store: Path, name: str, of: str = "") -> dict[str, dict[str, Any]]:
    """The cells of photo `name` in the table of the run that the folder `store` is of, empty ones left out; empty where
    there is none. What is of a label or of a prediction stands below its name; of them, only `of` if it is given, and
    nothing for `NONE`.
    """
    with suppress(OSError, ValueError, csv.Error, StopIteration):
        with (store.parent.parent / TABLE).open(encoding="utf-8", newline="") as file:
            header, *rows = list(plain_rows(csv.reader(file)))
        row = next(row for row in rows if row and row[header.index(FIRST)] == name)
        return {TABLE: _sorted({key: cell for key, cell in zip(header, row, strict=True) if cell and key != FIRST}, of)}
    return {}


def _sorted(cells: Mapping[str, str], wanted: str) -> dict[str, Any]:
    judged = PREDICTION if cells.get("judged") == PREDICTION else LABEL
    found: dict[str, Any] = {}
    parts: dict[str, dict[str, str]] = {PREDICTION: {}, LABEL: {}, RELABELLED: {}}
    for key, cell in cells.items():
        of = judged if key in JUDGED else OF.get(key, "")
        if of:
            parts[of][key.removeprefix("label_").removeprefix("relabelled_")] = cell
        elif key == "ranked_by" and (cell in JUDGED or cell in OF):
            found[key] = f"{cell} of the {judged if cell in JUDGED else OF[cell]}"
        elif key != "judged":
            found[key] = cell
    return found | {f"of the {of}": part for of, part in parts.items() if part and wanted in ("", of)}


def changed_settings(root: Path, made: Mapping[str, Any]) -> dict[str, str]:
    """By dotted key, the settings in the folder `root` that are others now than what an artifact was `made` with: then
    and now. Empty where nothing can be read.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = dict(YAML(typ="safe").load((root / PARAMS).read_text(encoding="utf-8")))
    except (OSError, YAMLError, TypeError, ValueError):
        return {}
    then, now = _leaves(made), _leaves({name: found[name] for name in made if name in found})
    return {
        key: f"{_text(then, key)} then, {_text(now, key)} now"
        for key in sorted({*then, *now})
        if then.get(key, ...) != now.get(key, ...)
    }


def _leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        found |= _leaves(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return found


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "not written")
    return str(value).lower() if isinstance(value, bool) else str(value)
