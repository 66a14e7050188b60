"""The guard around every stage: one writer at a time, resumable, and errors a person can act on.

A stage's `fingerprint` covers its settings, its inputs and the code it has loaded. Unfinished work lives in
`$WSSS_SCRATCH/<stage>/<fingerprint>/`, so a rerun finds exactly the work that is still valid, and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from wsss.core.atomic import explained_os_errors, sha256_file
from wsss.core.command import CONTEXT, debug_option, guarded
from wsss.core.environment import leads, scratch_root
from wsss.core.errors import UserError
from wsss.core.folders import STORE_INDEX, refuse_foreign, remove_dir, sweep, sweep_inside
from wsss.core.interrupt import catch_signals, check_stop
from wsss.core.lock import locked
from wsss.core.log import say
from wsss.core.minutes import timed
from wsss.core.no_masks import without_masks
from wsss.core.processes import die_with_dvc, end_children
from wsss.core.records import commit, note_made


@dataclass(frozen=True)
class Stage:
    """An open stage: its name, what it is made of, and its locked scratch folder."""

    name: str
    fingerprint: str
    scratch: Path


@contextmanager
def open_stage(
    name: str,
    settings: Mapping[str, Any],
    inputs: Sequence[Path],
    files: Sequence[Path] = (),
    folders: Sequence[Path] = (),
) -> Iterator[Stage]:
    """Guard a stage: die with DVC, take the locks, catch signals, keep masks closed to those that train or make labels,
    give the scratch folder; on success remove it.

    `settings` are the plain values that change the result; `inputs` are files or folders it reads; `files` and
    `folders` are what it writes. Raises `UserError` if an output is in the way of another kind, holds what wsss did
    not write, or is being written by another process. Waits for a process that makes the same elsewhere.
    """
    if "DVC_STAGE" in os.environ:
        # A killed `dvc` would otherwise leave this process writing while a rerun starts a second writer.
        die_with_dvc()
    with catch_signals(), ExitStack() as locks:
        if leads():  # for all processes of a training
            for out in (*files, *folders):
                locks.enter_context(_reserved(out, out in folders))
        fingerprint = make_fingerprint(name, settings, inputs)
        scratch = scratch_root() / name / fingerprint
        with explained_os_errors(scratch):
            scratch.parent.mkdir(parents=True, exist_ok=True)
        if leads():
            what = f"{name} with the same settings and inputs is running, and does the same work"
            locks.enter_context(locked(scratch.with_suffix(".lock"), what, wait=True))
        with explained_os_errors(scratch):
            scratch.mkdir(exist_ok=True)
            if leads():
                sweep_inside(scratch)  # or it would be published with the folder that it lies in
        code = commit()  # files may be edited while the stage runs
        with timed(name, fingerprint), without_masks(name, inputs) as closed:
            yield Stage(name, fingerprint, scratch)
            check_stop()  # before what is finished can no longer be taken up
        if leads():
            note_made(name, code, closed, ((out, hash_input(out)) for out in (*files, *folders)))
            remove_dir(scratch)


@contextmanager
def _reserved(out: Path, folder: bool) -> Iterator[None]:
    """Hold the lock of an output, and find out before any work what would keep it from being written."""
    if folder:
        refuse_foreign(out)
    elif out.is_dir():
        raise UserError(out, "is a folder, and a file is to be written there", "choose another output")
    # In the scratch folder and not beside the output: a killed process leaves its lock file.
    lock = scratch_root() / "outputs" / f"{hashlib.sha256(os.fsencode(out.absolute())).hexdigest()[:16]}.lock"
    with explained_os_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock, f"{out} is being written by another process"):
        with explained_os_errors(out):
            sweep(out)
        yield


def make_fingerprint(name: str, settings: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    """16 hex digits over stage name, settings, loaded code, library versions and the contents of `inputs`."""
    identity = {
        "stage": name,
        "settings": settings,
        "code": [sha256_file(path) for path in loaded_code()],
        "versions": [importlib.metadata.version(package) for package in ("torch", "numpy")],
        "inputs": [hash_input(path) for path in inputs],
    }
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def loaded_code() -> list[Path]:
    """Source files of `wsss` (without `core`) and `pipeline` that this process has loaded, sorted.

    `core` is exempt because it cannot change an output: it computes nothing and writes no numbers (a test says so).
    The wiring test holds `dvc.yaml`'s code dependencies to this same list.
    """
    files: dict[str, Path] = {}
    for loaded_as, module in list(sys.modules.items()):
        # `python -m pipeline.x` loads x as `__main__`; its spec knows its name.
        spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
        name = str(spec.name if spec else loaded_as)
        if file and name.split(".")[0] in ("wsss", "pipeline") and not name.startswith("wsss.core"):
            files[name] = Path(file)
    # By name and not by path: where the code lies is no part of what it does.
    return [files[name] for name in sorted(files) if files[name].name != "__init__.py"]


def hash_input(path: Path) -> str:
    """Digest of a file, of a store (by its index), or of all files of a folder. Raises `UserError` if missing."""
    if path.is_file():
        return sha256_file(path)
    if (path / STORE_INDEX).is_file():
        return sha256_file(path / STORE_INDEX)
    if not path.is_dir():
        raise UserError(path, "no such file or folder", "run the stage that writes it, e.g. `dvc repro`")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listing = [f"{file.relative_to(path).as_posix()}:{sha256_file(file)}" for file in files]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def stage_command(main: Callable[..., str]) -> click.Command:
    """Make a stage's `main(params, ...)` a command: --params, --debug, one summary line, errors as exit codes.

    `main` returns its summary line, or nothing where that has been said.

    Exit codes: 2 user input, 3 environment, 4 integrity, 75 interrupted, 1 bug.
    """

    @click.command(help=main.__doc__, context_settings=dict(CONTEXT))
    @click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="settings file")
    @debug_option
    @functools.wraps(main)
    def command(debug: bool, **arguments: Any) -> None:
        try:
            with catch_signals():
                summary = guarded(lambda: main(**arguments), debug)
                if summary:
                    say(summary)
        finally:
            end_children()

    return command
