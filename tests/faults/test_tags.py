"""Faults 13–15, 17–20 and 26: tag files, class lists and ids."""

from __future__ import annotations

import os
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import RawData
from wsss.data.ids import clean_id
from wsss.formats.problems import HINTS
from wsss.formats.tagfile import TagRow, TagTable, unknown_tags


@pytest.fixture
def data(raw_data: RawData) -> RawData:
    """Three photos and a list of classes; no tag file yet."""
    for name in "abc":
        raw_data.photo(f"images/{name}.jpg")
    raw_data.write("classes.txt", "background\nbottle\ncow\nsheep\n")
    return raw_data


CLASSES = {"classes": "classes.txt"}


def tags_of(data: RawData, content: str | bytes, **settings: object) -> dict[str, str]:
    """Tags by the base name of the photo, as the index holds them."""
    data.write("tags.csv", content)
    index = data.index({**CLASSES, **settings})
    assert index is not None, data.text
    return {r.id.split("/")[-1]: "|".join(index.classes[t] for t in r.tags) for r in index.records}


def test_fault_13_tag_row_without_photo(data: RawData) -> None:
    data.write("tags.csv", "filename,tags\na,cow\nb,cow\nc,cow\nd.jpg,cow\n")
    data.fails("tags.csv:5: no photo 'd.jpg' below ", fix="add the photo, or delete line 5", settings=CLASSES)


@pytest.mark.parametrize("name", ["C.jpg", "images/C", "IMAGES/c.JPG"])
def test_fault_13_name_in_other_letters(data: RawData, name: str) -> None:
    data.write("tags.csv", f"filename,tags\na,cow\nb,cow\n{name},cow\n")
    what = f"tags.csv:4: no photo {name!r} below {data.root} (there is 'images/c.jpg')"
    data.fails(what, fix="edit line 4: capital and small letters are not the same", settings=CLASSES)


def test_fault_13_photo_without_tags(data: RawData) -> None:
    data.write("tags.csv", "filename,tags\na,cow\nb,\n")
    fix = (
        "tag them; or move what is no photo to train on, such as masks, out of the folder; or set "
        "dataset.allow_untagged: true to train on them as photos of no class"
    )
    data.fails("tags.csv: 2 photos have no tag (images/b.jpg, images/c.jpg)", fix=fix, settings=CLASSES)
    assert tags_of(data, "filename,tags\na,cow\nb,\n", allow_untagged=True) == {"a": "cow", "b": "", "c": ""}


def test_fault_13_every_wrong_row_is_named_at_once(data: RawData) -> None:
    data.write("tags.csv", "filename,tags\na,botle\nb,ship\nx,cow\nc,cow,cow\n")
    parts = [
        "tags.csv:2: unknown",
        "tags.csv:3: unknown",
        "tags.csv:4: no photo",
        "tags.csv:5: found 3 cells",
    ]
    data.fails(*parts, fix="edit line 2", settings=CLASSES)


def test_fault_13_a_flood_of_errors_is_cut(data: RawData) -> None:
    data.write("tags.csv", "filename,tags\na,cow\nb,cow\nc,cow\n" + "".join(f"x{i},cow\n" for i in range(250)))
    data.fails("tags.csv: 245 more errors like this one", fix="see all with: wsss check --json", settings=CLASSES)
    assert data.text.count("error: ") == 6


