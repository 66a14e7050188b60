"""Errors of damaged artifacts name the quickest remedy: DVC's copy, where there is one, else the stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss.core.errors import IntegrityError, UserError, WsssError
from wsss.core.locked_files import Output, is_cached, read_makings

LOCK = "dvc.lock"
MISSING = ("no such file", "no such folder")


@contextmanager
def restorable(path: Path) -> Iterator[None]:
    """While inside, the error of what is damaged or missing at or below `path` says which stage makes it, and, where
    DVC's cache has it, how DVC restores it.
    """
    try:
        yield
    except (IntegrityError, UserError) as error:
        missing = error.what.startswith(MISSING)
        output = _listed(path) if isinstance(error, IntegrityError) or missing else None
        if output is None or not Path(error.where).is_relative_to(output.path):
            raise
        again = f"make it again: dvc repro -f -s {output.stage}"
        if _cached(output):
            fix = f"restore it: dvc checkout --force {output.path}; or {again}"
        else:  # what the stage reads may be missing as well, as in a fresh clone
            fix = again if output.path.exists() else f"make it: dvc repro {output.stage}"
        raise type(error)(error.where, error.what, fix) from error


def _cached(output: Output) -> bool:
    """Whether DVC's cache has all of it."""
    from wsss.commands.verify import cache_folder

    root = next(folder for folder in output.path.parents if (folder / LOCK).is_file())
    return is_cached(output, cache_folder(root))


def _listed(path: Path) -> Output | None:
    """The output that `path` is, or lies in; None where no lock file above it lists one."""
    root = next((folder for folder in path.parents if (folder / LOCK).is_file()), None)
    try:
        made = [] if root is None else read_makings(root / LOCK, path)
    except WsssError:  # the damage is to be told, and not that of dvc.lock
        return None
    return made[0].output if made else None
