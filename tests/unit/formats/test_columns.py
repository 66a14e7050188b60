"""Columns that a person names, where a table has several that may have the role."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.formats.columns import Columns, Headings, find_columns
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings


def find(table: str, **named: str) -> Columns:
    header, *rows = ([cell.strip() for cell in line.split(",")] for line in table.splitlines())
    return find_columns(header, rows, Path("tags.csv"), Headings(**named))


@pytest.mark.parametrize(
    ("table", "named", "reading"),
    [
        (
            "photo,label,category\na,cow,big",
            {"tags": "label"},
            "photo = photo; tags = label; no split; not read: category",
        ),
        ("photo,tags,tag1\na,cow,dog", {"tags": "tag1"}, "photo = photo; tags = tag1; no split; not read: tags"),
        (
            "photo,animal,place\na,x,y\nb,y,z",
            {"tags": "place"},
            "photo = photo; tags = place; no split; not read: animal",
        ),
        (
            "id,file,cow,dog\n3,a,1,0",
            {"photo": "file"},
            "photo = file; a class each = cow, dog; no split; not read: id",
        ),
        ("id,what,cow\n3,a.jpg,1", {"photo": "id"}, "photo = id; a class each = cow; no split; not read: what"),
        ("id,what,tags\n3,a.jpg,x", {"photo": " what"}, "photo = what; tags = tags; no split; not read: id"),
        ("file,picture,tv\na,1,0", {"photo": "file"}, "photo = file; a class each = picture, tv; no split"),
        ("file,name\na,cow", {"tags": "name"}, "photo = file; tags = name; no split"),
        ("Motiv,name\na,cow", {"photo": "Motiv", "tags": "name"}, "photo = Motiv; tags = name; no split"),
        ("photo,cow,kind\na,1,x", {"tags": "kind"}, "photo = photo; tags = kind; no split; not read: cow"),
        ("photo,Stu\u0308ck\na,x", {"tags": "St\u00fcck"}, "photo = photo; tags = St\u00fcck; no split"),
    ],
)
def test_the_named_column_is_taken(table: str, named: dict[str, str], reading: str) -> None:
    assert find(unicodedata.normalize("NFC", table), **named).reading() == reading


@pytest.mark.parametrize(
    ("named", "what", "fix"),
    [
        (
            {"tags": "labl"},
            "no column 'labl' (did you mean 'label'?); there are 'photo', 'label', 'kind'",
            "set dataset.tag_column to the heading of the right one (wsss init: --tag-column NAME)",
        ),
        (
            {"photo": "zzz"},
            "no column 'zzz'; there are 'photo', 'label', 'kind'",
            "set dataset.photo_column to the heading of the right one (wsss init: --photo-column NAME)",
        ),
        (
            {"photo": "label", "tags": "label"},
            "column 'label' cannot hold both, the names of photos and the tags",
            "correct dataset.photo_column or dataset.tag_column",
        ),
    ],
)
def test_a_column_that_is_not_there(named: dict[str, str], what: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        find("photo,label,kind\na,cow,big", **named)
    assert (caught.value.where, caught.value.what, caught.value.fix) == ("tags.csv:1", what, fix)


def test_where_no_settings_can_name_a_column_the_table_has_to_be_changed() -> None:
    with pytest.raises(UserError) as caught:
        find_columns(["photo", "label", "kind", "class"], [["a", "cow", "x", "y"]], Path("tags.csv"))
    assert caught.value.fix.startswith("delete the one that does not")


def test_columns_of_no_table_are_an_error(raw_data: RawData) -> None:
    raw_data.photo("cow/a.jpg")
    raw_data.photo("dog/a.jpg")
    for named, key in (({"photo_column": "x"}, "photo_column"), ({"tag_column": "x"}, "tag_column")):
        with pytest.raises(UserError) as caught:
            scan(DatasetSettings(root=str(raw_data.root), format="folder", tags="folders", **named))
        assert str(caught.value) == (
            f"error: dataset.{key}: found 'x': the tags are in no table (folders)\nfix: set dataset.{key}: \"\""
        )


def test_a_voc_folder_reads_the_named_columns(raw_data: RawData) -> None:
    raw_data.photo("JPEGImages/a.jpg")
    raw_data.write("ImageSets/Segmentation/train.txt", "a\n")
    raw_data.write("tags.csv", "id,label,class\na,cow,sheep\n")
    given = {"root": str(raw_data.root), "format": "voc", "tags": "tags.csv"}
    with pytest.raises(UserError, match="2 columns may hold the tags"):
        scan(DatasetSettings(**given))
    assert scan(DatasetSettings(**given, tag_column="class")).items[0].tags == ("sheep",)
