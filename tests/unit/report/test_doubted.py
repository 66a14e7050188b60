"""Which classes a verdict doubts, and what is said of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.report.test_verdict import AGREED, FINE, INDEX, write_confusion, write_tables
from wsss.commands.predict import doubted_in
from wsss.data.index import write_index
from wsss.predict.doubted import Doubted
from wsss.report.doubted import doubted_classes
from wsss.report.scores import SOURCE_COLUMNS

DISPUTED = FINE[1].replace("0.6000,agreed", "0.1000,disputed").replace("hat,40,0.2,0.25,0.5", "hat,40,0.2,0.25,0.45")
CLASSES = INDEX.classes


def project(root: Path, agreed: str = DISPUTED, tags: str = FINE[0], row: str = "") -> Path:
    (reports := root / "reports").mkdir(parents=True, exist_ok=True)
    write_index(root / "artifacts/dataset", INDEX)
    write_tables(reports, tags, agreed)
    (reports / "sources.csv").write_text(f"{','.join(SOURCE_COLUMNS)}\n{row}")
    return root


def test_without_masks_by_agreement(tmp_path: Path) -> None:
    found = doubted_classes(project(tmp_path), CLASSES)
    assert found == Doubted({"cow": "doubtful", "hat": "less sure"}, str(tmp_path / "reports"))
    assert found.text == (
        f"classes that the verdict ({tmp_path}/reports) calls doubtful: cow; less sure: hat "
        "(look at some photos of each, as no photo is named for its class)"
    )
    lost = project(tmp_path, FINE[1], FINE[0].replace("0.7000,learnt", "0.1200,not learnt"))
    found = doubted_classes(lost, CLASSES)
    assert found is not None
    assert found.words == {"hat": "doubtful"}
    assert doubted_classes(project(tmp_path, FINE[1]), CLASSES) is None


def test_by_masks_of_the_classes_that_they_show(tmp_path: Path) -> None:
    row = "student,val,12,no,,no,no,no,0.6,0.6,0.1,1.0\n"
    reports = project(tmp_path, AGREED + "boat,40,0.2,0.2,0.4,agreed,fine\nhat,40,0.2,0.2,0.1,disputed,fine\n", row=row)
    (reports / "reports/per_class.csv").write_text("class,student\nbackground,0.9\ncow,0.1\nhat,0.8\nboat,0\n")
    write_confusion(tmp_path / "reports", background=9, cow=5, hat=5, boat=0)
    found = doubted_classes(tmp_path, CLASSES)
    assert found is not None
    assert found.words == {"cow": "doubtful", "boat": "less sure"}  # of hats masks know better than agreement


@pytest.mark.parametrize("damage", ["sources.csv", "agreement.csv", "train_tags.csv"])
def test_reports_that_cannot_be_read_say_nothing(tmp_path: Path, damage: str) -> None:
    (project(tmp_path) / "reports" / damage).write_text("a,b\n1\n")
    assert doubted_classes(tmp_path, CLASSES) is None
    (tmp_path / "reports" / damage).unlink()
    assert doubted_classes(tmp_path, CLASSES) is None
    assert doubted_classes(project(tmp_path), ("background", "cow")) is None


def test_without_what_reads_reports_masks_are_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsss.report.doubted", None)
    assert doubted_in(Path(), INDEX.classes) is None
