"""Tables that `wsss tag` cannot continue begin one of its own, and stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RawData
from wsss.core.errors import ErrorList, UserError
from wsss.formats.guess import guess_dataset
from wsss.formats.raw import RawItem
from wsss.formats.registry import scan
from wsss.tag.session import Change, Session

TABLES = {
    "a column per class": "id;cow;sheep;dog\na;ja;nein;\nb/c;1;x;\n",
    "several columns": "photo,tag1,tag2\na,cow,\nb/c.png,cow,sheep\n",
    "several rows": "filename,tags,split\na,cow,train\nb/c,cow,val\nb/c,sheep,\n",
}
OWN = "tags-tagged.csv"


@pytest.fixture
def folder(raw_data: RawData) -> Path:
    for name in ("a.jpg", "b/c.png", "d.jpg"):
        raw_data.photo(name)
    return raw_data.root


def read_by_init(folder: Path, table: str) -> dict[str, RawItem]:
    raw = scan(guess_dataset(folder, folder / table))
    assert not raw.problems
    return {item.id: item for item in raw.items}


@pytest.mark.parametrize("form", TABLES)
def test_its_tags_and_splits_begin_a_table_of_our_own(folder: Path, form: str) -> None:
    theirs = folder / "tags.csv"
    theirs.write_text(TABLES[form], encoding="utf-8")
    before = read_by_init(folder, "tags.csv")
    session = Session(folder)
    assert (session.path, session.source) == (folder / OWN, theirs)
    assert not session.path.exists()
    assert session.tags() == [("cow",), ("cow", "sheep"), None]
    session.keep()
    assert read_by_init(folder, OWN) == before
    if form == "a column per class":
        assert session.classes.names == ["cow", "sheep", "dog"]  # that no photo shows as well
    session.apply([Change((2,), "sheep", True), Change((0,), "cow", False)])
    again = Session(folder)  # goes on with its own
    assert (again.path, again.source, again.tags()) == (folder / OWN, theirs, session.tags())
    found = read_by_init(folder, OWN)
    assert {name: found[name].tags for name in found} == {"a": (), "b/c": ("cow", "sheep"), "d": ("sheep",)}
    assert [found[name].split for name in ("a", "b/c")] == [before[name].split for name in ("a", "b/c")]
    assert theirs.read_text(encoding="utf-8") == TABLES[form]


def test_a_workbook_begins_the_table_that_init_then_finds(folder: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("photo", "tags"), ("a.jpg", "cow"), ("elsewhere.jpg", "dog"), ("d", None)):
        book.active.append(row)
    book.save(folder / "tags.xlsx")
    data = (folder / "tags.xlsx").read_bytes()
    session = Session(folder)
    session.keep()
    assert (folder / "tags.csv").read_text(encoding="utf-8") == "filename,tags\na.jpg,cow\nd.jpg,\n"
    assert session.tags() == [("cow",), None, ()]
    assert guess_dataset(folder, None).tags == "tags.csv"
    assert Session(folder).source is None  # tags.csv comes first
    assert Session(folder, folder / "tags.xlsx").path == folder / "tags.csv"
    assert (folder / "tags.xlsx").read_bytes() == data


def test_a_table_of_counts_is_read_and_says_what_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "photo,who,cow,dog,plot\na,MB,3,,7\nb/c,AK,,x,8\nd,AK,0,,8\n"
    (folder / "tags.csv").write_text(table, encoding="utf-8")
    assert Session(folder).tags() == [("cow",), ("dog",), ()]
    said = capsys.readouterr().err
    assert "tags.csv: photo = photo; a class each = cow, dog; no split; not read: who, plot\n" in said
    assert "columns with a number in every row are not read as classes: plot" in said


def test_what_is_wrong_in_it_is_told_where_it_stands(folder: Path) -> None:
    (folder / "tags.csv").write_text("photo,cow,dog\na,1,0\nb/c,two,\nd,1\n", encoding="utf-8")
    with pytest.raises(ErrorList) as caught:
        Session(folder)
    text = str(caught.value)
    assert "tags.csv:4: found 2 cells, expected 3" in text
    assert "tags.csv:3: column 'cow': found 'two', expected 1 or 0" in text
    (folder / "tags.csv").write_text("photo,cow,dog\na,1,0\n", encoding="utf-8")
    (folder / "classes.txt").write_text("cov\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"tags\.csv: a\.jpg: unknown class 'cow' \(did you mean 'cov'"):
        Session(folder)
    assert not (folder / OWN).exists()
