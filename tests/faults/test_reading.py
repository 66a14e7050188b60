"""Data that could be read as something else than was meant: it is read rightly, or an error or a warning says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from tests.conftest import RawData
from wsss.commands.check import main as check
from wsss.commands.init import main as init
from wsss.core.errors import UserError
from wsss.formats.guess import guess_dataset
from wsss.formats.raw import RawDataset
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings
from wsss.formats.splits import split_of_folder, split_of_list


def read(data: RawData, tags: str, photos: str = "a b c", **settings: object) -> RawDataset:
    """The set of the files `photos`, not decoded, and a table of `tags`."""
    for name in photos.split():
        data.write(name if "." in name else f"{name}.jpg", b"x")
    data.write("tags.csv", tags)
    return scan(DatasetSettings(root=str(data.root), format="folder", **settings))


@pytest.fixture(autouse=True)
def _class_file(raw_data: RawData) -> None:
    raw_data.write("c.txt", "cow\n")


def tags_of(raw: RawDataset) -> dict[str, str]:
    return {item.id: "|".join(item.tags) for item in raw.items}


def splits_of(raw: RawDataset) -> dict[str, str]:
    return {item.id: item.split for item in raw.items}


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("id,filename,tags", "2 columns may name the photos: 'id' and 'filename'"),
        ("ID,label,image_name", "2 columns may name the photos: 'ID' and 'image_name'"),
        ("id,unheard of,tags", "2 columns may name the photos: 'id' and 'unheard of'"),
        ("filename,label,category", "2 columns may hold the tags: 'label' and 'category'"),
        ("filename,tags,tag1", "2 columns may hold the tags: 'tags' and 'tag1'"),
        ("filename,tags,split,subset", "2 columns may say the split: 'split' and 'subset'"),
        ("filename,tags,split,phase", "2 columns may say the split: 'split' and 'phase'"),
    ],
)
def test_two_columns_for_one_role(raw_data: RawData, header: str, what: str) -> None:
    cells = {"id": "0", "ID": "0", "filename": "a.jpg", "image_name": "a.jpg", "unheard of": "a.jpg"}
    cells |= dict.fromkeys(("split", "subset", "phase"), "train")
    row = ",".join(cells.get(title, "cow") for title in header.split(","))
    with pytest.raises(UserError) as caught:
        read(raw_data, f"{header}\n{row}\n", "0 a")
    assert caught.value.what == what
    option = {"photos": "photo-column", "tags": "tag-column"}.get(
        what.split()[5][:-1], "a column without one is not read"
    )
    assert option in caught.value.fix


def test_a_column_without_a_heading_is_not_read(raw_data: RawData) -> None:
    raw = read(raw_data, ",filename,tags\n0,1.jpg,cow\n1,0.jpg,sheep\n", "0 1")
    assert tags_of(raw) == {"0": "sheep", "1": "cow"}
    assert "tags.csv: photo = filename; tags = tags; no split; not read: column 1" in raw.reading


def test_columns_of_yes_and_no_beside_tags_are_asked_about(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,label,cow,sheep\na,x,1,0\nb,y,0,1\nc,x,1,1\n")
    assert raw.classes == ("background", "x", "y")
    assert "columns of yes and no are not read, because column 'label' has the tags: cow" in raw.findings[0].what


@pytest.mark.parametrize(
    "cells",
    [
        ("['cow']", "['cow', 'sheep']", "[]"),
        ('["cow"]', '["cow", "sheep"]', "[ ]"),
        ("('cow',)", "{'cow', 'sheep'}", "()"),
        ("cow", "cow，sheep", ""),
        ("cow", "cow、sheep", ""),
        ("cow", "cow；sheep", ""),
        ("cow", "cow｜sheep", ""),
        ("cow", "cow\nsheep", ""),
    ],
)
def test_lists_in_cells(raw_data: RawData, cells: tuple[str, str, str]) -> None:
    rows = [f'{name},"{cell.replace(chr(34), chr(34) * 2)}"' for name, cell in zip("abc", cells, strict=True)]
    raw = read(raw_data, "\n".join(["filename,tags", *rows]))
    assert raw.problems == raw.findings == ()
    assert tags_of(raw) == {"a": "cow", "b": "cow|sheep", "c": ""}


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ("0 1 1", "found yes or no where the name of a class is expected: '0', '1'"),
        ("True False True", "found yes or no where the name of a class is expected: 'True', 'False'"),
        ("cow none cow", "found a sign for nothing where the name of a class is expected: 'none'"),
        ("cow NaN -", "found a sign for nothing where the name of a class is expected: 'NaN', '-'"),
        ("cow [cow cow]", "found a name with brackets or quotes where the name of a class is expected: '[cow', 'cow]'"),
        (
            "cow ['cow'|'sheep']",
            "found a name with brackets or quotes where the name of a class is expected: \"['cow'\"",
        ),
    ],
)
def test_tags_that_name_no_class(raw_data: RawData, tags: str, what: str) -> None:
    rows = [f"{name},{tag}" for name, tag in zip("abc", tags.split(), strict=False)]
    (problem,) = read(raw_data, "\n".join(["filename,label", *rows])).problems
    assert problem.what.startswith(what)
    assert "list all classes in a file and set dataset.classes to it" in problem.fix
    raw_data.write("classes.txt", "\n".join(sorted({t for tag in tags.split() for t in tag.split("|")})))
    assert scan(DatasetSettings(root=str(raw_data.root), format="folder", classes="classes.txt")).problems == ()


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ("3 7 7", "classes that are numbers: 3, 7"),
        ("cow cow/sheep cow", "classes whose names hold a mark that may separate tags: cow/sheep"),
        ("cow cow·sheep cow", "classes whose names hold a mark that may separate tags: cow·sheep"),
    ],
)
def test_doubtful_names_of_classes(raw_data: RawData, tags: str, what: str) -> None:
    rows = [f"{name},{tag}" for name, tag in zip("abc", tags.split(), strict=True)]
    raw = read(raw_data, "\n".join(["filename,label", *rows]))
    assert raw.problems == ()
    assert [finding.what for finding in raw.findings] == [what]


def test_unknown_splits_are_told_once_and_the_rows_kept(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,tags,split\na,cow,0\nb,sheep,0\nc,cow,1\n")
    (problem,) = raw.problems
    assert problem.what == "column 'split': unknown splits '0', '1' in 3 rows (expected train, val or test)"
    assert problem.fix.startswith("write train, val or test; or delete column 'split'")
    assert tags_of(raw) == {"a": "cow", "b": "sheep", "c": "cow"}
    assert raw.findings == ()


def test_folders_that_say_a_split_are_believed(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,tags\n", "train/a Test/b images_val/cows/c d crash_test/e", classes="c.txt")
    assert splits_of(raw) == {
        "train/a": "train",
        "Test/b": "test",
        "images_val/cows/c": "val",
        "d": "",
        "crash_test/e": "",
    }
    assert "splits: " in raw.reading[3]


def test_a_folder_of_training_photos_alone_is_drawn_from(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,tags\n", "train/a car/b", classes="c.txt")
    assert splits_of(raw) == {"train/a": "", "car/b": ""}


def test_the_table_counts_where_folders_say_another_split(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,tags,split\na,cow,train\nb,cow,train\nc,cow,\n", "test/a train/b c")
    assert splits_of(raw) == {"test/a": "train", "train/b": "train", "c": ""}
    assert [finding.what for finding in raw.findings] == [
        "photos without a split, which is drawn, though tags.csv gives others theirs: c",
        "photos that lie in the folder of another split than tags.csv gives them: test/a.jpg (train)",
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2014", "train"),
        ("instances_Validation", "val"),
        ("instances_test-dev2017", ""),
        ("instances_TEST", "test"),
        ("instances_valid", "val"),
        ("instances_trainval", ""),
        ("instances_contest", ""),
    ],
)
def test_split_of_a_list(name: str, split: str) -> None:
    assert split_of_list(name) == split


@pytest.mark.parametrize(
    ("path", "split"),
    [("train2017/a", "train"), ("test set/x/a", "test"), ("TestImages/a", "test"), ("crash test/a", ""), ("test", "")],
)
def test_split_of_a_folder(path: str, split: str) -> None:
    assert split_of_folder(path) == split


def test_zeros_that_a_spreadsheet_dropped_are_told_once(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,tags\n1,cow\n2.jpg,cow\n010,cow\n", "001 002 010")
    (problem,) = raw.problems
    assert problem.what.endswith("drop them: '1' for '001.jpg', '2.jpg' for '002.jpg'")
    assert raw.explained == {"001", "002"}


@pytest.mark.parametrize(
    ("written", "photo"),
    [("IMG2.jpg", "IMG_2"), ("old/img-2", "IMG_2"), ("IMG_02x.jpg", ""), ("IMG_44.jpg", ""), ("Kuhe.jpg", "Kühe")],
)
def test_a_row_without_a_photo_may_mean_one_without_a_row(raw_data: RawData, written: str, photo: str) -> None:
    raw = read(raw_data, f"filename,tags\nIMG_1,cow\n{written},cow\n", "IMG_1.jpg IMG_2.jpg IMG_22.jpg Kühe.jpg")
    hint = f" (did you mean '{photo}.jpg', which has no row?)" if photo else ""
    (problem,) = raw.problems
    assert problem.what == f"no photo {written!r} below {raw_data.root}{hint}"
    assert (
        problem.fix
        == f"{'edit line 3, or ' if photo else ''}add the photo{' that it names' if photo else ', or delete line 3'}"
    )
    assert raw.explained - {""} == ({photo} if photo else set())
    assert raw.rowless == {"IMG_2", "IMG_22", "Kühe"} - {photo}


def test_a_second_row_of_a_photo_is_asked_about_where_hardly_any_has_one(raw_data: RawData) -> None:
    photos = " ".join(f"p{number}" for number in range(20))
    rows = [f"p{number},cow\n" for number in range(20)]
    same = read(raw_data, "filename,tags\n" + "".join([*rows, rows[3]]), photos)
    assert same.findings == ()
    raw = read(raw_data, "filename,tags\n" + "".join([*rows, "p3,sheep\n", "p4.jpg,\n"]), photos)
    assert [finding.what for finding in raw.findings] == [
        "photos with several rows in tags.csv that say different tags: p3 (line 5: cow, line 22: sheep), "
        "p4 (line 6: cow, line 23: no tag); all tags count"
    ]
    assert tags_of(raw)["p3"] == "cow|sheep"
    many = "".join(f"p{number},sheep\n" for number in range(3))  # of twenty: a row for each tag
    assert read(raw_data, "filename,tags\n" + "".join(rows) + many, photos).findings == ()


def test_a_table_for_other_photos_is_told_once(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,tags\nx,cow\ny,cow\n")
    (problem,) = raw.problems
    assert problem.what == f"none of 2 names is that of a photo below {raw_data.root}: 'x', 'y'"
    assert raw.explained == {"a", "b", "c"}


def test_a_number_in_every_row_is_no_class_and_told_once(raw_data: RawData) -> None:
    raw = read(raw_data, "filename,width,cow\na,640,1\nb,480,0\nc,640,1\n")
    assert raw.problems == ()
    (finding,) = raw.findings
    assert finding.what == "tags.csv: columns with a number in every row are not read as classes: width"
    assert tags_of(raw) == {"a": "cow", "b": "", "c": "cow"}
    assert raw.reading[1] == "tags.csv: photo = filename; a class each = cow; no split; not read: width"


def test_words_in_the_only_other_column_are_the_tags(raw_data: RawData) -> None:
    raw = read(raw_data, "photo;animal;width;split\na;Bengal;640;train\nb;Bengal|Siamese;480;val\nc;;640;train\n")
    assert raw.problems == ()
    assert tags_of(raw) == {"a": "Bengal", "b": "Bengal|Siamese", "c": ""}
    assert raw.reading[1] == "tags.csv: photo = photo; tags = animal; split = split; not read: width"


@pytest.mark.parametrize(
    "table",
    [
        "photo,animal\na,present\nb,\nc,present\n",  # may be a yes
        "photo,cow\na,1\nb,0\nc,perhaps\n",
        "photo,cow,note\na,1,far\nb,0,near\nc,1,\n",
        "photo,kind\na,3\nb,4\nc,5\n",
    ],
)
def test_words_beside_yes_and_no_one_word_and_numbers_are_no_column_of_tags(raw_data: RawData, table: str) -> None:
    (problem,) = read(raw_data, table, classes="c.txt").problems[:1]
    assert "expected 1 or 0" in problem.what
    assert "set dataset.tag_column to the column of tags" in problem.fix


def test_two_columns_of_words_are_named(raw_data: RawData) -> None:
    with pytest.raises(UserError) as caught:
        read(raw_data, "photo,animal,place\na,Bengal,home\nb,Siamese,park\n")
    assert caught.value.what == "2 columns of words may hold the tags: 'animal' and 'place'"
    fix = "set dataset.tag_column to the heading of the right one (wsss init: --tag-column NAME)"
    assert caught.value.fix == fix


@pytest.mark.parametrize(
    "table",
    [
        "sep=;\nfilename;tags\na;cow\nb;cow,sheep\nc;sheep\n",
        '"sep=,"\r\nfilename,cow,sheep\r\na,ja,nein\r\nb,WAHR,x\r\nc,FALSCH,oui\r\n',
        'filename;cow;sheep\na;1,0;0,0\nb;"1,0";1\nc;;1,0\n',
        "File Name;tag1;tag2\na;cow;\nb;sheep;cow\nc;;sheep\n",
        "filename,class_1,class_2\na,cow,\nb,cow,sheep\nc,sheep,sheep\n",
    ],
)
def test_tables_as_people_have_them(raw_data: RawData, table: str) -> None:
    raw = read(raw_data, table)
    assert raw.problems == ()
    assert {name: {*tags.split("|")} for name, tags in tags_of(raw).items()} == {
        "a": {"cow"},
        "b": {"cow", "sheep"},
        "c": {"sheep"},
    }


def test_lines_are_counted_behind_excels_first_one(raw_data: RawData) -> None:
    (problem,) = read(raw_data, "sep=;\nfilename;tags\na;cow\nb;cow;x\n").problems
    assert problem.where.endswith("tags.csv:4")


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (("tags.csv", "labels.csv"), "tags.csv and labels.csv may have the same role"),
        (("tags.csv", "annotations/instances_a.json"), "annotations and tags.csv may both hold the tags"),
        (("tags.csv", "classes.txt", "labels.txt"), "classes.txt and labels.txt may have the same role"),
        (("tags.csv", "masks/a.png", "SegmentationClass/a.png"), "masks and SegmentationClass may both hold the masks"),
    ],
)
def test_two_files_for_one_role(raw_data: RawData, files: tuple[str, ...], what: str) -> None:
    for name in files:
        raw_data.write(name, b"")
    with pytest.raises(UserError) as caught:
        guess_dataset(raw_data.root, None)
    assert caught.value.what == what


def coco(data: RawData, name: str, files: str, **size: object) -> None:
    images = [{"id": i, "file_name": file, **size} for i, file in enumerate(files.split())]
    data.write(
        f"annotations/{name}",
        json.dumps(
            {
                "images": images,
                "annotations": [{"id": i, "image_id": i, "category_id": 1} for i in range(len(images))],
                "categories": [{"id": 1, "name": "cow"}],
            }
        ),
    )


def read_coco(data: RawData, photos: str) -> RawDataset:
    for name in photos.split():
        data.write(name, b"x")
    return scan(DatasetSettings(root=str(data.root), format="coco", tags="annotations"))


def test_coco_lists_in_capital_letters_and_of_a_test(raw_data: RawData) -> None:
    for name, files in (("Train", "a.jpg"), ("Validation", "b.jpg"), ("Test", "c.jpg")):
        coco(raw_data, f"instances_{name}.json", files)
    raw_data.write("annotations/captions_Train.json", "{}")
    raw = read_coco(raw_data, "images/a.jpg images/b.jpg images/c.jpg images/d.jpg")
    assert raw.problems == ()  # and sizes are not needed
    assert list(splits_of(raw).values()) == ["train", "val", "test"]
    assert raw.reading[0] == "photos: 4 in images/ (4); 1 of them in no list, and not read"
    assert "not read: captions_Train.json" in raw.reading


def test_coco_list_that_says_no_split_beside_one_that_does(raw_data: RawData) -> None:
    coco(raw_data, "instances_train.json", "a.jpg")
    coco(raw_data, "instances_extra.json", "b.jpg")
    with pytest.raises(UserError, match=r"instances_extra\.json says no split, as those of instances_train\.json do"):
        read_coco(raw_data, "a.jpg b.jpg")


def test_coco_sizes_may_be_whole_floats(raw_data: RawData) -> None:
    coco(raw_data, "instances_default.json", "a.jpg", width=48.0, height=36.0)
    assert read_coco(raw_data, "a.jpg").problems == ()


def test_coco_annotations_of_a_wrong_image_or_category_are_no_errors_of_their_own(raw_data: RawData) -> None:
    coco(raw_data, "instances_default.json", "a.jpg b.jpg", width="wide")
    raw = read_coco(raw_data, "a.jpg b.jpg")
    assert [problem.what for problem in raw.problems] == ["width: found 'wide', expected a whole number ≥ 0"] * 2


@pytest.mark.parametrize(
    ("listed", "photo", "found"),
    [
        ("cam2/a.jpg", "cam1/a.jpg", False),
        ("cam2\\a.jpg", "cam1/a.jpg", False),
        ("cam2/a.jpg", "a.jpg", False),
        ("test/a.jpg", "train/a.jpg", False),
        ("cam1\\a.jpg", "cam1/a.jpg", True),
        ("cam1/a.jpg", "photos/cam1/a.jpg", True),
        ("images/a.jpg", "photos/a.jpg", True),
        ("raw/a.jpg", "a.jpg", True),
        ("a.jpg", "cam1/a.jpg", True),
    ],
)
def test_coco_photo_of_the_same_name_in_another_folder(raw_data: RawData, listed: str, photo: str, found: bool) -> None:
    coco(raw_data, "instances_default.json", listed)
    raw = read_coco(raw_data, photo)
    assert [item.image for item in raw.items] == ([photo] if found else [])
    if not found:
        assert f"holds such names: {listed}" in raw.problems[0].what


def voc(data: RawData, names: str = "a b") -> None:
    for name in ("a", "b"):
        data.write(f"JPEGImages/{name}.jpg", b"x")
    data.write("ImageSets/Segmentation/Train.txt", "\n".join(names.split()))


def read_voc(data: RawData, **settings: object) -> RawDataset:
    return scan(DatasetSettings(root=str(data.root), format="voc", **settings))


def test_voc_classes_of_ones_own_are_told_once(raw_data: RawData) -> None:
    voc(raw_data, "JPEGImages\\a.jpg b.jpg")
    for name in "ab":
        text = (
            f"<annotation><object><name>scratch {name}</name></object><object><name>dent</name></object></annotation>"
        )
        raw_data.write(f"Annotations/{name}.xml", text)
    (problem,) = read_voc(raw_data, tags="xml").problems
    assert (
        problem.what
        == "classes that are none of VOC's 20, with their photos: 'scratch a' (1), 'dent' (2), 'scratch b' (1)"
    )
    assert problem.fix == "list all classes in a file, one a line, and set dataset.classes to it"


def test_voc_slip_is_told_where_it_is(raw_data: RawData) -> None:
    voc(raw_data)
    raw_data.write("Annotations/a.xml", "<annotation>\n<object><name>botle</name></object></annotation>")
    raw = read_voc(raw_data, tags="xml")
    (problem,) = raw.problems
    assert problem.where.endswith("Annotations/a.xml:2")
    assert problem.what == "unknown class 'botle' (did you mean 'bottle'?)"
    assert "1 photos have no annotation in Annotations, and so no tag: b" in [each.what for each in raw.findings]


def test_voc_two_lists_of_one_split(raw_data: RawData) -> None:
    voc(raw_data)
    for name in ("val", "valid"):
        raw_data.write(f"ImageSets/Segmentation/{name}.txt", "b")
    with pytest.raises(UserError, match=r"val\.txt and valid\.txt may both list the split val"):
        read_voc(raw_data, tags="xml")


@pytest.mark.parametrize(
    ("keys", "sound"), [("a.jpg b.jpg", True), ("JPEGImages/a JPEGImages/b", True), ("x y", False)]
)
def test_voc_keys_of_vectors(raw_data: RawData, keys: str, sound: bool) -> None:
    voc(raw_data)
    np.save(raw_data.root / "cls_labels.npy", {key: np.eye(20)[7] for key in keys.split()}, allow_pickle=True)
    raw = read_voc(raw_data, tags="cls_labels.npy")
    if sound:
        assert tags_of(raw) == {"a": "cat", "b": "cat"}
    else:
        (problem,) = raw.problems
        assert problem.what == "no vector of 2 of 2 photos: 'a', 'b' (it holds 'x', 'y')"
        assert raw.explained == {"a", "b"}


@pytest.fixture
def small(raw_data: RawData) -> RawData:
    """Three photos, all of one split."""
    for name in "abc":
        raw_data.photo(f"{name}.jpg")
    return raw_data


@pytest.mark.parametrize(("split", "missing", "stage"), [("train", "val", "evaluate"), ("val", "train", "pretrain")])
def test_an_empty_split_is_an_error_of_check(small: RawData, split: str, missing: str, stage: str) -> None:
    small.write("tags.csv", "filename,tags,split\n" + "".join(f"{name},cow,{split}\n" for name in "abc"))
    section = {"root": str(small.root), "format": "folder"}
    YAML().dump({"seed": 0, "dataset": section}, small.out.with_name("params.yaml"))
    result = CliRunner().invoke(check, [])
    assert result.exit_code == 2
    assert f"no photo in split {missing} (found 3 in {split}): stage {stage} will stop" in result.stdout


def test_a_stage_may_want_another_split(small: RawData) -> None:
    small.write("tags.csv", "filename,tags,split\n" + "".join(f"{name},cow,train\n" for name in "abc"))
    sections = {"evaluate": {"split": "train", "scales": [1.0]}, "gallery": {"split": "train"}}
    section = {"root": str(small.root), "format": "folder"}
    YAML().dump({"seed": 0, "dataset": section, **sections}, small.out.with_name("params.yaml"))
    assert CliRunner().invoke(check, []).exit_code == 0


@pytest.mark.parametrize("command", ["check", "init"])
def test_a_table_where_settings_are_expected_is_not_to_be_written_over(small: RawData, command: str) -> None:
    small.write("tags.csv", "filename,tags\na,cow\n")
    arguments = ["raw/tags.csv"] if command == "check" else ["raw", "--params", "raw/tags.csv", "--force"]
    result = CliRunner().invoke(check if command == "check" else init, arguments)
    assert result.exit_code == 2
    assert "raw/tags.csv: is data, expected a file of settings such as params.yaml" in result.stderr
    assert "fix: wsss init raw --tags raw/tags.csv writes params.yaml for it" in result.stderr
    assert Path("raw/tags.csv").read_text() == "filename,tags\na,cow\n"
