"""Which settings two runs differ in, or a run and its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.core.recipes import recipe_names, recipe_path
from wsss.core.settings_file import read_settings

ABSENT = "–"
OWN = ("dataset", "demo")
"""Sections that say which photos: no recipe knows those of its user."""


def differing_settings(
    a: Mapping[str, Any], b: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Dotted keys whose values differ, with both values as text.

    `defaults`: by dotted key, what holds where a run has not written it; a dash where there is none.
    """
    written = [_flat(settings) for settings in (a, b)]
    missing = [_missing(one, defaults) for one in written]
    found = []
    for key in sorted(written[0].keys() | written[1].keys()):
        values = [
            one[key] if key in one else other.get(key, ABSENT) for one, other in zip(written, missing, strict=True)
        ]
        if values[0] != values[1]:
            marks = [
                "" if key in one or value == ABSENT else " (default)"
                for one, value in zip(written, values, strict=True)
            ]
            found.append((key, f"{values[0]}{marks[0]}", f"{values[1]}{marks[1]}"))
    return found


def settings_beside_recipe(params: Path, recipe: str) -> list[tuple[str, str, str]]:
    """Dotted keys of the settings at `params` that `recipe` has another value for, with both as text: "default" where
    one does not write it. `OWN` does not count, nor the name of the recipe. Nothing where `recipe` names none.
    """
    if recipe not in recipe_names():
        return []
    a, b = (_without_own(read_settings(path)) for path in (params, recipe_path(recipe)))
    rows = differing_settings(a, b, {})
    shown = {ABSENT: "default"}
    return [(key, shown.get(first, first), shown.get(second, second)) for key, first, second in rows]


def _without_own(settings: Mapping[str, Any]) -> dict[str, Any]:
    gallery = {key: value for key, value in settings.get("gallery", {}).items() if key != "recipe"}
    return {key: value for key, value in settings.items() if key not in OWN} | {"gallery": gallery}


def _missing(written: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that hold beside what is `written`: none of a part that is written as one value, such as off."""
    return {
        key: value
        for key, value in defaults.items()
        if not any(key.startswith(f"{each}.") or each.startswith(f"{key}.") for each in written)
    }


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found
