"""The recipes, complete settings files, and how one becomes params.yaml."""

from __future__ import annotations

import re
from pathlib import Path

from wsss.core.atomic import write_bytes, write_text
from wsss.core.errors import UserError, did_you_mean
from wsss.core.project import PACKAGE, carried

SCHEMA = "# yaml-language-server: $schema=docs/params.schema.json"
"""First line of every settings file: editors then complete and check the keys."""


def _section(name: str) -> re.Pattern[str]:
    """A section of a settings file: its heading, and the indented and empty lines below."""
    return re.compile(rf"^{name}:[^\n]*\n(?:(?:[ \t][^\n]*)?\n)*", re.MULTILINE)


_DATASET = _section("dataset")


def recipes_folder() -> Path:
    """`recipes/` of the checkout that wsss was installed from, or else of the package."""
    source = carried()
    return PACKAGE.parent / "recipes" if source is None else source / "recipes"


def recipe_names() -> list[str]:
    """All recipes, sorted."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """The file of a recipe; `UserError` for an unknown name."""
    names = recipe_names()
    if name not in names:
        what = f"unknown recipe {name!r}{did_you_mean(name, names)}"
        raise UserError("recipe", what, f"choose one of {', '.join(names)}")
    return recipes_folder() / f"{name}.yaml"


def read_recipe(name: str) -> str:
    """The text of a recipe; `UserError` for an unknown name."""
    return recipe_path(name).read_text(encoding="utf-8")


def recipe_header(text: str) -> list[str]:
    """The comment at the top of a recipe: what it is, what it costs, what came out."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if line == SCHEMA:
            continue
        lines.append(line.removeprefix("#").strip())
    return lines


def same_as_recipe(text: str) -> str | None:
    """The recipe that `text` is to the letter, if it is one."""
    return next((name for name in recipe_names() if read_recipe(name) == text), None)


def dataset_section(text: str, where: Path) -> str:
    """The lines of section `dataset` in a settings file. `UserError` at `where` if they cannot be told apart."""
    found = _DATASET.findall(text)
    if len(found) != 1:
        what = f"found {len(found)} sections 'dataset' that begin a line, expected 1"
        raise UserError(where, what, "write the section in lines of its own, as recipes/demo.yaml does")
    return str(found[0])


def with_dataset(text: str, section: str, where: Path) -> str:
    """`text` with another section `dataset`; every other line stays as it is."""
    old = dataset_section(text, where)
    blank = old[len(old.rstrip()) :]
    return text.replace(old, section.rstrip() + (blank or "\n"), 1)


def put_in_place(path: Path, text: str, backup: bool = True) -> Path | None:
    """Write settings to `path`; what was there and differs is kept under a new name, which is returned, if `backup`."""
    new = text.encode()
    kept = None
    if path.exists():
        old = path.read_bytes()
        if old == new:
            return None
        if backup:
            kept = next(name for name in _backups(path) if not name.exists() or name.read_bytes() == old)
            write_bytes(kept, old)
    write_text(path, text)
    return kept


def _backups(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}.bak{number or ''}") for number in range(1000)]
