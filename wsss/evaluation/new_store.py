"""Publishes imported labels under a name of their content: DVC sees a new name, and nothing is ever replaced.

`distill.labels` is a setting, and for DVC its value is a name: what lies there under the old name it does not look at.
"""

from __future__ import annotations

import json
from pathlib import Path

from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import STORE_INDEX, publish
from wsss.stores.verify import verify_store

CONTENT = "content_sha256"
"""Attribute of a store: the checksum of its labels alone, where the store also says which files they came from."""
DIGITS = 8


def publish_new(built: Path, out: Path | None, start: Path) -> tuple[Path, bool]:
    """Publish the store `built` as `out`; without that, as `start` with eight digits of its content's checksum. Returns
    where it is, and whether it is new there.

    Raises `UserError` if anything else is there, `IntegrityError` if it is the same and damaged.
    """
    content = _content(built)
    place = out or start.with_name(f"{start.name}_{content[:DIGITS]}")
    if not place.is_symlink() and not (place.is_dir() and any(place.iterdir())):
        publish(built, place)  # which refuses a file
        return place, True
    if _content(place) != content:
        fix = "choose another --out, or leave --out away: then the name is a new one" if out else "give an --out"
        raise UserError(place, "is there already and holds something else, and nothing is replaced", fix)
    check_there(place)
    return place, False


def check_there(place: Path) -> None:
    """Raise `IntegrityError` if the store is damaged."""
    if error := next(verify_store(place), None):
        raise IntegrityError(error.where, error.what, f"delete {place}, and import again")


def _content(store: Path) -> str:
    """Empty where there is no store."""
    try:
        index = json.loads((store / STORE_INDEX).read_text(encoding="utf-8"))
        return str(index.get(CONTENT) or index["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
