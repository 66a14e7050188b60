"""What to say of a file or folder that is not there."""

from __future__ import annotations

from pathlib import Path

from wsss.core.errors import UserError, did_you_mean

PROJECT = Path("params.yaml")
MADE = ("student.pt", "oste.pt")
"""Names of networks that stages give: one that is there is not what was meant by the other, which comes later."""
MOST = 1000
"""Neighbours that are compared with the name that was written."""


def similar(path: Path) -> str:
    """`` (did you mean '../my_photos'?)``, where something beside `path` is called nearly like it, or where that holds
    for folders of the path; else nothing.
    """
    try:
        found = _beside(path)
    except OSError:
        return ""
    return f" (did you mean {str(found)!r}?)" if found else ""


def _beside(path: Path) -> Path | None:
    """What is there and is called nearly like `path`, by its own name, by those of its folders, or by both."""
    parent = path.parent if path.parent.exists() else _beside(path.parent)
    if parent is None:
        return None
    if parent != path.parent and (parent / path.name).exists():
        return parent / path.name
    names = [each.name for each in sorted(parent.iterdir())[:MOST]]
    hint = did_you_mean(path.name, names)
    return next((parent / name for name in names if repr(name) in hint), None)


def need_made(path: Path) -> None:
    """Raise `UserError` if `path`, a product of the pipeline, is not there: not made yet, or in another folder."""
    if not path.exists():
        fix = "correct the path; or, in the folder of your project, run the stages that write it: dvc repro gallery"
        hint = "" if path.name in MADE else similar(path)
        raise UserError(path, f"no such file{hint}", fix)


def need_project(made: Path) -> None:
    """Raise `UserError` if `made`, what a stage writes in the folder of a project, is not there, and nor are settings:
    the present folder is no project.
    """
    if not made.exists() and not PROJECT.is_file():
        what = f"is no project: it has no {PROJECT}, and no {made}"
        raise UserError(Path.cwd(), what, "go to the folder of your project, which has both: cd FOLDER")
