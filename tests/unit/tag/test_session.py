"""The state of `wsss tag`: every step on the disk, in a table that `wsss init` reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.formats.guess import guess_dataset
from wsss.formats.registry import scan
from wsss.tag.session import Change, Session, parse_changes


@pytest.fixture
def folder(raw_data: RawData) -> Path:
    for name in ("a.jpg", "b/c.png", "d.jpg"):
        raw_data.photo(name)
    return raw_data.root


def begun(folder: Path, *classes: str) -> Session:
    session = Session(folder)
    for name in classes:
        session.add_class(name)
    return session


def set_(session: Session, name: str | None, *photos: int, on: bool = True) -> list[int]:
    return session.apply([Change(photos, name, on)])


def table(folder: Path) -> str:
    return (folder / "tags.csv").read_text(encoding="utf-8")


def read_by_init(folder: Path) -> dict[str, tuple[str, ...]]:
    raw = scan(guess_dataset(folder, None))
    assert not raw.problems
    return {item.id: item.tags for item in raw.items}


def test_every_step_is_in_the_table_that_init_reads(folder: Path) -> None:
    session = begun(folder, "cow", "sheep")
    assert not (folder / "tags.csv").exists()
    set_(session, "cow", 0, 1)
    set_(session, "sheep", 1)
    set_(session, None, 2)
    assert table(folder) == "filename,tags\na.jpg,cow\nb/c.png,cow|sheep\nd.jpg,\n"
    assert session.counts() == (3, {"cow": 2, "sheep": 1})
    assert read_by_init(folder) == {"a": ("cow",), "b/c": ("cow", "sheep"), "d": ()}


def test_the_last_class_taken_away_leaves_a_photo_untagged_and_an_off_changes_nothing(folder: Path) -> None:
    session = begun(folder, "cow")
    set_(session, "cow", 0)
    set_(session, "cow", 0, on=False)
    assert session.tags() == [None, None, None]
    assert table(folder) == "filename,tags\n"
    set_(session, None, 1)
    set_(session, "cow", 1, 2, on=False)
    assert session.tags() == [None, (), None]
    set_(session, None, 1, on=False)
    assert session.tags() == [None, None, None]


def test_undo_takes_back_steps_as_they_were_made(folder: Path) -> None:
    session = begun(folder, "cow", "sheep")
    set_(session, "cow", 0)
    session.apply([Change((0, 1), "sheep", True), Change((2,), None, True)])
    assert set_(session, "cow", 0) == []  # it was there already: no step
    assert session.undoable == 2
    assert session.undo() == [0, 1, 2]
    assert session.tags() == [("cow",), None, None]
    assert session.undo() == [0]
    assert session.undo() == []
    assert table(folder) == "filename,tags\n"


def test_a_second_session_goes_on_with_the_same_classes_in_the_same_order(folder: Path) -> None:
    session = begun(folder, "sheep", "cow", "never used")
    set_(session, "cow", 1)
    again = Session(folder)
    assert again.classes.names == ["sheep", "cow", "never used"]
    assert again.tags() == [None, ("cow",), None]
    set_(again, "sheep", 0)
    assert table(folder) == "filename,tags\nb/c.png,cow\na.jpg,sheep\n"


def test_columns_rows_and_cells_of_others_stay(folder: Path) -> None:
    text = 'filename,split,tags,note\na,train,cow;sheep,"x, y"\ngone.jpg,val,cow,\nb/c.png,val,cow,\n'
    (folder / "tags.csv").write_text(text, encoding="utf-8")
    session = begun(folder, "dog")
    assert session.classes.names == ["cow", "sheep", "dog"]
    set_(session, "dog", 2)
    set_(session, "cow", 1, on=False)  # the row has a split: it stays, of no class
    assert table(folder) == text.replace("b/c.png,val,cow,", "b/c.png,val,,") + "d.jpg,,dog,\n"


@pytest.mark.parametrize("header", ["photo,tags", "Image Name,labels", "bild,schlagworte"])
def test_headings_are_those_that_init_reads(folder: Path, header: str) -> None:
    (folder / "tags.csv").write_text(f"{header}\na.jpg,cow\n", encoding="utf-8")
    session = begun(folder, "dog")
    assert session.tags() == [("cow",), None, None]
    set_(session, "dog", 2)
    assert table(folder) == f"{header}\na.jpg,cow\nd.jpg,dog\n"
    set_(session, None, 1)
    assert read_by_init(folder) == {"a": ("cow",), "b/c": (), "d": ("dog",)}


DIALECTS = {
    "semicolon": b"\xef\xbb\xbfphoto;animal\r\na.jpg;cow, sheep\r\nb/c.png;K\xc3\xbche\r\n",
    "excel": b'sep=;\r\nfilename;note;tags\r\na.jpg;1,5;cow|sheep\r\nb/c.png;"2;5";K\xc3\xbche\r\n',
    "tab": "\nFile Name \t tags\na\tcow|sheep\nb/c\tKühe\n".encode(),
    "latin-1": "filename,tags,\na.jpg,cow|sheep,\nb/c.png,Kühe,,\n".encode("latin-1"),
    "utf-16": "filename;tags\r\na.jpg;cow|sheep\r\nb/c.png;Kühe\r\n".encode("utf-16"),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_table_is_continued_as_it_is_written(folder: Path, name: str) -> None:
    data = DIALECTS[name]
    (folder / "tags.csv").write_bytes(data)
    before = read_by_init(folder)
    session = begun(folder, "dog")
    assert session.tags() == [("cow", "sheep"), ("Kühe",), None]
    set_(session, "dog", 2)
    text, new = (each.decode("utf-16" if name == "utf-16" else "latin-1") for each in (data, table_bytes(folder)))
    added = {"excel": "d.jpg;;dog\r\n", "tab": "d.jpg\tdog\n", "latin-1": "d.jpg,dog,\n"}
    assert new == text.lstrip("\n").replace(",,\n", ",\n") + added.get(name, "d.jpg;dog\r\n")
    assert read_by_init(folder) == before | {"d": ("dog",)}
    set_(session, "dog", 2, on=False)
    assert Session(folder).tags() == [("cow", "sheep"), ("Kühe",), None]


def table_bytes(folder: Path) -> bytes:
    return (folder / "tags.csv").read_bytes()


def test_a_class_that_the_table_s_encoding_lacks_is_no_step(folder: Path) -> None:
    data = "filename,tags\na.jpg,Kühe\n".encode("latin-1")
    (folder / "tags.csv").write_bytes(data)
    session = begun(folder, "犬")
    with pytest.raises(UserError, match="is in latin-1, which has no '犬'"):
        set_(session, "犬", 1)
    assert table_bytes(folder) == data
    assert session.tags() == [("Kühe",), None, None]


def test_a_workbook_is_not_left_aside_in_silence(folder: Path) -> None:
    (folder / "tags.xlsx").write_bytes(b"")
    with pytest.raises(UserError, match=r"tags\.xlsx: not a workbook, or damaged"):
        Session(folder)
    assert Session(folder, folder / "mine.csv").path.name == "mine.csv"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("id,cow,sheep\na,1,perhaps\n", "expected 1 or 0"),
        ("photo,tags,split\na,cow,train\na,sheep,val\n", "is in two splits"),
        ("photo,label,tags\na,cow,cow\n", "2 columns may hold the tags"),
        ("filename,tags\na.jpg,cow,sheep\n", "3 cells"),
        ('filename,tags\na.jpg,"cow\n', "not a CSV"),
        (b"filename,tags\0", "not a text file"),
        ("filename,tags\na.jpg,c\u200bw\n", r"tags\.csv: class name .* holds"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_and_stay(folder: Path, text: str | bytes, what: str) -> None:
    data = text.encode() if isinstance(text, str) else text
    (folder / "tags.csv").write_bytes(data)
    with pytest.raises(UserError, match=what):
        Session(folder)
    assert (folder / "tags.csv").read_bytes() == data
    assert not (folder / "tags-tagged.csv").exists()


def test_a_table_that_changed_meanwhile_is_not_written_over(folder: Path) -> None:
    session = begun(folder, "cow")
    set_(session, "cow", 0)
    (folder / "tags.csv").write_text("filename,tags\na.jpg,cow\nd.jpg,cow\n", encoding="utf-8")
    with pytest.raises(UserError, match="changed by another program"):
        set_(session, "cow", 1)
    assert session.tags() == [("cow",), None, None]
    assert table(folder).endswith("d.jpg,cow\n")
    assert session.undoable == 1


def test_a_step_that_cannot_be_written_is_no_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begun(folder, "cow")
    set_(session, "cow", 0)
    before = table(folder)

    def full(*ignored: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("wsss.tag.table.write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            set_(session, "cow", 0, on=False)
        with pytest.raises(OSError, match="No space"):
            session.undo()
    assert session.tags()[0] == ("cow",)
    assert table(folder) == before
    set_(session, "cow", 1)
    assert table(folder) == "filename,tags\na.jpg,cow\nb/c.png,cow\n"


def test_names_that_a_table_cannot_hold_plainly_come_back(raw_data: RawData) -> None:
    names = ["=1+1.jpg", "-x.jpg", "@a,b.jpg", 'say "hi".jpg', "<b>&.jpg", "ü .jpg", "a;b|c.jpg"]
    for name in names:
        raw_data.photo(name)
    (raw_data.root / "classes.txt").write_text("lamp, red\na;b\n", encoding="utf-8")
    session = Session(raw_data.root)
    set_(session, "lamp, red", *range(len(names)))
    set_(session, "a;b", 0)
    lines = table(raw_data.root).splitlines()
    assert not any(line.lstrip('"').startswith(("=", "+", "-", "@")) for line in lines)
    again = Session(raw_data.root)
    assert again.tags() == session.tags()
    assert sorted(read_by_init(raw_data.root).values()) == [("lamp, red",)] * 6 + [("lamp, red", "a;b")]


@pytest.mark.parametrize("name", ["", "  ", "a|b", "background", "COW", "x" * 101, "none", "=1", "@x", "['a'", "a\x07"])
def test_names_that_are_no_class_are_refused(folder: Path, name: str) -> None:
    session = begun(folder, "cow")
    with pytest.raises(UserError):
        session.add_class(name)
    assert (folder / "classes.txt").read_text(encoding="utf-8") == "cow\n"
    assert session.classes.names == ["cow"]


def test_a_list_of_classes_is_continued_and_not_rewritten(folder: Path) -> None:
    path = folder / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbfbackground\r\ncow\r\nsheep")
    session = begun(folder, "dog")
    assert session.classes.names == ["cow", "sheep", "dog"]
    assert path.read_bytes() == b"\xef\xbb\xbfbackground\r\ncow\r\nsheep\ndog\n"
    path.write_bytes("Kühe\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        Session(folder).add_class("dog")


def test_tags_that_the_list_does_not_have_are_an_error(folder: Path) -> None:
    (folder / "classes.txt").write_text("bottle\n", encoding="utf-8")
    (folder / "tags.csv").write_text("filename,tags\nd.jpg,botle\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"d\.jpg: unknown class 'botle' \(did you mean 'bottle'"):
        Session(folder)


@pytest.mark.parametrize(("listed", "name", "other"), [("", "bird", "Bird"), ("Bird\n", "Bird", "bird")])
def test_capital_letters_make_no_other_class(
    folder: Path, capsys: pytest.CaptureFixture[str], listed: str, name: str, other: str
) -> None:
    """As `wsss init` reads them; the rows of photos that nobody touches stay as they are."""
    (folder / "tags.csv").write_text("filename,tags\na.jpg,Bird\nb/c.png,bird|tree\nd.jpg,Bird|bird\n")
    if listed:
        (folder / "classes.txt").write_text(f"{listed}tree\n")
    session = Session(folder)
    told = capsys.readouterr().err
    assert f"tags: tags.csv\ncapital letters make no other class: read '{other}'" in told
    assert session.tags() == [(name,), (name, "tree"), (name,)]
    set_(session, "tree", 2)
    assert table(folder) == f"filename,tags\na.jpg,Bird\nb/c.png,bird|tree\nd.jpg,{name}|tree\n"
    assert session.counts() == (3, {name: 3, "tree": 2})
    assert read_by_init(folder) == {"a": (name,), "b/c": (name, "tree"), "d": (name, "tree")}


def test_photos_with_one_id_and_masks_are_left_out(raw_data: RawData, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "masks/b.png"):
        raw_data.photo(name)
    assert [photo.image for photo in Session(raw_data.root).photos] == ["b.jpg"]
    assert "duplicate id 'a'" in capsys.readouterr().err


def test_unknown_classes_and_photos_change_nothing(folder: Path) -> None:
    session = begun(folder, "cow")
    for change in (Change((0,), "cwo", True), Change((3,), "cow", True), Change((-1,), "cow", True)):
        with pytest.raises(UserError):
            session.apply([Change((0,), "cow", True), change])
    assert session.tags() == [None, None, None]
    assert not (folder / "tags.csv").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [1],
        [{"photos": [0], "class": "cow"}],
        [{"photos": [True], "class": "cow", "on": True}],
        [{"photos": "0", "class": "cow", "on": True}],
        [{"photos": [0], "class": 1, "on": True}],
        [{"photos": [0], "class": "cow", "on": "no"}],
    ],
)
def test_what_is_no_change_is_refused(wrong: object) -> None:
    with pytest.raises(UserError, match="no list of changes"):
        parse_changes(wrong)


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no photo found"):
        Session(tmp_path)
