"""Whether `wsss init` is to make the present folder a project."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wsss.core.errors import UserError
from wsss.core.project import carried, refuse_project


def wants_project(asked: bool | None, folder: Path | None, params: Path) -> bool:
    """Whether to make the present folder a project for the photos in `folder`: as was `asked` for, or as a person says.

    Raises `UserError` where that cannot be, `EnvError` in a checkout.
    """
    if folder is None and not asked:
        raise UserError("FOLDER", "is missing", "name the folder of the photos, e.g. wsss init photos")
    if asked is None and could_be_project() and is_here(params):
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        what = f"no dvc.yaml in {Path.cwd()}: make it a project, with dvc.yaml and .dvc?"
        asked = click.confirm(what, default=True, err=True)
    if asked and not is_here(params):
        raise UserError("--params", f"found {params}, and a project reads params.yaml", "leave out --params")
    if asked and folder is not None and Path.cwd().resolve().is_relative_to(folder.resolve()):
        what = "holds the folder that is to be the project, whose outputs DVC would take for parts of the data set"
        raise UserError(folder, what, "move photos and tags into a folder of their own, e.g. photos: wsss init photos")
    if asked:
        refuse_project(Path())
    return bool(asked)


def could_be_project() -> bool:
    """True where wsss is an installed package, and the present folder has no pipeline."""
    return carried() is not None and not Path("dvc.yaml").exists()


def project_first(params: Path) -> str:
    """What is to be done before any `dvc repro` with the settings `params`, with a comma; else empty."""
    return "wsss init --project, " if could_be_project() and is_here(params) else ""


def to_run(params: Path) -> str:
    """What runs the pipeline with the settings `params`, and what is to be done before."""
    there = "" if is_here(params) else f"copy {params} to the params.yaml of the pipeline, "
    return f"{there or project_first(params)}dvc repro gallery"


def is_here(params: Path) -> bool:
    """True of the file that stages read."""
    return params.absolute() == Path("params.yaml").absolute()