def test_fault_14_unknown_class(data: RawData) -> None:
    data.write("tags.csv", "filename,tags\na,cow\nb,botle\nc,cow\n")
    what = "tags.csv:3: unknown class 'botle' (did you mean 'bottle'?)"
    data.fails(what, fix="edit line 3", settings=CLASSES)


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        ("cow\n\nsheep", "class name '' among", "mend the class names in classes.txt"),
        ("cow\nbackground", "class name 'background' among", "mend the class names in classes.txt"),
        (
            "cow\nCow",
            "two classes have the same name ('cow' and 'Cow')",
            "mend the class names in classes.txt",
        ),
        ("cow|calf", "class name 'cow|calf' holds '|'", "mend the class names in classes.txt"),
        ("\n", "found 0 classes, expected 1 to 254", "mend the class names in classes.txt"),
        ("\n".join(f"c{i}" for i in range(255)), "found 255 classes", "mend the class names in classes.txt"),
    ],
)
def test_fault_14_class_list_that_is_none(data: RawData, content: str, what: str, fix: str) -> None:
    data.write("tags.csv", "filename,tags\na,cow\nb,cow\nc,cow\n")
    data.write("classes.txt", content)
    data.fails(f"classes.txt: {what}", fix=fix, settings=CLASSES)


def test_fault_15_two_files_of_one_id(data: RawData) -> None:
    data.photo("images/a.png")
    data.write("tags.csv", "filename,tags\na,cow\nb,cow\nc,cow\n")
    what = "duplicate id 'images/a' (images/a.jpg and images/a.png)"
    data.fails(what, fix="rename or delete one of the files", settings=CLASSES)


def test_fault_15_photo_listed_twice_in_a_wide_table(data: RawData) -> None:
    data.write("tags.csv", "filename,cow\na,1\nb,1\nc,1\na,0\n")
    data.fails("tags.csv:5: 'a' is listed twice (first in line 2)", fix="delete line 2 or 5", settings=CLASSES)


def test_fault_15_photo_in_two_splits(data: RawData) -> None:
    data.write("tags.csv", "filename,tags,split\na,cow,train\nb,cow,val\nc,cow,val\na,sheep,val\n")
    data.fails(
        "tags.csv:5: 'a' is in two splits (train and val",
        fix="keep each photo in one split",
        settings=CLASSES,
    )


def test_fault_15_base_name_of_two_photos(data: RawData) -> None:
    data.photo("more/a.jpg")
    data.write("tags.csv", "filename,tags\na,cow\nb,cow\nc,cow\nmore/a.jpg,cow\n")
    data.fails(
        "tags.csv:2: 'a' names 2 photos (images/a, more/a)",
        fix="edit line 2: write the path",
        settings=CLASSES,
    )


def test_fault_15_ids_that_differ_in_case(data: RawData) -> None:
    data.photo("images/A.jpg")
    assert tags_of(data, "filename,tags\na,cow\nb,cow\nc,cow\nA,sheep\n")["A"] == "sheep"
    assert "ids that differ only in case: images/A, images/a\nfix: rename them" in data.text


def test_fault_17_rare_class_and_class_in_every_photo(data: RawData) -> None:
    tags_of(data, "filename,tags\na,cow\nb,cow|sheep\nc,cow\n")
    assert "classes with fewer than 5 training photos: cow (3), sheep (1)" in data.text
    assert "classes without a training photo: bottle; a network cannot learn what it is never shown" in data.text
    assert "classes in every training photo: cow; tags cannot tell them from background" in data.text
    assert "fix: add training photos without them" in data.text


def test_fault_17_class_never_alone(data: RawData) -> None:
    names = [f"images/p{i}.jpg" for i in range(7)]
    rows = [f"{data.photo(name).name},{'cow' if i in (1, 2, 5, 6) else 'cow|sheep'}" for i, name in enumerate(names)]
    rows += [
        "a,bottle|sheep",
        "b,bottle|sheep",
        "c,bottle|sheep",
        *(f"{name},sheep|bottle" for name in names[1:3]),
    ]
    tags_of(data, "filename,tags\n" + "\n".join(rows))
    assert "classes that never appear alone in a training photo: bottle, sheep; " in data.text
    assert "fix: add photos that show them without other classes" in data.text
    assert "come together" not in data.text


