"""`wsss inspect` of what lies in `reports`: tables, scores, pages and pictures, and what they are for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.helpers import REPO
from tests.unit.commands.test_inspect import inspect
from wsss.core.errors import IntegrityError
from wsss.core.records import RECORD
from wsss.data.tables import csv_text
from wsss.report.reports import MEANT, Table, read_table

COLUMNS = ("id", "iou", "missing")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    for name in ("gallery", "overlays"):
        (folder / name).mkdir(parents=True)
    rows = [("=a", "0.5", "cow"), ("b", "0.25", ""), *((f"c{number}", "1", "") for number in range(30))]
    (folder / "photos.csv").write_text(csv_text(COLUMNS, rows), encoding="utf-8")
    (folder / "metrics.json").write_text('{"miou": 0.5}')
    (folder / "gallery/index.html").write_text("<html><title>wsss gallery</title></html>")
    (folder / "overlays/a.png").write_bytes(b"")
    (folder / "notes.txt").write_text("")
    return folder


def test_a_table_is_shown_with_its_purpose(reports: Path) -> None:
    code, text, errors = inspect(reports / "photos.csv")
    assert (code, errors) == (0, "")
    lines = text.splitlines()
    assert lines[:3] == ["what: table", "for: every photo, the worst first", "rows: 32"]
    assert lines[4:7] == ["id    iou  missing", "=a    0.5  cow", "b    0.25"]
    assert lines[-1] == "… and 12 more rows"
    found = json.loads(inspect(reports / "photos.csv", "--json")[1])["table"]
    assert (found["columns"], len(found["rows"]), found["rows"][0]) == (list(COLUMNS), 32, ["=a", "0.5", "cow"])


def test_a_photo_is_its_row(reports: Path) -> None:
    assert inspect(reports / "photos.csv", "b")[1] == "id: b\niou: 0.25\nmissing: none\n"
    code, _, text = inspect(reports / "photos.csv", "=b")
    assert (code, "no photo '=b' in it" in text) == (2, True)
    (reports / "some.csv").write_text(csv_text(("id", "iou"), [("images/x", "0.5"), ("x/y", "1")]), encoding="utf-8")
    assert inspect(reports / "some.csv", "x")[1] == "id: images/x\niou: 0.5\n"  # as everywhere, without its folders
    (reports / "train.csv").write_text("epoch,loss\n1,2\n")
    assert "has no column id (found epoch, loss)" in inspect(reports / "train.csv", "1")[2]
    assert "has no photos by id" in inspect(reports / "metrics.json", "1")[2]


def test_scores_and_pages(reports: Path) -> None:
    text = inspect(reports / "metrics.json")[1]
    assert text == "what: values\nfor: the scores for dvc metrics, as fractions\ncontent:\n  miou: 0.5\n"
    page = reports / "gallery/index.html"
    assert f"title: wsss gallery\nbytes: 40\nto look at it: open {page} in a browser\n" in inspect(page)[1]


def test_a_folder_of_reports_is_listed(reports: Path) -> None:
    assert json.loads(inspect(reports, "--json")[1])["contents"] == {
        "gallery": f"page: open {reports / 'gallery/index.html'} in a browser",
        "metrics.json": "values: the scores for dvc metrics, as fractions",
        "overlays": "1 picture",
        "photos.csv": "table of 32 rows: every photo, the worst first",
    }
    assert inspect(reports / "overlays")[1] == "what: 1 picture\n"


@pytest.mark.parametrize(("room", "columns"), [(7, 2), (6, 1), (1, 1), (15, 2), (16, 3), (1000, 3)])
def test_a_table_is_no_wider_than_the_terminal(room: int, columns: int) -> None:
    lines = Table(COLUMNS, (("木", "0.5", "cow"),)).lines(room)
    assert lines[0].split() == list(COLUMNS[:columns])
    assert lines[1].split() == ["木", "0.5", "cow"][:columns]
    left = COLUMNS[columns:]
    more = [f"… and {len(left)} more column{'s' if len(left) > 1 else ''}: {', '.join(left)}"] if left else []
    assert lines[2:] == more


@pytest.mark.parametrize("content", [b"", b"a,b\n1\n", b'a,b\n"1,2\n', b"\xff"])
def test_what_is_no_table(reports: Path, content: bytes) -> None:
    (reports / "photos.csv").write_bytes(content)
    with pytest.raises(IntegrityError):
        read_table(reports / "photos.csv")
    assert "photos.csv: cannot be read: " in inspect(reports)[1]


def test_every_report_of_the_pipeline_has_a_purpose() -> None:
    named = re.findall(r"reports/(\w+\.(?:csv|json))\b", (REPO / "dvc.yaml").read_text(encoding="utf-8"))
    assert len(named) > 10
    assert not {*named, RECORD.name} - {*MEANT}
