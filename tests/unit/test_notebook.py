"""docs/quickstart.ipynb: runs on any network and photos, and says what the interface says; its outputs are a run's."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import CLASSES, REPO
from tests.toy_networks import photo, write_student
from wsss.core.errors import UserError
from wsss.export.network import export_onnx
from wsss.predict.segmenter import Segmenter

NOTEBOOK = REPO / "docs" / "quickstart.ipynb"
LARGEST = 60_000
"""Bytes of a committed picture."""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.notebook", str(NOTEBOOK)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(notebook: dict[str, Any]) -> list[str]:
    """What each code cell shows as text; of a picture, its type."""
    found = []
    for cell in code_cells(notebook):
        parts = [line for output in cell["outputs"] for line in output.get("text") or output["data"]["text/plain"]]
        found.append("".join(parts))
    return found


def pictures(notebook: dict[str, Any]) -> list[bytes]:
    data = [output.get("data", {}).get("image/png") for cell in code_cells(notebook) for output in cell["outputs"]]
    return [base64.b64decode(each) for each in data if each]


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    return dict(json.loads(NOTEBOOK.read_text(encoding="utf-8")))


def test_it_runs_and_shows_what_the_segmenter_finds(tmp_path: Path, committed: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    (tmp_path / "artifacts").mkdir()
    student = write_student(tmp_path / "artifacts" / "student.pt")
    images = tmp_path / "data" / "demo" / "images"
    images.mkdir(parents=True)
    for number in range(7):
        Image.fromarray(photo(48, 64, number)).save(images / f"scene_{number:04}.jpg")
    with_onnx = importlib.util.find_spec("onnxscript") is not None
    if with_onnx:
        export_onnx(student, tmp_path / "student.onnx")

    process = run(tmp_path)
    assert process.returncode == 0, process.stderr
    notebook = json.loads(process.stdout)

    segmenter = Segmenter.load(student)
    found = segmenter(images / "scene_0004.jpg")
    classes, present, areas, overlay, better, table, onnx = texts(notebook)
    assert classes == repr(CLASSES)
    assert present == repr(found.classes)
    for line, name in zip(areas.splitlines(), ("background", *found.classes), strict=True):
        here = found.label == CLASSES.index(name)
        sure = found.confidence[here].astype(float).mean()
        assert line.split() == [*f"{name} {here.mean():.1%} of the pixels, confidence".split(), f"{sure:.2f}"]
    assert overlay == "<Image>"
    assert re.fullmatch(r"\d+\.\d% of the labels differ\n<Image>", better)
    rows = table.splitlines()
    assert [row.split()[0] for row in rows] == ["photo", *(f"scene_{number:04}" for number in range(1, 7))]
    assert rows[4].endswith(", ".join(f"{name} {found.area(name):.0%}" for name in found.classes))
    assert onnx.startswith("100.00% of the labels agree" if with_onnx else "not here yet: wsss export")

    with Image.open(BytesIO(pictures(notebook)[0])) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(found.overlay()))
    # The same kinds of outputs as those that are committed: these are not of another version of the cells.
    kinds = [[output["output_type"] for output in cell["outputs"]] for cell in code_cells(notebook)]
    assert kinds == [[output["output_type"] for output in cell["outputs"]] for cell in code_cells(committed)]


def test_what_it_says_of_a_missing_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        Segmenter.load("artifacts/student.pt")
    prose = " ".join(" ".join("".join(cell["source"]) for cell in committed["cells"]).split())
    for line in str(caught.value).splitlines():
        assert f"`{line}`" in prose


def test_committed_outputs_are_small_and_of_no_machine(committed: dict[str, Any]) -> None:
    assert (committed["nbformat"], committed["nbformat_minor"]) == (4, 5)
    cells = code_cells(committed)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells)
    assert [len(picture) <= LARGEST for picture in pictures(committed)] == [True, True]
    for text in texts(committed):
        assert not re.search(r"(^|[\s'\"(])/\w|0x|Traceback|not here yet", text)
