"""Notebooks without Jupyter: their code cells in order, each in the names that the ones before have left.

`python -m tests.notebook docs/quickstart.ipynb`, called where its files are, prints the notebook with fresh outputs.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """`notebook` with the outputs of this run: what a cell prints, then the value of its last expression."""
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell = cell | {"execution_count": count, "outputs": outputs("".join(cell["source"]), count, names)}
        cells.append(cell)
    return notebook | {"cells": cells}


def outputs(source: str, count: int, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run one cell, in `names`."""
    body = ast.parse(source, f"cell {count}").body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), f"cell {count}", "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), names)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None:
        found.append({"data": shown(value), "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return found


def shown(value: Any) -> dict[str, Any]:
    """A value by its types of content: pictures as PNG."""
    png = getattr(value, "_repr_png_", lambda: None)()
    if png is None:
        return {"text/plain": lines(repr(value))}
    # Its repr holds an address.
    return {"image/png": base64.b64encode(png).decode() + "\n", "text/plain": [f"<{type(value).__name__}>"]}


def lines(text: str) -> list[str]:
    """As notebooks keep texts."""
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    read = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(run(read), ensure_ascii=False, indent=1) + "\n")
