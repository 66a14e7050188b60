"""Compiled code is kept on disk under a hash of its own file: nothing that it uses may stand in another one."""

from __future__ import annotations

import ast
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
