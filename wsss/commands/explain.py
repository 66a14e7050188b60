"""`wsss explain`: what a setting of params.yaml means, its value and default, and which stages read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.core.command import json_option, json_text, people_command
from wsss.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from wsss.commands.sections import Key

PARAMS, DVC = Path("params.yaml"), Path("dvc.yaml")


@people_command
@click.argument("key", required=False)
@click.option("--params", type=click.Path(path_type=Path), default=PARAMS, help="settings file")
@click.option("--markdown", is_flag=True, help="print the page of all settings, docs/settings.md")
@click.option("--schema", is_flag=True, help="print the JSON schema of params.yaml, docs/params.schema.json")
@json_option
def main(key: str | None, params: Path, markdown: bool, schema: bool, as_json: bool) -> str:
    """Explain KEY of params.yaml (correct.fixed.alpha), a section (correct), or any key that ends so (alpha).

    Without KEY, list the sections.
    """
    from wsss.commands.sections import Sections, all_keys, readers  # loads torch: --help does not wait for it

    keys, stages = all_keys(), readers(DVC)
    if schema:
        return json.dumps(Sections.model_json_schema(), ensure_ascii=False, indent=1)
    if markdown:
        from wsss.commands.settings_page import page

        return page(keys, stages)
    values, written = _values(params, keys)
    if key is None:
        return sections_text(keys, stages)
    found = [each for each in keys if each.name == key or each.name.startswith(f"{key}.")]
    found = found or [each for each in keys if each.name.endswith(f".{key}")]
    if not found:
        names = {name for each in keys for name in (each.name, each.name.rpartition(".")[2])}
        raise UserError("wsss explain", f"no key {key!r}{did_you_mean(key, sorted(names))}", "see wsss explain")
    if as_json:
        return json_text([_plain(each, values, written, stages.get(each.section, [])) for each in found])
    if len(found) == 1 or key == found[0].name:
        return key_text(found[0], values, written, stages.get(found[0].section, []))
    return "\n".join(line_text(each, values) for each in found)


def _plain(key: Key, values: dict[str, str], written: set[str], stages: Sequence[str]) -> dict[str, Any]:
    return asdict(key) | {"value": values.get(key.name), "written": key.name in written, "stages": list(stages)}


def sections_text(keys: Sequence[Key], stages: dict[str, list[str]]) -> str:
    """A line for each section."""
    sections = dict.fromkeys(each.section for each in keys)
    lines = [f"{'section':<10} {'keys':>4}  read by"]
    for section in sections:
        count = sum(each.section == section for each in keys)
        lines.append(f"{section:<10} {count:>4}  {', '.join(stages.get(section, [])) or '(no dvc.yaml here)'}")
    return "\n".join([*lines, "", "next: wsss explain SECTION, or wsss explain KEY"])


def line_text(key: Key, values: dict[str, str]) -> str:
    """``correct.fixed.alpha = 0.5 (default 0.8): sentence``, or ``correct.method = gmm (required): sentence``."""
    from wsss.commands.sections import REQUIRED

    value = values.get(key.name, key.default)
    default = REQUIRED if key.default == REQUIRED else f"(default {key.default})"
    default = "" if value == key.default else f" {default}"
    return f"{key.name} = {value}{default}: {key.sentence}{f' [{key.unit}]' if key.unit else ''}"


def key_text(key: Key, values: dict[str, str], written: set[str], stages: Sequence[str]) -> str:
    """Everything about one key."""
    value = values.get(key.name, "(none)")
    # DVC adds a key only where ++ says so.
    plus = "" if key.name in written else "++"
    lines = {
        "value": f"{value}{f' {key.unit}' if key.unit else ''}" + ("" if key.name in written else " (not written)"),
        "default": key.default,
        "takes": key.kind,
        "read by": ", ".join(stages) or "(no dvc.yaml here)",
        "try": f"dvc exp run -S '{plus}{key.name}={values.get(key.name, key.default)}'",
    }
    return "\n".join([key.name, f"  {key.sentence}", "", *(f"  {name:<8} {text}" for name, text in lines.items())])


def _values(params: Path, keys: Sequence[Key]) -> tuple[dict[str, str], set[str]]:
    """The value of each key, as YAML writes it, and the keys that `params` writes; none without the file."""
    if not params.exists():
        if params != PARAMS:
            raise UserError(params, "no such file", "correct --params")
        return {}, set()
    from ruamel.yaml import YAML

    from wsss.commands.sections import values_in

    return values_in(params, keys), set(_written(YAML(typ="safe").load(params.read_text(encoding="utf-8")), ""))


def _written(node: Any, prefix: str) -> list[str]:
    """Dotted keys of a settings file, sections included."""
    if not isinstance(node, dict):
        return []
    names = [f"{prefix}{name}" for name in node]
    return names + [inner for name, value in node.items() for inner in _written(value, f"{prefix}{name}.")]
