"""The score table as it is read, and percentages as they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.core.errors import IntegrityError, UserError
from wsss.report.scores import SOURCE_COLUMNS, read_sources
from wsss.report.templates import coded, percent

HEADER = ",".join(SOURCE_COLUMNS)


def write(folder: Path, text: str) -> Path:
    path = folder / "sources.csv"
    path.write_bytes(text.encode())
    return path


def test_read_sources(tmp_path: Path) -> None:
    path = write(tmp_path, f'{HEADER}\n"a, b",val,2,yes,fixed 0.27,no,no,,0.5,,0.25,1.0000\n')
    (row,) = read_sources(path)
    assert (row.source, row.split, row.images, row.tags_used) == ("a, b", "val", "2", "yes")
    assert (row.miou, row.miou_labelled, row.boundary_miou, row.coverage) == (0.5, None, 0.25, 1.0)


def test_read_sources_without_rows(tmp_path: Path) -> None:
    assert read_sources(write(tmp_path, f"{HEADER}\n")) == ()


def test_read_sources_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_sources(tmp_path / "sources.csv")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "source,miou\ncam,1\n",
        f"{HEADER}\ncam,val\n",
        f"{HEADER}\ncam,val,2,yes,fixed,no,no,no,.5,.5,.5,1,extra\n",
        f"{HEADER}\ncam,val,2,yes,fixed,no,no,no,52.1,.5,.5,1\n",
        f"{HEADER}\ncam,val,2,yes,fixed,no,no,no,inf,.5,.5,1\n",
        f"{HEADER}\ncam,val,2,yes,fixed,no,no,no,high,.5,.5,1\n",
    ],
)
def test_read_sources_something_else(tmp_path: Path, text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read_sources(write(tmp_path, text))
    assert "dvc repro evaluate" in caught.value.fix


def test_read_sources_not_text(tmp_path: Path) -> None:
    path = tmp_path / "sources.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IntegrityError, match="UTF-8"):
        read_sources(path)


def test_percent() -> None:
    assert percent(0.5424) == "54.2\u00a0%"
    assert percent(1.0, 0) == "100\u00a0%"
    assert percent(None) == "–"


def test_backticks_are_code_and_the_rest_is_text() -> None:
    assert (
        coded("Give `<b>` to `wsss predict`: a ` b.")
        == "Give <code>&lt;b&gt;</code> to <code>wsss predict</code>: a ` b."
    )
