"""A network as a folder to share: its tensors as safetensors, a config, an ONNX file and a model card.

The folder is marked (`core.folders`): a file that is read from it has to have the checksum that the mark lists. Other
files may lie beside them, as a hub puts them there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from wsss.core.atomic import sha256_file, write_bytes, write_text
from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import MARK, unlike_mark
from wsss.models.backbones.weights import safe_tensors

FORMAT, VERSION = "wsss.package", 1
CONFIG, TENSORS, ONNX, MODEL_CARD = "config.json", "model.safetensors", "model.onnx", "README.md"
READ = (CONFIG, TENSORS)
"""The files that the network is built of; the others are for people and other programs."""
FIX = "fetch it again, or make it again: wsss export --to package MODEL FOLDER"


def is_package(path: Path) -> bool:
    """True for a folder that looks like a package, whole or not."""
    return any((path / name).is_file() for name in READ)


def write_package(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write tensors and config into `folder`, which `core.folders.atomic_dir` is to mark. Equal values, equal bytes."""
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
    write_bytes(folder / TENSORS, save(tensors, metadata={"format": "pt"}))
    content = {"format": FORMAT, "version": VERSION, **config}
    write_text(folder / CONFIG, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_package(path: Path) -> dict[str, Any]:
    """The content of the folder `path`, like that of a checkpoint: the config, and the tensors as `state`.

    Raises `UserError` if it is no package, `IntegrityError` if it is damaged or of another version.
    """
    if not is_package(path):
        what = f"is a folder, expected a network file or a package (with {CONFIG} and {TENSORS})"
        raise UserError(path, what, "give artifacts/student.pt, artifacts/oste.pt or a package")
    refuse_unlike(path)
    try:
        content = dict(json.loads((path / CONFIG).read_text(encoding="utf-8")))
        found = content.pop("format"), content.pop("version")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(path / CONFIG, "is not the config of a package", FIX) from error
    if found != (FORMAT, VERSION):
        what = f"found format {found[0]!r} version {found[1]}, expected {FORMAT!r} version {VERSION}"
        raise IntegrityError(path / CONFIG, what, FIX)
    return content | {"state": safe_tensors((path / TENSORS).read_bytes(), path / TENSORS, FIX)}


def refuse_unlike(path: Path) -> None:
    """Raise `IntegrityError` unless the package `path` has its mark, and the files that are read are as written."""
    if not (path / MARK).is_file():
        what = "is missing: the folder is no package that wsss has exported, or not the whole of it"
        raise IntegrityError(path / MARK, what, FIX)
    for file in unlike_mark(path, READ):
        raise IntegrityError(file, "is damaged: it is not what was written" if file.exists() else "is missing", FIX)


def verify_package(path: Path) -> list[IntegrityError]:
    """All files of the package `path` that are missing or changed."""
    if not (path / MARK).is_file():
        return [IntegrityError(path / MARK, "is missing, so that nothing can be compared", FIX)]
    changed = unlike_mark(path, (*READ, ONNX, MODEL_CARD))
    return [
        IntegrityError(file, f"differs from its checksum in {MARK}" if file.exists() else "is missing", FIX)
        for file in changed
    ]


def package_sha256(path: Path) -> str:
    """A checksum of what determines the masks of the package `path`: its config and its tensors."""
    return hashlib.sha256("".join(sha256_file(path / name) for name in READ).encode()).hexdigest()