def test_classes_that_come_together_are_told_before_any_training(data: RawData) -> None:
    names = [data.photo(f"images/p{i}.jpg").name for i in range(9)]
    tags = ["bottle|sheep"] * 6 + ["sheep", "cow", "cow|sheep"]
    rows = [f"{name},{tag}" for name, tag in zip(names, tags, strict=True)]
    tags_of(data, "filename,tags\n" + "\n".join([*rows, "a,cow", "b,cow", "c,cow"]))
    assert "classes that come together in nearly all of their training photos: bottle, sheep; " in data.text
    assert "fix: add training photos that show one of them without the others" in data.text


DIALECTS = "long bom-crlf semicolon tab quotes rows blanks wide wide-words extra-columns utf16".split()  # noqa: SIM905
PLAIN = {"a": "cow", "b": "bottle|sheep", "c": "cow|sheep"}


@pytest.mark.parametrize(
    "content",
    [
        "filename,tags\na.jpg,cow\nb.jpg,sheep|bottle\nc.jpg,cow|sheep\n",
        b"\xef\xbb\xbffilename,tags\r\na.jpg,cow\r\nb.jpg,bottle|sheep\r\nc.jpg,cow|sheep\r\n",
        "filename;tags\na;cow\nb;bottle,sheep\nc;sheep,cow\n",
        "filename\ttags\na\tcow\nb\tbottle;sheep\nc\tsheep, cow\n",
        'filename,tags\n"a","cow"\n"b","bottle, sheep"\n"c","cow;sheep"\n',
        "file,label\nimages/a.jpg,cow\nimages/b,sheep\nb,bottle\nc,cow\nc,sheep\nc,cow\n",
        "\n\nFileName , Tags \n ./images/a.JPG , cow\n\nimages\\b.jpg,bottle|sheep|background\nc,cow|sheep,,",
        "filename,cow,sheep,bottle\na,1,0,0\nb,0,1,1\nc,1,1,0\n",
        "filename;cow;sheep;bottle\na;True;False;\nb;FALSE;TRUE;yes\nc;x;1.0;no\n",
        ",filename,source,tags\n0,a,web,cow\n1,b,web,bottle|sheep\n2,c,web,cow|sheep\n",
        "filename,tags\na,cow\nb,sheep|bottle\nc,cow|sheep\n".encode("utf-16"),
    ],
    ids=DIALECTS,
)
def test_fault_18_csv_dialects(data: RawData, content: str | bytes) -> None:
    assert tags_of(data, content) == PLAIN


def test_fault_18_latin_1(data: RawData) -> None:
    data.photo("images/Kühe.jpg")
    data.write("classes.txt", "bottle\ncow\nsheep\nkälbchen")
    content = "filename,tags\na,cow\nb,cow\nc,cow\nKühe.jpg,kälbchen\n".encode("latin-1")
    assert tags_of(data, content)["Kühe"] == "kälbchen"


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        (
            "a.jpg,cow\n",
            "tags.csv:1: no column of file names (found 'a.jpg,cow'",
            "make the first line: filename,tags",
        ),
        (
            "",
            "tags.csv:1: no column of file names (found an empty file",
            "make the first line: filename,tags",
        ),
        ("filename\na.jpg\n", "tags.csv:1: no column of tags", "add a column named tags"),
        ("filename,cow,cow\n", "tags.csv:1: two columns are named 'cow'", "rename or delete one of them"),
        ('filename,tags\na,"cow\nb,cow\n', "not valid CSV (unexpected end of data)", "close the quotes"),
        (
            "filename,cow\na,maybe\n",
            "tags.csv:2: column 'cow': found 'maybe', expected 1 or 0",
            "edit line 2",
        ),
        (
            "filename,tags\na,cow,sheep\n",
            "tags.csv:2: found 3 cells, expected 2",
            "edit line 2: put several tags",
        ),
        ("filename,tags,split\na,cow,vall\n", "unknown split 'vall' (did you mean 'val'?)", "edit line 2"),
        (b"\0\1\2\3", "tags.csv: not a text file", "save it as CSV"),
    ],
)
def test_fault_18_no_table(data: RawData, content: str | bytes, what: str, fix: str) -> None:
    data.write("tags.csv", content)
    data.fails(what, fix=fix, settings=CLASSES)


