"""Opens networks that segment, a student or an OSTE, whatever their classes: from a checkpoint or from a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.core.atomic import sha256_file
from wsss.core.errors import UserError
from wsss.core.missing import need_made
from wsss.models.base_student import BaseStudent
from wsss.models.checkpoint import (
    FORMAT,
    OSTE,
    STUDENT,
    VERSION,
    NetworkCard,
    network_of,
    of_this_version,
    read_checkpoint,
)
from wsss.models.oste import Oste, build_oste
from wsss.models.student import build_student
from wsss.predict.package import package_sha256, read_package


def read_network(path: Path) -> dict[str, Any]:
    """The plain content of a checkpoint, or of a package, a folder; its tensors are `state`.

    Raises `UserError` if there is none, `IntegrityError` if it is damaged or foreign.
    """
    return read_package(path) if path.is_dir() else read_checkpoint(path, FORMAT, VERSION)


def load_segmenting(path: Path) -> tuple[BaseStudent | Oste, NetworkCard]:
    """A student or an OSTE in evaluation mode on the CPU.

    Raises `UserError` for a network that does not segment, and as `read_network`.
    """
    need_made(path)
    with of_this_version(path):
        content = read_network(path)
        kind, classes = content["kind"], content["classes"]
        if kind == STUDENT:
            return network_of(path, content, kind, build_student, classes)
        if kind == OSTE:
            oste, card = network_of(path, content, kind, build_oste, classes)
            if oste.segmentation is None:
                what = "an OSTE without a segmentation branch: it was not trained (train.enabled: false)"
                raise UserError(path, what, "give artifacts/student.pt")
            return oste, card
    what = f"a {kind} does not segment (expected a student or an oste)"
    raise UserError(path, what, "give artifacts/student.pt or artifacts/oste.pt")


def network_sha256(path: Path) -> str:
    """Hex digest of a network's file, or of what determines the masks of a package."""
    return package_sha256(path) if path.is_dir() else sha256_file(path)
