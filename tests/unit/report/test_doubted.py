"""Which classes a verdict doubts, and which photos are named for them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.report.test_verdict import AGREED, FINE, INDEX, write_confusion, write_tables
from wsss.commands.predict import doubted_in
from wsss.data.index import write_index
from wsss.predict.doubted import Doubted, spread, with_doubts
from wsss.predict.folder import Folder
from wsss.predict.table import Row
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
    assert found.text == f"classes that the verdict ({tmp_path}/reports) calls doubtful: cow; less sure: hat"
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


def rows(*areas: tuple[float, ...], edited: bool = False) -> list[Row]:
    """Photos with these areas of hats, cows, boats."""
    return [Row(str(number), 1.0, (), (), (0.5, *each), edited) for number, each in enumerate(areas)]


def test_at_most_half_of_the_photos_are_named() -> None:
    doubted = Doubted({"cow": "doubtful", "hat": "less sure", "boat": "doubtful"}, "reports")
    shown = rows((0.1, 0.1, 0), (0.1, 0, 0), (0.1, 0.1, 0), (0, 0, 0.004))
    found = spread(doubted, shown, CLASSES)
    assert found.everywhere == ("cow",)
    assert found.text.endswith(
        "calls doubtful: cow, boat; less sure: hat; not named photo by photo, as too many show it: cow"
    )
    reasons = [with_doubts(row, found, CLASSES) for row in shown]
    assert reasons == [
        ("shows hat that the verdict calls less sure",),
        (),
        ("shows hat that the verdict calls less sure",),
        (),
    ]
    assert spread(doubted, [], CLASSES).everywhere == ()


def test_an_uneven_area_without_tags_is_no_doubt_where_tags_are_heeded(tmp_path: Path) -> None:
    uneven = FINE[1].replace("cow,40,0.3,0.3,0.6000", "cow,40,0.1,0.47,0.77").replace("0.25,0.5,", "0.25,0.45,")
    found = doubted_classes(project(tmp_path, uneven), CLASSES)
    assert found == Doubted({"hat": "less sure", "cow": "less sure"}, f"{tmp_path}/reports", by_area=frozenset({"cow"}))
    tagged = Row("a", 1.0, (), ("cow", "hat"), (0.5, 0.2, 0.2, 0))
    assert with_doubts(tagged, found, CLASSES) == ("shows hat that the verdict calls less sure",)
    for tags in ((), ("hat",)):
        assert len(with_doubts(replace(tagged, tags=tags), found, CLASSES)) == 2
    # Photos that are not named for a class do not count as named.
    others = [replace(tagged, id=str(number), areas=(0.5, 0.2, 0, 0)) for number in range(9)]
    assert spread(found, [tagged, *others], CLASSES).everywhere == ()


@pytest.mark.parametrize(("settings", "named"), [({"tags": "0123"}, ""), ({}, "shows cow that the verdict calls x")])
def test_tags_that_are_not_heeded_answer_no_doubt(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    folder = Folder(tmp_path, {"classes": list(CLASSES), **settings})
    for name, tags, cow in (("a", "cow", "0.2"), ("b", "hat", "0")):
        folder.rows[name] = [name, f"{name}.jpg", "", "8", "8", "0.9", "", tags, "", "", "0.8", cow, "0", "0"]
    folder.doubt(Doubted({"cow": "x"}, "reports", by_area=frozenset({"cow"})))
    assert [row.look for row in folder.worst_first()] == [(named,) if named else (), ()]


def test_reasons_of_an_earlier_verdict_are_replaced_and_edited_masks_have_none() -> None:
    row = Row("a", 1.0, ("confidence 0.10", "shows hat that the verdict calls doubtful"), (), (0.5, 0.2, 0.2, 0))
    other = Doubted({"cow": "doubtful"}, "reports")
    assert with_doubts(row, other, CLASSES) == ("confidence 0.10", "shows cow that the verdict calls doubtful")
    assert with_doubts(row, None, CLASSES) == ("confidence 0.10",)
    assert with_doubts(rows((0.2, 0.2, 0.2), edited=True)[0], other, CLASSES) == ()


def test_without_what_reads_reports_masks_are_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsss.report.doubted", None)
    assert doubted_in(Path(), INDEX.classes) is None
