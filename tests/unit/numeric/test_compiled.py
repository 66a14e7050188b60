"""Compiled code is kept on disk under a hash of its own file, once for all checkouts.

So nothing that it uses may stand in another file.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wsss

ROOT = Path(wsss.__file__).parent
COMPILED = [path for path in sorted(ROOT.rglob("*.py")) if "\n@compiled\n" in path.read_text(encoding="utf-8")]


def test_there_is_compiled_code() -> None:
    assert {"lattice_kernels.py", "mean_field.py"} <= {path.name for path in COMPILED}


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_compiled_code_uses_its_own_file_only(path: Path) -> None:
    """An edit elsewhere would leave stale machine code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    foreign = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wsss")
        for alias in node.names
    }
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and any(
            isinstance(mark, ast.Name) and mark.id == "compiled" for mark in function.decorator_list
        ):
            used = {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
            assert not used & foreign, f"{path.name}: {function.name}"


TOY = """
import numpy as np
from wsss.numeric.compiled import compiled

@compiled
def inner(values):
    return values.sum()

@compiled
def total(values):
    return 1 * inner(values) + len(values)
"""
USE = """
import json, sys
import numpy as np
from wsss.numeric.toy import inner, total
found = [float(total(np.arange(4).astype(kind))) for kind in sys.argv[1:]]
count = lambda name: sum(getattr(each.stats, name).total() for each in (inner, total))
print(json.dumps([found, count("cache_hits"), count("cache_misses")]))
"""


def checkout(folder: Path, code: str = TOY) -> Path:
    """The code, with a compiled function for these tests."""
    for room in ("core", "numeric"):
        shutil.copytree(ROOT / room, folder / "wsss" / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", folder / "wsss")
    (folder / "wsss" / "numeric" / "toy.py").write_text(code)
    return folder


def started(folder: Path, cache: Path, *kinds: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env = {**clean, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(cache), **environment}
    command = [sys.executable, "-B", "-c", USE, *kinds]
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[list[float], int, int]:
    """Results, functions that were found on disk (with what they call), and functions that were compiled."""
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found, hits, misses = json.loads(printed)
    return found, hits, misses


def test_second_checkout_compiles_nothing_and_an_edit_does(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = checkout(tmp_path / "first"), checkout(tmp_path / "second")
    assert ended(started(first, cache, "f8")) == ([10.0], 0, 2)
    assert ended(started(second, cache, "f8")) == ([10.0], 1, 0)
    edited = checkout(tmp_path / "edited", TOY.replace("1 * inner", "2 * inner"))
    assert ended(started(edited, cache, "f8")) == ([16.0], 0, 2)
    options = second / "wsss" / "numeric" / "compiled.py"
    options.write_text(options.read_text().replace('"contract", "nsz"', '"contract"'))
    assert ended(started(second, cache, "f8")) == ([10.0], 0, 2)
    assert not any(list(folder.rglob("__pycache__")) for folder in (first, second, edited))
    assert sorted(path.name for path in cache.rglob("*.py")) == ["toy.py"] * 3


def test_processes_that_compile_at_once_take_nothing_of_each_other(tmp_path: Path) -> None:
    folder, cache = checkout(tmp_path / "code"), tmp_path / "cache"
    kinds = ("f8", "f4", "i8", "u1")
    for run in [started(folder, cache, kind) for kind in kinds]:
        assert ended(run)[0] == [10.0]
    assert ended(started(folder, cache, *kinds)) == ([10.0] * 4, 4, 0)


def test_cache_that_numba_is_told_of_is_used(tmp_path: Path) -> None:
    folder, other = checkout(tmp_path / "code"), tmp_path / "other"
    assert ended(started(folder, tmp_path / "cache", "f8", NUMBA_CACHE_DIR=str(other)))[1:] == (0, 2)
    assert ended(started(folder, tmp_path / "cache", "f8", NUMBA_CACHE_DIR=str(other)))[1:] == (1, 0)
    assert not (tmp_path / "cache").exists()


def test_without_a_place_to_keep_it_code_is_compiled_all_the_same(tmp_path: Path) -> None:
    folder, closed = checkout(tmp_path / "code"), tmp_path / "closed"
    closed.write_text("a file, for root may write into every folder")
    assert ended(started(folder, closed, "f8"))[1:] == (0, 2)
    assert ended(started(folder, closed, "f8"))[1:] == (1, 0)  # kept in the package
    pycache = folder / "wsss" / "numeric" / "__pycache__"
    shutil.rmtree(pycache)
    pycache.write_text("")
    for _ in range(2):
        assert ended(started(folder, closed, "f8")) == ([10.0], 0, 2)
