"""A project: a folder whose pipeline is the installed `wsss`, and not files of a checkout.

Its dvc.yaml is the one that the wheel carries, with two differences. Stages are modules of the package. And a stage
depends on no file of code, but on a list of the checksums of those that it would depend on in a checkout: stage `code`
writes the lists at each `dvc repro`. So another version of wsss runs those stages again whose code it has changed.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from wsss.core.atomic import sha256_file, write_text
from wsss.core.command import guarded
from wsss.core.errors import EnvError, UserError, raise_all
from wsss.core.log import say
from wsss.core.packages import TRAIN_FIX, absent_for_training

PACKAGE = Path(__file__).parent.parent
DVC, SCHEMA = "dvc.yaml", "params.schema.json"
CODE = ".code"
"""Folder of the lists, one a stage."""
WITHOUT = "demo"
"""The stage that draws photos: a project has its own."""
IGNORED = "__pycache__/\n.scratch/\n.venv/\n"
IMPORTED = "".join(f"/artifacts/{name}*\n" for name in ("corrected", "masks_as_labels", "imported_cams", "labels_of_"))
"""What `wsss labels` writes, or makes of it: no output of a stage, which DVC would have git ignore."""
AGAIN = "move dvc.yaml away, then: wsss init --project (params.yaml stays as it is)"


def carried() -> Path | None:
    """Where the installed package has what a project is made of; None in a checkout, which has it in its own places."""
    folder = PACKAGE / "project"
    return folder if (folder / DVC).is_file() else None


def make_project(folder: Path) -> list[Path]:
    """Make `folder` a project, and return what was written. Nothing that is there is changed.

    Raises what `refuse_project` does.
    """
    refuse_project(folder)
    source = _source()
    texts = {DVC: project_yaml(source), f"docs/{SCHEMA}": (source / SCHEMA).read_text(encoding="utf-8")}
    texts |= {".dvcignore": IGNORED, ".gitignore": IGNORED + IMPORTED}
    begun = (folder / ".dvc").exists()
    written = [folder / name for name in texts if not (folder / name).exists()]
    for path in written:
        write_text(path, texts[path.relative_to(folder).as_posix()])
    if not begun:
        _dvc(folder, "init", "--quiet", *_kind_of(folder))
        _dvc(folder, "config", "core.analytics", "false")
    return written if begun else [*written, folder / ".dvc"]


def refuse_project(folder: Path) -> None:
    """Raise `EnvError` in a checkout, and without the packages that training needs; `UserError` if `folder` has a
    pipeline already.
    """
    source = _source()
    if absent := absent_for_training():
        raise EnvError("project", f"it trains, and these are not installed: {', '.join(absent)}", TRAIN_FIX)
    fix = "leave out --project, or take another folder"
    if (folder / DVC).exists():
        raise UserError(folder / DVC, "exists: this folder has a pipeline", fix)
    lists = {f"{name}.txt" for name in code_lists(source)}
    if (folder / CODE).exists() and not (
        (folder / CODE).is_dir() and {path.name for path in (folder / CODE).iterdir()} <= lists
    ):
        raise UserError(folder / CODE, "exists, and stages would write there", fix)


def project_yaml(source: Path) -> str:
    """dvc.yaml of a project; `source`: the folder that the package carries. Comments and plots stay."""
    yaml = YAML()
    yaml.width = 4096
    content = yaml.load((source / DVC).read_text(encoding="utf-8"))
    del content["stages"][WITHOUT]
    names = list(content["stages"])
    for name, stage in content["stages"].items():
        stage["cmd"] = f"python -m wsss.pipeline.{name}"
        data = [dep for dep in stage["deps"] if not _is_code(dep)]
        stage["deps"] = [*data, f"{CODE}/{name}.txt"]
    code = {
        "desc": "List the code of each stage: one that another version of wsss has changed runs again",
        "cmd": "python -m wsss.core.project",
        "always_changed": True,
        "outs": [{f"{CODE}/{name}.txt": {"cache": False}} for name in names],
    }
    content["stages"].insert(0, "code", code)
    made = io.StringIO()
    yaml.dump(content, made)
    body = "".join(line for line in made.getvalue().splitlines(keepends=True) if not line.startswith("# "))
    head = f"# Made by `wsss init`, wsss {version('wsss')}. `params.yaml` says how much, the installed package how.\n"
    return f"{head}# Stages and plots of your own may be added.\n{body}"


def code_lists(source: Path) -> dict[str, str]:
    """For each stage of a project, a line for each of its files of code: checksum and name."""
    stages = YAML(typ="safe").load((source / DVC).read_text(encoding="utf-8"))["stages"]
    found = {}
    for name, stage in stages.items():
        if name != WITHOUT:
            files = {file for dep in stage["deps"] if _is_code(dep) for file in _files(dep)}
            listed = sorted((file.relative_to(PACKAGE).as_posix(), sha256_file(file)) for file in files)
            found[name] = "".join(f"{checksum}  wsss/{path}\n" for path, checksum in listed)
    return found


def write_lists(folder: Path) -> str:
    """Stage `code`: write the lists. Raises `UserError` if a stage in dvc.yaml is not as this version has it."""
    source = _source()
    present, ours = (_wiring(text) for text in ((folder / DVC).read_text(encoding="utf-8"), project_yaml(source)))
    what = f"is not as wsss {version('wsss')} has it"
    raise_all([UserError(f"dvc.yaml: stage {name}", what, AGAIN) for name in ours if present.get(name) != ours[name]])
    lists = code_lists(source)
    for name, text in lists.items():
        write_text(folder / CODE / f"{name}.txt", text)
    return f"code: wsss {version('wsss')}, {len({line for text in lists.values() for line in text.splitlines()})} files"


def _source() -> Path:
    source = carried()
    if source is None:
        what = f"wsss runs from a checkout, {PACKAGE.parent}, whose own folder is where its pipeline runs"
        raise EnvError("project", what, f"cd {PACKAGE.parent}; or install the package: pip install 'wsss[train]'")
    return source


def _is_code(dep: str) -> bool:
    return dep.startswith(("wsss/", "pipeline/"))


def _files(dep: str) -> list[Path]:
    """The files of a dependency of a checkout, where the package has them."""
    path = PACKAGE / (dep.removeprefix("wsss/") if dep.startswith("wsss/") else dep)
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def _wiring(text: str) -> dict[str, dict[str, Any]]:
    """What has to agree of each stage; how outputs are kept is the user's choice."""
    stages = YAML(typ="safe").load(text).get("stages", {})
    return {
        name: {key: sorted(map(_name, stage.get(key, []))) for key in ("deps", "outs", "metrics", "params")}
        | {"cmd": stage.get("cmd")}
        for name, stage in stages.items()
    }


def _name(item: str | dict[str, Any]) -> str:
    return item if isinstance(item, str) else next(iter(item))


def _kind_of(folder: Path) -> list[str]:
    """How `dvc init` is to be called: in git, in a part of what git has, or without it."""
    here = folder.resolve()
    if (here / ".git").exists():
        return []
    return ["--subdir"] if any((above / ".git").exists() for above in here.parents) else ["--no-scm"]


def _dvc(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvError(f"dvc {arguments[0]}", (done.stderr or done.stdout).strip(), "run it yourself, then try again")


if __name__ == "__main__":
    say(guarded(lambda: write_lists(Path()), debug=False))
