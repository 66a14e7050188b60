"""Strict settings: every key known, every key present, every type exact, all errors at once with their lines.

Files are read with ruamel (YAML 1.2, as DVC reads them: ``1e-4`` is a number, ``no`` is text). Each piece of code
declares its settings as a `Settings` class beside itself; a stage composes the sections it reads and calls `load`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict
from ruamel.yaml.comments import CommentedMap

from wsss.core.errors import UserError, did_you_mean, raise_all
from wsss.core.schema import settings_schema, slips
from wsss.core.settings_file import SECTIONS, line_of, plain_values, read_settings


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversion of types."""

    # Defaults are validated too: 10 written in the code and in a file become the same 10.0.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        validate_default=True,
    )


T = TypeVar("T", bound=Settings)

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""The seed of all random numbers: torch takes no larger, numpy no negative one."""
Scale = Annotated[float, Field(gt=0, le=8)]
"""A factor on the size of a photo: 8 makes 64 times the pixels, more than any memory holds."""


def unit(name: str) -> JsonDict:
    """The unit of a field, for ``Field(json_schema_extra=unit("pixels"))``; `wsss explain` and the docs show it."""
    return {"unit": name}


def flat(settings: Settings, prefix: str = "") -> dict[str, bool | int | float | str]:
    """Settings as plain values by dotted key, as stores keep them; lists are joined by blanks, nothing is ``off``."""
    found: dict[str, bool | int | float | str] = {}
    for name in type(settings).model_fields:
        key, value = f"{prefix}{name}", getattr(settings, name)
        if isinstance(value, Settings):
            found |= flat(value, f"{key}.")
        elif isinstance(value, tuple):
            found[key] = " ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
        else:
            found[key] = "off" if value is None else value
    return found


def load(path: Path, model: type[T], sections: Sequence[str] = SECTIONS, whole: bool = True) -> T:
    """Read the sections of `path` that `model` declares. `sections`: others that the file may have.

    Raises `UserError` (or an `ErrorList` of them) naming file, line, key, what was found and expected. If `whole`, also
    for sections that only other stages read: by the schema, since their code is not loaded.
    """
    document = read_settings(path)
    wanted = set(model.model_fields)
    known = tuple(dict.fromkeys((*sections, *model.model_fields)))
    errors: list[UserError] = [
        _error(
            path,
            line_of(document, [key]),
            key,
            f"unknown section{did_you_mean(str(key), known)}",
            f"known sections are {', '.join(known)}",
        )
        for key in document
        if key not in known
    ]
    chosen = CommentedMap((key, value) for key, value in document.items() if key in wanted)
    plain = plain_values(path, chosen)
    others = (key for key in document if whole and key in SECTIONS and not _reads_all(model, key))
    foreign = plain_values(path, CommentedMap((key, document[key]) for key in others))
    for location in _nothing(plain | foreign, []):
        key = ".".join(map(str, location))
        errors.append(
            _error(path, line_of(document, location), key, "found nothing, expected a value", f"change {key}")
        )
    try:
        settings = model.model_validate(plain)
    except ValidationError as invalid:
        errors += _problems(path, document, model, [one for one in invalid.errors() if one["input"] is not None])
        settings = None
    told = {error.what.partition(": ")[0] for error in errors}
    errors += [error for key, error in _slips(path, document, foreign, wanted) if key not in told]
    raise_all(errors)
    assert settings is not None
    return settings


def _reads_all(model: type[Settings], section: str) -> bool:
    """True if `model` knows every key of `section`; some read a part of it and let the others be."""
    field = model.model_fields.get(section)
    kind = None if field is None else field.annotation
    return field is not None and not (
        isinstance(kind, type) and issubclass(kind, Settings) and kind.model_config.get("extra") == "ignore"
    )


def _slips(
    path: Path, document: CommentedMap, sections: dict[str, Any], in_part: Collection[str]
) -> Iterator[tuple[str, UserError]]:
    """By key, what the schema of all settings says of `sections`, which the model does not read; without the schema's
    file, nothing. What is missing in a section that is read in part is left to the stage that needs it.
    """
    schema = settings_schema()
    for name, value in sections.items():
        for slip in slips(value, schema["properties"].get(name, {}), schema["$defs"], (name,)):
            if name in in_part and not slip.expected and not slip.known:
                continue
            found: Any = sections
            key = ".".join(map(str, slip.location))
            line = line_of(document, list(slip.location))
            for part in slip.location if slip.expected else ():
                found = found[part]
            if slip.known:
                fix = f"known keys are {', '.join(slip.known)}"
            else:
                fix = f"change {key}" if slip.expected else f"add {key} (see recipes/demo.yaml)"
            yield key, _error(path, line, key, slip.what(_shown(found)), fix)


def _nothing(node: Any, location: list[Any]) -> Iterator[list[Any]]:
    """Places without a value. Some settings take None for "off", and nobody means that by writing nothing."""
    if isinstance(node, (dict, tuple)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _nothing(value, [*location, key])
    elif node is None:
        yield location


def _problems(path: Path, document: CommentedMap, model: type[Settings], found: Sequence[Any]) -> list[UserError]:
    """One error for each key. A value that may be of several kinds has a problem with each of them."""
    by_key: dict[str, list[Any]] = {}
    for problem in found:
        if problem["type"] == "too_short" and len(problem["input"]) >= problem["ctx"]["min_length"]:
            continue  # its items are wrong, and said to be
        by_key.setdefault(".".join(map(str, _location(document, problem))), []).append(problem)
    return [_explain(path, document, model, key, problems) for key, problems in by_key.items()]


def _location(document: CommentedMap, problem: Any) -> list[Any]:
    """Where the value stands in the file: pydantic adds the name of the kind that was tried."""
    node, location = document, []
    for part in problem["loc"]:
        known = part in node if isinstance(node, dict) else isinstance(node, list) and isinstance(part, int)
        if known:
            node = node[part]
        elif problem["type"] != "missing" or str(part).endswith("]"):
            continue
        location.append(part)
    return location


def _explain(path: Path, document: CommentedMap, model: type[Settings], key: str, problems: Sequence[Any]) -> UserError:
    problem = problems[0]
    location = _location(document, problem)
    line = line_of(document, location)
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        hint = did_you_mean(str(location[-1]), known)
        return _error(path, line, key, f"unknown key{hint}", f"known keys are {', '.join(sorted(known))}")
    if problem["type"] == "missing":
        return _error(path, line, key, "missing", f"add {key} (see recipes/demo.yaml)")
    expected = " or ".join(dict.fromkeys(map(_expected, problems)))
    return _error(path, line, key, f"found {_shown(problem['input'])}, expected {expected}", f"change {key}")


def _expected(problem: Any) -> str:
    """What was expected, in the words of a person who writes YAML: pydantic speaks of tuples."""
    limits = problem.get("ctx", {})
    if problem["type"] == "tuple_type":
        found = problem["input"]
        return f"a list{f', such as [{found}]' if isinstance(found, (bool, int, float, str)) else ''}"
    if problem["type"] in ("too_short", "too_long"):
        most = problem["type"] == "too_long"
        return f"at {'most' if most else 'least'} {limits['max_length' if most else 'min_length']} in the list"
    if problem["type"] == "model_type":
        return "keys with values"
    return str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")


def _shown(value: Any) -> str:
    """`value` as YAML's flow style has it: a list is no tuple."""
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, tuple) else repr(value)


def _error(path: Path, line: int | None, key: object, what: str, fix: str) -> UserError:
    return UserError(f"{path}:{line}" if line else path, f"{key}: {what}", fix)


def _fields_at(model: type[Settings], location: list[Any]) -> list[str]:
    current: Any = model
    for part in location:
        annotation = current.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, Settings)), Settings)
    return list(current.model_fields)
