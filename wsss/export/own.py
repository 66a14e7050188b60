"""Files that an export may replace: those that an export has written, and nobody has changed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.core.errors import UserError

EXTRA_FILE = "wsss.json"
"""Where a TorchScript file keeps the card that ONNX keeps as metadata."""


def refuse_foreign_file(path: Path, kind: str, force: bool) -> None:
    """Raise `UserError` if the output file `path` of this `kind` is there; with `force`, if it is somebody's own."""
    if not path.exists():
        return
    if not force:
        fix = "choose another name, or --force: it replaces what wsss export has written and nobody has changed"
        raise UserError(path, "is there already", fix)
    if path.is_symlink() or not path.is_file() or not _own(path, kind):
        what = f"is no file that wsss export --to {kind} has written, or it was changed since: --force leaves it"
        raise UserError(path, what, "choose another name, or delete it")


def zip_seal(archive: zipfile.ZipFile) -> bytes:
    """A comment for an archive: the checksum of its files' names and contents."""
    listed = sorted(f"{info.CRC:08x} {info.file_size} {info.filename}\n" for info in archive.infolist())
    return b"wsss.sha256 " + hashlib.sha256("".join(listed).encode()).hexdigest().encode()


def json_seal(content: Mapping[str, Any]) -> str:
    """The checksum of a COCO json, without its field `info`."""
    rest = {name: part for name, part in content.items() if name != "info"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _own(path: Path, kind: str) -> bool:
    if kind == "onnx":
        from wsss.predict.networks import SEAL  # loads torch

        data = path.read_bytes()
        return data[-SEAL:].endswith(hashlib.sha256(data[:-SEAL]).hexdigest().encode())
    try:
        if kind == "coco":
            found = json.loads(path.read_text(encoding="utf-8"))
            return bool(found["info"]["wsss.sha256"] == json_seal(found))
        with zipfile.ZipFile(path) as archive:
            if kind == "cvat":
                return archive.comment == zip_seal(archive)
            return any(name.endswith(f"/extra/{EXTRA_FILE}") for name in archive.namelist())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile):
        return False
