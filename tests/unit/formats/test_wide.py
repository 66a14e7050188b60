"""Tables with one column per class, as people keep them: counts, and columns of other things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.formats.cells import answers, is_answer, is_yes
from wsss.formats.columns import Columns, Headings, find_columns
from wsss.formats.raw import RawDataset
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings

FIELD = """Photo;Date;Observer;Cow;Sheep;Car;Remarks
a.png;05.06.2023;MB;1;;;
b.png;13.06.2023;AK;;2;;sunny; wind
c.png;21.06.2023;AK;12;;x;
d.png;24.06.2023;MB;;;x;blurred
""".replace("sunny; wind", '"sunny; wind"')
"""As an observer keeps it: counts, crosses, and columns of other things."""


def find(table: str, known: tuple[str, ...] = (), dropped: tuple[str, ...] = (), **named: str) -> Columns:
    header, *rows = ([cell.strip() for cell in line.split(",")] for line in table.splitlines())
    return find_columns(header, rows, Path("tags.csv"), Headings(**named), known, dropped)


def read(data: RawData, table: str, **settings: Any) -> RawDataset:
    for name in "abcd":
        data.photo(f"{name}.png")
    data.write("tags.csv", table)
    return scan(DatasetSettings(root=str(data.root), format="folder", **settings))


def tags(raw: RawDataset) -> dict[str, tuple[str, ...]]:
    return {item.id: item.tags for item in raw.items}


@pytest.mark.parametrize("cell", ["1", "2", " 12 ", "3.0", "4,0", "x", "Yes", "007"])
def test_a_count_from_one_on_is_a_yes(cell: str) -> None:
    assert is_yes(cell)
    assert is_answer(cell)


@pytest.mark.parametrize("cell", ["0", "", "00", "0.0", "no"])
def test_nothing_and_none_are_a_no(cell: str) -> None:
    assert is_answer(cell)
    assert not is_yes(cell)


@pytest.mark.parametrize("cell", ["1.5", "-1", "~10", "05.06.2023", "20230605", "two", "²"])
def test_what_is_neither(cell: str) -> None:
    assert not is_answer(cell)
    assert not is_yes(cell)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("1,,2,", True),
        ("1,2,1", True),  # in every photo, as a class may be in a few
        ("2021,2022,2021", False),
        ("1,2,3,4", False),  # numbers of rows, of plots
        ("1,,,two", True),  # the second is an error
        ("1,0,?,?,-1", True),  # doubts are errors
        ("perhaps", True),
        ("MB,AK,MB,1", False),
        (",,", True),
        ("17.5,18,,19.25", False),
    ],
)
def test_which_columns_say_yes_or_no(cells: str, expected: bool) -> None:
    assert answers(cells.split(",")) is expected


def test_a_table_of_the_field_is_read_with_its_counts_and_without_other_columns(raw_data: RawData) -> None:
    raw = read(raw_data, FIELD)
    assert raw.problems == ()
    assert raw.classes[1:] == ("Car", "Cow", "Sheep")
    assert tags(raw) == {"a": ("Cow",), "b": ("Sheep",), "c": ("Cow", "Car"), "d": ("Car",)}
    line = "tags.csv: photo = Photo; a class each = Cow, Sheep, Car; no split; not read: Date, Observer, Remarks"
    assert raw.reading[1] == line
    (finding,) = raw.findings
    assert finding.what == "tags.csv: columns of words are not read, because other columns say yes or no: Observer"


def test_columns_that_are_no_classes_may_be_dropped(raw_data: RawData) -> None:
    raw = read(raw_data, FIELD, drop=("Date", "Observer", "Remarks", "Car"))
    assert (raw.problems, raw.findings) == ((), ())
    assert raw.classes[1:] == ("Cow", "Sheep")
    assert raw.numbering[1:] == ("Car", "Cow", "Sheep")
    assert raw.reading[-1].startswith("dropped (dataset.drop): Car; their tags are ignored")
    assert read(raw_data, FIELD, drop=("Date",)).numbering == ()
    with pytest.raises(UserError, match="unknown class 'Dat'"):
        read(raw_data, FIELD, drop=("Dat",))


def test_a_few_cells_that_say_neither_are_an_error_with_its_line(raw_data: RawData) -> None:
    (one,) = read(raw_data, FIELD.replace(";12;", ";many;").replace("MB;;;x", "MB;3;;x")).problems
    assert (Path(one.where).name, one.what) == ("tags.csv:4", "column 'Cow': found 'many', expected 1 or 0")
    (two,) = read(raw_data, "photo,Big cow,dog\na,1,1\nb,many,\nc,few,1\nd,2,\n").problems
    assert two.what == "column 'Big cow': found 'many', expected 1 or 0 (and something else in 1 more row)"
    assert two.fix == (
        "write 1, 0 or a count into these cells; or, if 'Big cow' is no class, leave it out "
        "(dataset.drop; wsss init: --drop 'Big cow')"
    )
    dropped = read(raw_data, "photo,Big cow,dog\na,1,1\nb,many,\nc,few,1\nd,2,\n", drop=("Big cow",))
    assert (dropped.problems, dropped.classes[1:]) == ((), ("dog",))


def test_a_listed_class_is_one_whatever_stands_in_its_column(raw_data: RawData) -> None:
    table = "photo,Cow,Dog,Plot\na,2,1,7\nb,3,,8\nc,4,,9\nd,2,1,9\n"
    assert read(raw_data, table).classes[1:] == ("Dog",)
    raw_data.write("classes.txt", "Dog\nCow\n")
    raw = read(raw_data, table, classes="classes.txt")
    assert tags(raw)["b"] == ("Cow",)
    assert [each.what.rpartition(": ")[2] for each in raw.findings] == ["Plot"]


@pytest.mark.parametrize(
    "table",
    [
        "photo,Species,Count\na,Cow,1\nb,Sheep,1\nc,Cow,2\nd,Cow,1\n",  # which names, and how many
        "photo,Species,Blurred,Night\na,Cow,1,0\nb,Sheep,0,1\nc,Cow,0,1\nd,Cow,1,0\n",
        "photo,Observer,Cow\na,MB,1\nb,AK,\nc,AK,1\nd,MB,\n",
    ],
)
def test_words_that_may_be_the_tags_are_an_error(raw_data: RawData, table: str) -> None:
    (problem,) = read(raw_data, table).problems
    assert problem.fix.startswith("set dataset.tag_column to the column of tags; or, if ")
    heading = table.split(",")[1]
    assert read(raw_data, table, drop=(heading,)).problems == ()
    assert read(raw_data, table, tag_column=heading).problems == ()


def test_words_beside_counts_of_every_photo_are_the_tags() -> None:
    found = find("photo,Species,Count\na,Cow,2\nb,Sheep,5\nc,Cow,1")
    assert found.reading() == "photo = photo; tags = Species; no split; not read: Count"


@pytest.mark.parametrize(
    ("table", "read"),
    [
        ("photo,Species 1,Species 2\na,Cow,Car\nb,Tree,Cow\nc,Cow,", "Species 1, Species 2; no split"),
        ("photo,Art_1,Art_2,Art_3\na,Cow,Car,\nb,Tree,,\nc,Cow,Car,", "Art_1, Art_2, Art_3; no split"),
        ("photo,on,kind1,kind2\na,5.6.,Cow,Car\nb,6.6.,Ox,", "kind1, kind2; no split; not read: on"),
    ],
)
def test_numbered_columns_of_words_are_read_together(table: str, read: str) -> None:
    assert find(table).reading() == f"photo = photo; tags = {read}"


def test_a_number_at_the_end_of_a_single_heading_means_nothing() -> None:
    with pytest.raises(UserError, match="'Area 51' and 'Who'"):
        find("photo,Area 51,Who\na,Cow,MB\nb,Ox,AK")


def test_other_signs_for_yes_are_not_passed_over_in_silence(raw_data: RawData) -> None:
    raw = read(raw_data, "photo,Cow,Sheep,Goat\na,1,,+\nb,,1,++\nc,1,1,\nd,1,,+\n")
    (finding,) = raw.findings
    assert finding.what == "tags.csv: columns that are not read, though some of their cells may mean yes: Goat"


def test_where_no_column_says_yes_or_no_nobody_has_a_tag(raw_data: RawData) -> None:
    raw = read(raw_data, "photo,year\na,2021\nb,2022\nc,2021\nd,2023\n")
    (problem,) = raw.problems
    assert problem.what == "column 'year': found '2021', expected 1 or 0 (and something else in 3 more rows)"
    assert not any(tags(raw).values())


def test_numbered_columns_are_named_by_what_their_headings_have_in_common() -> None:
    table = "photo,Species 1,Species 2,Who\na,Cow,Car,MB\nb,Tree,Ox,AK"
    with pytest.raises(UserError) as caught:
        find(table)
    assert caught.value.what == "2 columns of words may hold the tags: 'Species' and 'Who'"
    assert find(table, tags="Species").tags == (1, 2)
    assert find(table, tags="Species 1").tags == (1,)
    assert find(table, dropped=("Who",)).tags == (1, 2)
