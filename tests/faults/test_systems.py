"""macOS and Windows lack names that Linux has. They are taken away here, and the commands for people run without them.

What this cannot show is how those systems behave; README says what was run where.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import running
from tests.toy_networks import photo, write_student

ELSEWHERE = """
import ctypes, ctypes.util, os, signal, subprocess, sys, types
import multiprocessing.resource_tracker, multiprocessing.spawn, concurrent.futures.process
import click, h5py, matplotlib, numba, numpy, PIL.Image, psutil, rich.progress, scipy, sklearn.linear_model, torch
import torch.utils.data, pydantic, ruamel.yaml
from tests import toy_windows
system = sys.argv[1]
for owner, name in ((os, "sched_getaffinity"), (os, "pidfd_open")):
    delattr(owner, name)
ctypes.CDLL = None
if system == "win32":
    for name in ("SIGUSR1", "SIGCHLD", "pthread_sigmask", "SIG_BLOCK"):
        delattr(signal, name)
    for name in ("fork", "getloadavg"):
        delattr(os, name)
    sys.modules["fcntl"], sys.modules["msvcrt"] = None, toy_windows.msvcrt()
opened = open
def without_proc(file, *rest, **named):
    if str(file).startswith(("/proc", "/dev/shm")):
        raise FileNotFoundError(2, "no such file", str(file))
    return opened(file, *rest, **named)
import io
io.open = without_proc
sys.platform = system
import runpy
for module, *arguments in eval(sys.argv[2]):
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["filename,tags,split"]
    for number in range(12):
        Image.fromarray(photo(48, 64, number)).save(folder / f"p{number}.png")
        rows.append(f"p{number}.png,{('cow', 'hat')[number % 2]},{'val' if number > 7 else 'train'}")
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(folder: Path, system: str, *commands: tuple[str, ...]) -> str:
    """All of them in one process: to load torch and the others takes longer than the commands."""
    with running("-c", ELSEWHERE, system, repr(commands), cwd=folder, WSSS_WORKERS="0") as process:
        said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    assert "this is a bug" not in errors
    return said


@pytest.mark.slow
@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_commands_for_people_run_where_names_are_missing(tmp_path: Path, photos: Path, system: str) -> None:
    write_student(tmp_path / "student.pt")
    said = run(
        tmp_path,
        system,
        ("wsss", "init", "photos", "--params", "params.yaml"),
        ("wsss", "check", "params.yaml"),
        ("wsss", "predict", "student.pt", "photos", "-o", "found"),
        ("wsss", "export", "--to", "voc", "found", "voc"),
        ("wsss", "inspect", "student.pt"),
    )
    assert "kind: student\n" in said
    assert np.asarray(Image.open(tmp_path / "found" / "masks" / "p3.png")).shape == (48, 64)
    assert (tmp_path / "voc" / "labelmap.txt").exists()


@pytest.mark.slow
def test_stages_run_where_names_are_missing(tmp_path: Path, photos: Path) -> None:
    run(tmp_path, "darwin", ("wsss", "init", "photos", "--params", "params.yaml"), ("pipeline.index",))
    assert (tmp_path / "artifacts" / "dataset" / "index.csv").exists()
