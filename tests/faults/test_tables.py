"""Tables and folders as people have them: workbooks, a folder for each class, slips, one error for each cause."""

from __future__ import annotations

import datetime
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import RawData
from wsss import cli
from wsss.formats.build import examine
from wsss.formats.cells import is_slip
from wsss.formats.health import health_findings
from wsss.formats.settings import DatasetSettings

openpyxl = pytest.importorskip("openpyxl", reason="needs wsss[xlsx]")


def workbook(data: RawData, name: str = "tags.xlsx", **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    data.root.mkdir(parents=True, exist_ok=True)
    book.save(data.root / name)
    return data.root / name


@pytest.fixture
def photos(raw_data: RawData) -> RawData:
    for name in "abc":
        raw_data.photo(f"{name}.jpg")
    return raw_data


def tags_in(data: RawData, **settings: object) -> dict[str, list[str]]:
    index = data.index(settings)
    assert index is not None, data.text
    return {record.id: [index.classes[tag] for tag in record.tags] for record in index.records}


def found(data: RawData, **settings: object) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Errors, warnings and lines of reading."""
    section = {"root": str(data.root), "format": "folder", "allow_untagged": True, "val_fraction": 0.0, **settings}
    survey, problems = examine(DatasetSettings.model_validate(section), 0)
    return [str(each) for each in problems], [each.what for each in health_findings(survey)], survey.reading


# Workbooks


@pytest.mark.parametrize(
    "rows",
    [
        [["filename", "tags"], ["a.jpg", "cow; dog"], ["b.jpg", "dog"], ["c.jpg", "cow"]],
        [["Photo", "cow", "dog"], ["a.jpg", 1, 1.0], ["b", 0, True], ["c.JPG", "ja", None]],
        [["file name", "tag1", "tag2"], ["a.jpg", "cow", "dog"], [], ["b.jpg", "dog"], ["c.jpg", None, "cow"]],
        [
            [None, None],
            ["filename", "cow", "dog"],
            ["a.jpg", "x", "x"],
            ["b.jpg", None, "x"],
            ["c.jpg", "WAHR", "FALSCH"],
        ],
    ],
    ids=["long", "wide", "numbered", "after an empty row"],
)
def test_workbook_is_read_as_the_same_table_in_csv(photos: RawData, rows: list[list[object]]) -> None:
    workbook(photos, Sheet1=rows, Notes=[["remember", "this"]])
    assert tags_in(photos, tags="tags.xlsx") == {"a": ["cow", "dog"], "b": ["dog"], "c": ["cow"]}
    assert "tags.xlsx, sheet 'Sheet1': photo = " in photos.text


def test_init_finds_a_workbook_and_a_csv_counts_before_it(
    photos: RawData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from wsss.formats.guess import guess_dataset

    workbook(photos, Sheet1=[["filename", "tags"], ["a.jpg", "cow"]])
    assert guess_dataset(photos.root, None).tags == "tags.xlsx"
    photos.write("tags.csv", "filename,tags\na.jpg,cow\n")
    assert guess_dataset(photos.root, None).tags == "tags.csv"


def test_numbers_and_dates_are_what_a_spreadsheet_shows(photos: RawData) -> None:
    rows: list[list[object]] = [["filename", "tags"], ["a", 7.0], ["b", datetime.datetime(2024, 5, 1)], ["c", 1.5]]
    workbook(photos, Sheet1=rows)
    assert set(tags_in(photos, tags="tags.xlsx")["b"]) == {"2024-05-01"}


def test_two_sheets_that_may_hold_the_tags(photos: RawData) -> None:
    table = [["filename", "tags"], ["a.jpg", "cow"]]
    workbook(photos, May=table, June=table, Empty=[])
    photos.fails(
        "tags.xlsx: 2 sheets may hold the tags: 'May' and 'June'",
        fix="delete the others",
        settings={"tags": "tags.xlsx"},
    )


def test_faults_in_a_workbook_name_its_rows(photos: RawData) -> None:
    workbook(photos, S=[[], ["filename", "cow"], ["a.jpg", 1], ["b.jpg", "maybe"], ["c.jpg", 0]])
    photos.fails("tags.xlsx:4: column 'cow': found 'maybe'", fix="edit line 4", settings={"tags": "tags.xlsx"})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"filename,tags\na.jpg,cow\n"])
def test_workbook_that_is_none(photos: RawData, content: bytes) -> None:
    photos.write("tags.xlsx", content)
    photos.fails("tags.xlsx: not a workbook, or damaged", fix="save it again", settings={"tags": "tags.xlsx"})


def test_bomb_in_a_workbook(photos: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(photos, S=[["filename", "tags"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", bytes(1_000_000))
    monkeypatch.setattr("wsss.formats.sheets.MAX_TEXT", 900_000)
    photos.fails("holds more than a table of tags can", fix="save the table alone", settings={"tags": "tags.xlsx"})


def test_workbook_without_the_package(photos: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    workbook(photos, S=[["filename", "tags"], ["a.jpg", "cow"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert photos.index({"tags": "tags.xlsx"}) is None
    assert photos.exit_code == 3
    assert "tags.xlsx: reading a workbook needs the package openpyxl, which is not installed" in photos.text
    assert "fix: pip install 'wsss[xlsx]'" in photos.text


# A folder for each class


def test_folder_for_each_class(raw_data: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train/cow/1.jpg", "train/cow/old/2.jpg", "train/dog/1.JPG", "val/dog/2.jpg", "val/background/3.jpg"):
        raw_data.photo(name)
    monkeypatch.chdir(raw_data.root.parent)
    result = CliRunner().invoke(cli.main, ["init", str(raw_data.root), "--json"])
    assert result.exit_code == 0, result.stderr
    assert '"tags": "folders"' in result.stdout
    index = raw_data.index({"tags": "folders", "allow_untagged": True})
    assert index is not None, raw_data.text
    assert index.classes == ("background", "cow", "dog")
    assert {record.id: (record.split, record.tags) for record in index.records} == {
        "train/cow/1": ("train", (1,)),
        "train/cow/old/2": ("train", (1,)),
        "train/dog/1": ("train", (2,)),
        "val/dog/2": ("val", (2,)),
        "val/background/3": ("val", ()),
    }
    _, warnings, reading = found(raw_data, tags="folders")
    assert "tags: each photo has the name of its folder: cow, dog" in reading
    assert "tags are the names of the photos' folders: cow, dog" in warnings


@pytest.mark.parametrize(
    "names", [("a/1.jpg", "a/2.jpg"), ("a/1.jpg", "b/1.jpg", "2.jpg"), ("train/1.jpg", "val/2.jpg")]
)
def test_folders_that_are_no_classes(raw_data: RawData, names: tuple[str, ...]) -> None:
    for name in names:
        raw_data.photo(name)
    result = CliRunner().invoke(cli.main, ["init", str(raw_data.root)])
    assert result.exit_code == 2
    assert "no table of tags" in result.stderr
    assert "no folder for each class" in result.stderr


# Slips, and one error for each cause


def test_capital_letters_make_no_other_class(photos: RawData) -> None:
    photos.write("tags.csv", "filename,tags\na,bag\na,hat|Hat\nb,Bag\nc,bag\nc,HAT\nc,cap|zzz\nd,cap\n")
    errors, _, reading = found(photos)
    assert len(errors) == 1
    assert "no photo 'd'" in errors[0]
    told = "read 'Hat' (1 row) as 'hat' (1), 'Bag' (1 row) as 'bag' (2), 'HAT' (1 row) as 'hat' (1)"
    assert f"capital letters make no other class: {told}" in "\n".join(reading)
    photos.write("tags.csv", "filename,tags\na,Bag\nb,Bag\nc,bag|ant\n")
    assert "read 'bag' (1 row) as 'Bag' (2)" in "\n".join(found(photos)[2])
    survey, _ = examine(DatasetSettings(root=str(photos.root), format="folder"), 0)
    assert survey.index.classes == ("background", "ant", "Bag")  # a capital renumbers no mask
    photos.write("tags.csv", "filename,tags\na,bag\na,hat|Hat\nb,Bag\nc,bag\nc,HAT\nc,cap|zzz\nd,cap\n")
    photos.write("classes.txt", "BAG\nhat\ncap\nzzz\n")
    listed = found(photos, classes="classes.txt")
    assert "read 'bag' (2 rows) as 'BAG' (0), " in "\n".join(listed[2])
    assert len(listed[0]) == 1


@pytest.mark.parametrize(
    ("word", "meant", "slip"),
    [
        ("cta", "cat", True),
        ("brid", "bird", True),
        ("bord", "bird", True),
        ("cats", "cat", True),
        ("shp", "ship", True),
        ("cat", "car", False),  # both are words
        ("bat", "cat", False),
        ("boat", "goat", False),
        ("cat", "cat", False),
        ("sheep", "ship", False),
        ("it", "cat", False),
    ],
)
def test_slip(word: str, meant: str, slip: bool) -> None:
    assert is_slip(word, meant) is slip
    assert is_slip(meant, word) is slip


@pytest.mark.parametrize(("rare", "common"), [("cta", "cat"), ("brid", "bird")])
def test_rare_tag_beside_a_common_one_is_asked_about(raw_data: RawData, rare: str, common: str) -> None:
    for number in range(7):
        raw_data.photo(f"{number}.jpg")
    rows = [f"{number},{rare if number == 3 else common}" for number in range(7)]
    raw_data.write("tags.csv", "\n".join(["filename,tags", *rows]))
    _, warnings, _ = found(raw_data)
    assert f"rare classes whose names resemble frequent ones: {rare} (1, 3) = {common} (6)?" in warnings


def test_unknown_class_is_one_error_however_many_rows_have_it(raw_data: RawData) -> None:
    for number in range(9):
        raw_data.photo(f"{number}.jpg")
    rows = [f"{number},cow|{'shep' if number < 8 else 'dgo'}" for number in range(9)]
    raw_data.write("tags.csv", "\n".join(["filename,tags", *rows]))
    raw_data.write("classes.txt", "cow\nsheep\ndog\n")
    errors, _, _ = found(raw_data, classes="classes.txt")
    first, second = errors
    assert (
        "tags.csv:2: unknown class 'shep' (did you mean 'sheep'?) in 8 rows (lines 2, 3, 4, 5, 6 and 3 more)" in first
    )
    assert first.endswith("fix: edit these lines; or add the class to classes.txt")
    assert "tags.csv:10: unknown class 'dgo' (did you mean 'dog'?)\nfix: edit line 10" in second


def test_rows_of_another_length_are_one_error(photos: RawData) -> None:
    photos.write("tags.csv", "filename,tags\na,cow,dog\nb,dog\nc,cow,dog,cat\n")
    errors, _, _ = found(photos)
    assert [error.partition("tags.csv")[2] for error in errors] == [
        ":2: found 3 cells, expected 2; so in 2 rows: line 2 (3), line 4 (4)\n"
        'fix: edit these lines: put several tags in one cell as "cow|grass"'
    ]


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nfilename;cow;dog\na.jpg;1;1\nb.jpg;0;1\nc.jpg;1;0\n",
        "filename;cow;dog\na.jpg;1,0;1,0\nb.jpg;0,0;1,0\nc.jpg;1,0;0,0\n",
        "Datei;cow;dog\na.jpg;ja;ja\nb.jpg;nein;ja\nc.jpg;ja;nein\n",
        "filename;cow;dog\na.jpg;WAHR;WAHR\nb.jpg;FALSCH;WAHR\nc.jpg;WAHR;FALSCH\n",
        "fichier,cow,dog\na.jpg,oui,oui\nb.jpg,non,oui\nc.jpg,oui,non\n",
        "Bild;Schlagwörter\na.jpg;cow,dog\nb.jpg;dog\nc.jpg;cow\n",
        "filename,cow,dog\na.jpg,x,X\nb.jpg,,x\nc.jpg,x,\n",
        "filename,tag1,tag2\na.jpg,cow,dog\nb.jpg,dog,\nc.jpg,,cow\n",
        "filename;tags\nA.jpg;cow,dog\nb.jpg;dog\nc.JPG;cow\n".replace("A", "a"),
    ],
)
def test_tables_as_people_have_them(photos: RawData, text: str) -> None:
    photos.write("tags.csv", text)
    assert tags_in(photos) == {"a": ["cow", "dog"], "b": ["dog"], "c": ["cow"]}
