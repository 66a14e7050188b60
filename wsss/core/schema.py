"""What of plain values does not fit the schema of all settings: slips in sections whose code is not loaded.

A stage loads the code of its own sections alone; with that of others it would depend on it. The schema is a file that
`wsss explain --schema` writes of the code, and a test holds it to that. Of the keywords of JSON schemas it needs those
with which pydantic describes settings.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from wsss.core.errors import did_you_mean
from wsss.core.project import PACKAGE, SCHEMA, carried

KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "object": ("keys with values", lambda value: isinstance(value, dict)),
    "array": ("a list", lambda value: isinstance(value, tuple)),
    "string": ("a valid string", lambda value: isinstance(value, str)),
    "boolean": ("a valid boolean", lambda value: isinstance(value, bool)),
    "integer": ("a valid integer", lambda value: type(value) is int),
    "number": ("a valid number", lambda value: type(value) is int or (type(value) is float and math.isfinite(value))),
}
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("greater than or equal to {}", lambda value, least: value >= least),
    "exclusiveMinimum": ("greater than {}", lambda value, below: value > below),
    "maximum": ("less than or equal to {}", lambda value, most: value <= most),
    "exclusiveMaximum": ("less than {}", lambda value, above: value < above),
    "multipleOf": ("a multiple of {}", lambda value, step: value % step == 0),
}
LIMITS |= {"ge": LIMITS["minimum"], "le": LIMITS["maximum"]}  # as pydantic writes them where there are several kinds
SIZES = {
    "minItems": ("at least {} in the list", LIMITS["minimum"][1]),
    "maxItems": ("at most {} in the list", LIMITS["maximum"][1]),
    "minLength": ("at least {} letters", LIMITS["minimum"][1]),
    "maxLength": ("at most {} letters", LIMITS["maximum"][1]),
}


class Slip(NamedTuple):
    """A place in the file; `expected`: what should stand there instead of what was found, or None for a key that is
    not `known` (those that are), or that is missing.
    """

    location: tuple[str | int, ...]
    expected: str | None
    known: tuple[str, ...] = ()

    def what(self, found: str) -> str:
        """``found 'many', expected a valid integer``; `found`: the value, as a person writes it."""
        if self.expected is not None:
            return f"found {found}, expected {self.expected}"
        return f"unknown key{did_you_mean(str(self.location[-1]), self.known)}" if self.known else "missing"


@functools.cache
def settings_schema() -> dict[str, Any]:
    """The schema of params.yaml; without its file, one that everything fits."""
    try:
        found: dict[str, Any] = json.loads(
            ((carried() or PACKAGE.parent / "docs") / SCHEMA).read_text(encoding="utf-8")
        )
    except (OSError, ValueError):
        return {"properties": {}, "$defs": {}}
    return found


def slips(
    value: Any, schema: Mapping[str, Any], named: Mapping[str, Any], at: tuple[str | int, ...] = ()
) -> Iterator[Slip]:
    """All that does not fit in `value`, which consists of plain Python values with tuples for lists and stands at `at`.

    `named`: the schemas that a ``$ref`` names. Kinds are strict: 1.0 is no integer, and true no number.
    """
    if value is None:  # for who looks for places without a value
        return
    if "$ref" in schema:
        yield from slips(value, named[schema["$ref"].rpartition("/")[2]], named, at)
        return
    if "anyOf" in schema:
        each = [list(slips(value, one, named, at)) for one in schema["anyOf"]]
        if all(each):
            inner = [found for found in each if any(slip.location != at for slip in found)]
            words = dict.fromkeys(str(found[0].expected) for found in each)
            yield from inner[0] if inner else [Slip(at, " or ".join(words))]
            return
    wrong = _wrong(value, schema)
    if wrong:
        yield Slip(at, wrong)
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (Slip((*at, key), None) for key in schema.get("required", ()) if key not in value)
        for key, item in value.items():
            if key in known:
                yield from slips(item, known[key], named, (*at, key))
            elif not schema.get("additionalProperties", True):
                yield Slip((*at, key), None, tuple(sorted(known)))
    elif isinstance(value, tuple):
        wanted = [*schema.get("prefixItems", ()), *[schema.get("items", {})] * len(value)]
        for place, item in enumerate(value):
            yield from slips(item, wanted[place], named, (*at, place))


def _wrong(value: Any, schema: Mapping[str, Any]) -> str:
    """What was expected, if `value` itself, whatever is in it, is something else."""
    if "type" in schema and not KINDS[schema["type"]][1](value):
        return KINDS[schema["type"]][0]
    choices = [schema["const"]] if "const" in schema else schema.get("enum", ())
    if choices and not any(type(value) is type(choice) and value == choice for choice in choices):
        *others, last = map(repr, choices)
        return f"{', '.join(others)} or {last}" if others else last
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return str(schema.get("title", f"text like {schema['pattern']}"))
    if isinstance(value, (str, tuple)):
        rules, number = SIZES, len(value)
    elif type(value) in (int, float):
        rules, number = LIMITS, value
    else:
        return ""
    for key, (words, holds) in rules.items():
        if key in schema and not holds(number, schema[key]):
            return words.format(schema[key])
    return ""
