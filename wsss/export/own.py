"""What an export may replace: what an export has written, and nobody has changed; of something else, on request."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from wsss.core.errors import UserError, WsssError
from wsss.core.folders import STORE_INDEX, refuse_foreign
from wsss.data.origins import read_origins
from wsss.predict.written import is_filled

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


def refuse_other_folder(path: Path, kind: str, sources: Collection[Path], force: bool) -> None:
    """Raise `UserError` if the output folder `path` of this `kind` holds anything but an earlier export of the same
    `sources`, which may be brought up to date; with `force`, if it is somebody's own, or no export.
    """
    refuse_foreign(path)
    if not path.is_dir() or not any(path.iterdir()):
        return
    if (path / STORE_INDEX).is_file() or is_filled(path):
        what = "is a store" if (path / STORE_INDEX).is_file() else "is a folder of wsss predict"
        raise UserError(path, f"{what}, and no export", "choose another folder")
    of = {origin.source for origin in read_origins(path).values()}
    same = bool(of) and {Path(name).resolve() for name in of} <= {source.resolve() for source in sources}
    if kind == "package":
        same = any(_same_network(path, source) for source in sources)
    if not (same or force):
        what = f"holds an export of {', '.join(sorted(of))}" if of else "is there already, and not known to be of this"
        fix = "choose another folder, or --force: it replaces what wsss has written and nobody has changed"
        raise UserError(path, f"{what}: it would be replaced as a whole", fix)


def _same_network(package: Path, source: Path) -> bool:
    from wsss.predict.package import is_package, read_package  # loads torch
    from wsss.predict.segmenting import network_sha256

    try:
        return is_package(package) and read_package(package)["source_sha256"] == network_sha256(source)
    except (WsssError, OSError, KeyError):
        return False


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