def test_fault_18_misspelt_split_column_is_not_ignored_in_silence(data: RawData) -> None:
    tags_of(data, "filename,tags,splt\na,cow,1\nb,cow,2\nc,cow,1\n")
    assert "tags.csv:1: the column 'splt' is ignored (did you mean 'split'?)" in data.text
    data.write("tags.csv", "filename,tags,splt\na,cow,val\nb,cow,train\nc,cow,test\n")
    index = data.index(CLASSES)
    assert index is not None
    assert [record.split for record in index.records] == ["val", "train", "test"]  # its cells say what it is


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("../../x", "'../../x' leaves the data set's folder"),
        ("images/../../x.jpg", "leaves the data set's folder"),
        ("..\\x", "leaves the data set's folder"),
        ("/etc/x", "'/etc/x' is an absolute path"),
        ("C:\\x", "is an absolute path"),
        ("\\\\server\\x", "is an absolute path"),
        ("a\x07.jpg", "the name 'a\\x07.jpg' holds a control character"),
    ],
)
def test_fault_19_ids_that_leave_the_folder(data: RawData, name: str, what: str) -> None:
    data.write("tags.csv", f"filename,tags\na,cow\nb,cow\nc,cow\n{name},cow\n")
    data.fails("tags.csv:5: ", what, fix="", settings=CLASSES)


def test_fault_19_names_on_disk(data: RawData) -> None:
    (data.root / "images/a.jpg").rename(data.root / "images/a\n.jpg")
    Path(os.fsdecode(bytes(data.root) + b"/images/\xe9.jpg")).write_bytes(b"")
    data.write("tags.csv", "filename,tags\nb,cow\nc,cow\n")
    parts = [
        "'images/a\\n.jpg' holds a control character",
        "'images/\\udce9.jpg' holds bytes that are not UTF-8",
    ]
    data.fails(*parts, fix="rename the photo", settings=CLASSES)


