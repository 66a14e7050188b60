"""Verifies artifacts by their own checksums, without DVC: stores by their index, shards by their last line, networks by
their zip archive's.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsss.core.atomic import sha256_file
from wsss.core.errors import IntegrityError
from wsss.core.folders import STORE_INDEX
from wsss.core.words import counted
from wsss.stores.hdf5 import check_seal
from wsss.stores.shards import index_digest

NAMED = 3
"""Photos of a damaged shard that are named; the rest are counted."""
REMEDY = "delete {path}, and make it again: dvc repro"


def verify_folder(folder: Path) -> tuple[int, list[IntegrityError]]:
    """Check all stores and networks below `folder`; returns how many there are and their errors."""
    count = 0
    errors: list[IntegrityError] = []
    for path in sorted(folder.rglob(STORE_INDEX)):
        count += 1
        errors += verify_store(path.parent)
    for path in sorted(folder.rglob("*.pt")):
        count += 1
        errors += verify_zip(path)
    return count, errors


def verify_store(folder: Path) -> Iterator[IntegrityError]:
    """Yield the errors: shards that are missing, changed or not listed, and a damaged index."""
    fix = REMEDY.format(path=folder)
    try:
        index: dict[str, Any] = json.loads((folder / STORE_INDEX).read_bytes())
        checksum = index.pop("sha256")
        shards = {str(shard["name"]): str(shard["sha256"]) for shard in index["shards"]}
        whole = checksum == index_digest(index)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield IntegrityError(folder / STORE_INDEX, "not the index of a store", fix)
        return
    ids = {str(shard["name"]): list(shard["ids"]) for shard in index["shards"]} if whole else {}
    if not whole:
        yield IntegrityError(folder / STORE_INDEX, "damaged or edited (its checksum differs)", fix)
        return
    for name, expected in shards.items():
        shard = folder / name
        if not shard.is_file():
            yield IntegrityError(shard, f"is missing, but {STORE_INDEX} lists it ({_photos(ids[name])})", fix)
        elif sha256_file(shard) != expected:
            what = f"differs from its checksum in {STORE_INDEX} (damaged, cut or edited; {_photos(ids[name])})"
            yield IntegrityError(shard, what, fix)
    for extra in sorted(path.name for path in folder.glob("*.h5") if path.name not in shards):
        yield IntegrityError(folder / extra, f"is not in {STORE_INDEX}", fix)


def verify_shard(path: Path) -> list[IntegrityError]:
    """Check a shard that lies anywhere, by the checksum at its end."""
    try:
        check_seal(path, REMEDY.format(path=path))
    except IntegrityError as error:
        return [error]
    return []


def photos_of(shards: Collection[Path]) -> str:
    """``24 photos: a, b, c and 21 more``: those that the index beside the `shards` lists; empty where it lists none."""
    found: list[str] = []
    for folder in sorted({shard.parent for shard in shards}):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            index = json.loads((folder / STORE_INDEX).read_bytes())
            of = [shard["ids"] for shard in index["shards"] if folder / shard["name"] in shards]
            found += [str(name) for ids in of for name in ids]
    return _photos(found) if found else ""


def _photos(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"{counted(len(ids), 'photo')}: {', '.join(ids[:NAMED])}{more}"


def verify_zip(path: Path) -> list[IntegrityError]:
    """Check a network's file: a zip archive, whose parts have checksums that torch does not verify."""
    fix = REMEDY.format(path=path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile raises nearly anything on damaged bytes
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return [IntegrityError(path, f"not a checkpoint, or truncated ({reason[:120]})", fix)]
    if damaged is None:
        return []
    return [IntegrityError(path, f"checksum of {damaged} differs (damaged or edited)", fix)]
