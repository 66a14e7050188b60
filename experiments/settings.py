"""The settings of a table's rows: what params.yaml writes, what overrides change, and how two lists differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PARAMS = Path("params.yaml")
PLACE = "dataset.root"
UNSCORED = ("gallery",)
"""Sections that change no score."""
SHOWN = 8
"""Keys that an error names; of more it says how many."""


def recipe_of() -> str:
    """The recipe that params.yaml says it began with."""
    found = YAML(typ="safe").load(PARAMS).get("gallery") or {}
    return str(found.get("recipe", ""))


def differences(a: dict[str, Any], b: dict[str, Any], names: tuple[str, str], absent: str = "not written") -> str:
    """The keys that differ, with both values, called by `names`, or `absent`; empty if none does."""

    def shown(settings: dict[str, Any], key: str) -> str:
        return json.dumps(settings[key]) if key in settings else absent

    keys = [key for key in sorted(a | b) if (key in a, a.get(key)) != (key in b, b.get(key))]
    values = [f"{key} ({names[0]} {shown(a, key)}, {names[1]} {shown(b, key)})" for key in keys[:SHOWN]]
    return ", ".join([*values, *([f"and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else [])])


def conflicts(a: dict[str, Any], b: dict[str, Any], names: tuple[str, str], written: Collection[str] = ()) -> str:
    """`differences` of two lists of settings in effect. A key that one of them has alone is new in code, or gone, and
    what it does by default is the code's matter; so it counts only where it is in `written`.
    """
    first, second = (
        {key: value for key, value in own.items() if _meets(key, other) or _meets(key, written)}
        for own, other in ((a, b), (b, a))
    )
    return differences(first, second, names, absent="no such key")


def _meets(key: str, others: Collection[str]) -> bool:
    """Whether `key` is one of `others`, above one or below one: a CRF that is off has no keys below it."""
    return key in others or any(f"{key}.".startswith(f"{one}.") or one.startswith(f"{key}.") for one in others)


def settings_of(common: Sequence[str], keep_place: bool = False) -> dict[str, Any]:
    """Everything that params.yaml writes and `common` changes, by dotted key, without what changes no score.

    Nor is the seed in it, which each row sets; nor the place of the data, unless `keep_place`.
    """
    yaml = YAML(typ="safe")
    tree = flat({name: value for name, value in yaml.load(PARAMS).items() if name not in UNSCORED})
    for key, value in (each.split("=", 1) for each in common):
        tree = without(tree, key) | flat({key: yaml.load(value)})
    dropped = ("seed",) if keep_place else ("seed", PLACE)
    return {key: value for key, value in tree.items() if key not in dropped}


def without(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """All but what setting `key` replaces: its own value, the values below it, and one that it is below."""
    return {
        name: value
        for name, value in settings.items()
        if not (f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}."))
    }


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; an empty section is none."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