@pytest.mark.parametrize("name", ["Café", "صورة", "👩🏽‍🌾🐄", "🐄" * 60, "a" * 250, "50% [x] #1 &amp;"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_fault_20_unicode_ids(data: RawData, name: str, form: str) -> None:
    data.photo(f"images/{unicodedata.normalize(form, name)}.png")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
    assert tags_of(data, f"filename,tags\na,cow\nb,cow\nc,cow\n{other}.png,sheep\n")[name] == "sheep"
    assert clean_id(f"images/{name}.png", "here") == f"images/{name}"


class Malicious:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def voc(data: RawData) -> dict[str, object]:
    data.photo("JPEGImages/a.jpg")
    data.write("ImageSets/Segmentation/train.txt", "a\n")
    return {"format": "voc", "tags": "cls_labels.npy", **CLASSES}


def test_fault_26_malicious_cls_labels(data: RawData, tmp_path: Path) -> None:
    settings = voc(data)
    np.save(data.root / "cls_labels.npy", {"a": Malicious(tmp_path / "trace")}, allow_pickle=True)
    data.fails(
        "cls_labels.npy: refused: not a plain dict of one-hot vectors (it asks for posix.mkdir)",
        fix="use the cls_labels.npy of a source you trust, or a CSV of tags",
        settings=settings,
    )
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00", b"no numpy", pickle.dumps({"a": 1}), b"\x93NUMPY\x01\x00\xff\xff{"]
)
def test_fault_26_cls_labels_that_are_none(data: RawData, content: bytes) -> None:
    settings = voc(data)
    data.write("cls_labels.npy", content)
    data.fails("cls_labels.npy: refused: ", fix="use the cls_labels.npy of a source", settings=settings)


@pytest.mark.parametrize("depth", [3, 40])
@pytest.mark.parametrize("place", ["id", "type", "vector"])
def test_fault_26_tuples_of_tuples(data: RawData, place: str, depth: int) -> None:
    """Forty of them, each holding the one before twice, take years to hash, to print or to make an array of."""
    nested: Any = ()
    for _ in range(depth):
        nested = (nested, nested)
    reference = pickle.dumps(nested, 2)[2:-1]
    array = b"cnumpy\ndtype\n" + reference + b"\x85R" if place == "type" else b"K\x01"
    item = {"id": reference + b"K\x01", "type": b"K\x01" + array, "vector": b"K\x01" + reference}[place]
    box = pickle.dumps(np.array(None, object), 2)
    head, tail = box[:-1].rsplit(b"N", 1)
    settings = voc(data)
    np.save(data.root / "cls_labels.npy", np.array(None, object), allow_pickle=True)
    header = (data.root / "cls_labels.npy").read_bytes().split(b"\n")[0] + b"\n"
    data.write("cls_labels.npy", header + head + b"}" + item + b"s" + tail + b".")
    data.fails("refused: not a plain dict of one-hot vectors", fix="use the cls_labels.npy", settings=settings)


def test_fault_26_memo_bomb(data: RawData) -> None:
    settings = voc(data)
    np.save(data.root / "cls_labels.npy", {"a": np.zeros(3)}, allow_pickle=True)
    whole = (data.root / "cls_labels.npy").read_bytes()
    header = whole[: whole.index(b"\n") + 1]
    data.write("cls_labels.npy", header + b"\x80\x04}r\xff\xff\xff\x7f.")
    data.fails("a memo number beyond the file's size", fix="use the cls_labels.npy", settings=settings)


def test_bounds_of_text_that_nobody_wrote(data: RawData) -> None:
    """An annotation of megabytes is none, and thousands of unknown tags are not compared with all classes."""
    settings = {"format": "voc", "tags": "xml", **CLASSES}
    data.photo("JPEGImages/a.jpg")
    data.write("ImageSets/Segmentation/train.txt", "a\n")
    name = "x" * 10_000
    annotation = "<annotation><object><name>{}</name></object></annotation>"
    data.write("Annotations/a.xml", annotation.format(name))
    data.fails(f"unknown class '{'x' * 100}…'", fix="edit line 1", settings=settings)
    assert name not in data.text
    data.write("Annotations/a.xml", annotation.format("x" * 4_000_000))
    data.fails("4.0 MB are too many (expected ≤ 4 MB)", fix="see whether it is the right file", settings=settings)


def test_hints_end_where_everything_is_unknown(data: RawData) -> None:
    classes = [f"class_{number:03}" for number in range(250)]
    data.write("classes.txt", "\n".join(classes))
    table = TagTable(Path("tags.csv"), tuple(TagRow("a", "", (f"clas_{n:03}",), n) for n in range(300)), (), "", (), ())
    found = unknown_tags(table, table.tags(), ("background", *classes), "classes.txt")
    assert [" (did you mean" in each.what for each in found] == [n < HINTS and n < 250 for n in range(300)]


@pytest.mark.parametrize("name", ["a.jpg", "masks/a.png", "tags.csv", "classes.txt"])
def test_named_pipes_are_not_waited_for(raw_data: RawData, name: str) -> None:
    """Whoever opens one waits for its writer."""
    raw_data.write("tags.csv", "filename,tags\na.jpg,cow\nb.jpg,sheep\n")
    raw_data.write("classes.txt", "cow\nsheep\n")
    for photo in ("a.jpg", "b.jpg"):
        raw_data.photo(photo)
    (raw_data.root / "masks").mkdir()
    (raw_data.root / name).unlink(missing_ok=True)
    os.mkfifo(raw_data.root / name)
    raw_data.fails(
        f"{name}: found a named pipe, expected a file",
        fix="move it out of the data set, or correct the path",
        settings={"masks": "masks", "classes": "classes.txt"},
    )
