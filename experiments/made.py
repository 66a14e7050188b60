"""What a result is computed with: the settings in effect, defaults among them, and the code of the stages that ran."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from experiments.provenance import precision
from experiments.settings import PARAMS, PLACE, flat
from wsss.commands.sections import Sections
from wsss.core.errors import UserError
from wsss.core.locked_files import content_md5
from wsss.core.records import CODE

ROOT = Path(__file__).parents[1]
"""The checkout whose code computes the rows."""
LAST = "evaluate"
"""The stage that a row ends with."""
AUTO = "precision auto"
"""What that is on the processor that computed the rows, kept beside their settings."""


@dataclass(frozen=True)
class Made:
    """`settings`: by dotted key, of all sections that the stages read, but the seed and the place of the data; `code`:
    by stage, a digest of its files.
    """

    settings: dict[str, Any]
    code: dict[str, str]


def made(overrides: Sequence[str]) -> Made:
    """By which settings and code `overrides` (key=value) of params.yaml would be computed now.

    The defaults are those of the code that this process has loaded. Raises `UserError` for settings that are not valid.
    """
    settings = _in_effect(overrides)
    ran = _stages(str(settings[PLACE]))
    read = {section for entry in ran.values() for section in entry.get("params", [])} - {"seed"}
    chosen = {key: value for key, value in settings.items() if key.partition(".")[0] in read and key != PLACE}
    files = {name: sorted(dep for dep in entry["deps"] if Path(dep).parts[0] in CODE) for name, entry in ran.items()}
    md5s = {dep: content_md5(ROOT / dep) for deps in files.values() for dep in deps}
    code = {name: digest("".join(f"{md5s[dep]}  {dep}\n" for dep in deps)) for name, deps in files.items()}
    return Made(chosen | {AUTO: precision()}, code)


def _in_effect(overrides: Sequence[str]) -> dict[str, Any]:
    """Every key of params.yaml with its value, written or default, by dotted key."""
    yaml = YAML(typ="safe")
    tree = yaml.load(PARAMS)
    for key, value in (each.split("=", 1) for each in overrides):
        *way, last = key.split(".")
        section = tree
        for part in way:
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        section[last] = yaml.load(value)
    try:
        found = Sections.model_validate_json(json.dumps(tree))  # strict: JSON has no tuples
    except ValidationError as invalid:
        problem = invalid.errors()[0]
        what = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        raise UserError(PARAMS, what, "correct it there, or in -S") from invalid
    return flat(found.model_dump(mode="json"))


def drawn(place: Path) -> bool:
    """True if a stage makes the photos at `place`: `dvc exp run` runs it before the others."""
    return place.resolve() in _makers(_wiring())


def _stages(place: str) -> dict[str, Any]:
    """The stages of dvc.yaml that `LAST` comes from where the photos lie at `place`, as they are written there."""
    stages = _wiring()
    makers = _makers(stages)
    wanted, waiting = set(), [LAST]
    while waiting:
        wanted.add(name := waiting.pop())
        deps = [Path(dep.replace(f"${{{PLACE}}}", place)).resolve() for dep in stages[name]["deps"]]
        waiting += [makers[dep] for dep in deps if dep in makers and makers[dep] not in wanted]
    return {name: entry for name, entry in stages.items() if name in wanted}


def _wiring() -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages


def _makers(stages: dict[str, Any]) -> dict[Path, str]:
    """The stage that makes each file or folder."""
    return {Path(_path(out)).resolve(): name for name, entry in stages.items() for out in entry.get("outs", [])}


def _path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def digest(text: str) -> str:
    """A short name of `text` that another text does not have."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
