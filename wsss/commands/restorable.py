"""Errors of damaged artifacts name the quickest remedy: DVC's copy, where `dvc.lock` lists the artifact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss.core.errors import IntegrityError, UserError, WsssError
from wsss.core.locked_files import Output, read_makings

LOCK = "dvc.lock"
MISSING = ("no such file", "no such folder")


@contextmanager
def restorable(path: Path) -> Iterator[None]:
    """While inside, the error of what is damaged or missing at or below `path` also says how DVC restores it."""
    try:
        yield
    except (IntegrityError, UserError) as error:
        output = _listed(path) if isinstance(error, IntegrityError) or error.what.startswith(MISSING) else None
        if output is None or not Path(error.where).is_relative_to(output.path):
            raise
        fix = f"restore it: dvc checkout --force {output.path}; or {error.fix}"
        raise type(error)(error.where, error.what, fix) from error


def _listed(path: Path) -> Output | None:
    """The output that `path` is, or lies in; None where no lock file above it lists one."""
    root = next((folder for folder in path.parents if (folder / LOCK).is_file()), None)
    try:
        made = [] if root is None else read_makings(root / LOCK, path)
    except WsssError:  # the damage is to be told, and not that of dvc.lock
        return None
    return made[0].output if made else None
