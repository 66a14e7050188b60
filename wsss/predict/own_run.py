"""Of which run a network is the student: what that run says of its classes holds for the masks of the network."""

from __future__ import annotations

from pathlib import Path

from wsss.core.atomic import sha256_file
from wsss.predict.networks import source_sha256

STUDENT = Path("artifacts/student.pt")


def own_run(model: Path, folder: Path = Path()) -> Path | None:
    """The project whose student is the network `model`, or was exported as `model`: that in `folder`, or that in which
    the file lies. None if it is neither: verdicts are of students, and of no other network. Raises as `open_network`.
    """
    roots = [root for root in (folder, *model.absolute().parents) if (root / STUDENT).is_file()]
    source = source_sha256(model) if roots else ""
    return next((root for root in roots if sha256_file(root / STUDENT) == source), None)
