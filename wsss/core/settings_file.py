"""The file of settings as text: reading YAML, what is wrong with it, and on which line a key stands."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from wsss.core.errors import UserError

SECTIONS = (
    "seed",
    "compute",
    "dataset",
    "demo",
    "pretrain",
    "train",
    "inference",
    "cams",
    "correct",
    "distill",
    "evaluate",
    "gallery",
)
"""Every top-level key of params.yaml. Anything else is an error."""

MAX_VALUES = 10_000


def how_to_write(path: Path) -> str:
    """The fix where there are no settings at `path`: the commands that write them."""
    option = "" if path == Path("params.yaml") else f" --params {path}"
    return f"wsss recipe use NAME{option} (see wsss recipe list), or for your own photos: wsss init FOLDER{option}"


def read_settings(path: Path) -> CommentedMap:
    """The whole file with the places of its keys. Raises `UserError` for what is no YAML, or no settings."""
    try:
        text = path.read_text(encoding="utf-8")
        document = YAML(typ="rt").load(text)
    except FileNotFoundError as error:
        raise UserError(path, "no such file", how_to_write(path)) from error
    except IsADirectoryError as error:
        raise UserError(path, "a folder, expected a file of settings", _instead_of(path)) from error
    except UnicodeDecodeError as error:
        raise UserError(path, "no text, expected a file of settings", "give one such as params.yaml") from error
    except OSError as error:
        raise UserError(path, f"cannot be read ({error})", how_to_write(path)) from error
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        key = str(error.problem).split('"')[1] if '"' in str(error.problem) else "?"
        raise UserError(f"{path}:{line}", f"duplicate key {key!r}", f"delete one of the two {key!r} keys") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(
            f"{path}:{mark.line + 1 if mark else 1}", f"not valid YAML: {error.problem}", "mend the line"
        ) from error
    except YAMLError as error:
        raise UserError(path, f"not valid YAML: {str(error).splitlines()[0]}", "mend the file") from error
    except RecursionError as error:
        raise UserError(
            path, "not settings: nested too deeply", "write the settings as recipes/demo.yaml does"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # ruamel's constructors of dates and of `!!int` and the like raise what Python's own functions raise.
        what = f"not valid YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise UserError(path, what, "write the value as recipes/demo.yaml does") from error
    if not isinstance(document, CommentedMap) or not document:
        found = "an empty file" if not document else "a list" if isinstance(document, list) else "a single value"
        what = f"no settings (found {found}, expected sections {', '.join(SECTIONS)})"
        raise UserError(path, what, how_to_write(path))
    _refuse_unreadable_by_dvc(path, text)
    return document


def _refuse_unreadable_by_dvc(path: Path, text: str) -> None:
    """DVC reads the file by libyaml, whose YAML is an older one: no value in braces may have a ':' in it."""
    try:
        for _ in YAML(typ="safe").parse(io.StringIO(text)):
            pass
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fix = (
            "write what stands in braces in lines of its own, a key each, as the backbones of recipes/demo.yaml; "
            "quotes last only until the next dvc exp run -S"
        )
        where = f"{path}:{mark.line + 1 if mark else 1}"
        raise UserError(where, f"DVC cannot read this line: {error.problem}", fix) from error


def _instead_of(folder: Path) -> str:
    """The fix where a folder was given for a file of settings."""
    inside, here = folder / "params.yaml", Path("params.yaml")
    if inside.is_file():
        return f"give the file: {inside}"
    read = f"leave it out to read {here}; " if here.is_file() else ""
    return f"{read}for the photos in it, write one first: wsss init {folder}"


def plain_values(path: Path, document: CommentedMap) -> Any:
    """Plain values of Python for those of `document`. Raises `UserError` for millions of them."""
    try:
        return _plain(document, itertools.count())
    except RecursionError as error:
        what = f"more than {MAX_VALUES} values, or an alias inside itself"
        raise UserError(path, what, "write the values out") from error


def _plain(node: Any, count: Iterator[int]) -> Any:
    """ruamel's containers and scalar types → Python's, so that strict validation sees plain types."""
    if next(count) > MAX_VALUES:  # aliases of aliases make millions of a few lines
        raise RecursionError
    if isinstance(node, dict):
        return {str(key): _plain(value, count) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_plain(value, count) for value in node)
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def line_of(document: Any, location: list[Any]) -> int | None:
    """1-based line of the deepest part of `location` that exists in the file."""
    line, node = None, document
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            # A key of a merged map (``<<: *base``) has no line of its own: it is that of the map it was merged into.
            line, node = node.lc.key(part)[0] + 1 if part in (node.lc.data or ()) else line, node[part]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            line, node = node.lc.item(part)[0] + 1, node[part]  # type: ignore[attr-defined]
        else:
            break
    return line
