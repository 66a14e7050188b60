"""`dataset.drop`: a class is left out of tags, numbers and scores; masks keep the numbers of all classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RawData
from wsss.core.errors import ErrorList, IntegrityError, UserError
from wsss.data.images import save_mask_png
from wsss.data.index import DROPPED, Index, read_index
from wsss.data.mask_values import without_dropped
from wsss.data.masks import MaskedImages
from wsss.data.photos import Photos
from wsss.formats.build import examine
from wsss.formats.raw import RawDataset
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings

MASK = np.array([[0, 1, 2, 3, 255, 0, 0, 0]] * 6, np.uint8)
"""Of three classes; the second is dropped."""
SEEN = np.array([[0, 1, 0, 2, 255, 0, 0, 0]] * 6, np.uint8)


def settings(data: RawData, **others: object) -> DatasetSettings:
    return DatasetSettings(root=str(data.root), **{"format": "folder", "long_side": 0, **others})


def tags(raw: RawDataset) -> dict[str, tuple[str, ...]]:
    return {item.id: item.tags for item in raw.items}


@pytest.fixture
def folder(raw_data: RawData) -> RawData:
    """Three photos of cow, dog and sheep, the first with a mask."""
    raw_data.write("tags.csv", "filename,tags,split\na.png,cow|dog|sheep,train\nb.png,dog,train\nc.png,sheep,val\n")
    for name in "abc":
        raw_data.photo(f"{name}.png")
    (raw_data.root / "masks").mkdir()
    save_mask_png(raw_data.root / "masks/a.png", MASK)
    return raw_data


@pytest.fixture
def voc(raw_data: RawData) -> RawData:
    """The same photos as a VOC folder."""
    for name in "abc":
        raw_data.photo(f"JPEGImages/{name}.png")
    raw_data.write("ImageSets/Segmentation/train.txt", "a\nb\n")
    raw_data.write("ImageSets/Segmentation/val.txt", "c\n")
    raw_data.write("tags.csv", "id,tags\na,cow|dog|sheep\nb,dog\nc,sheep\n")
    raw_data.write("classes.txt", "cow\ndog\nsheep\n")
    (raw_data.root / "masks").mkdir()
    save_mask_png(raw_data.root / "masks/a.png", MASK)
    return raw_data


@pytest.fixture
def coco(raw_data: RawData) -> RawData:
    """The same photos as a COCO data set."""
    files = {name: raw_data.photo(f"train2014/{name}.png").name for name in "abc"}
    marks = [(1, 3), (1, 5), (1, 9), (2, 5), (3, 9)]
    for split, chosen in (("train", "ab"), ("val", "c")):
        images = [{"id": "abc".index(n) + 1, "file_name": files[n], "height": 6, "width": 8} for n in chosen]
        found = [(photo, kind) for photo, kind in marks if photo in {image["id"] for image in images}]
        content = {
            "images": images,
            "annotations": [
                {"id": n, "image_id": photo, "category_id": kind, "bbox": [0, 0, 2, 2], "iscrowd": 0}
                for n, (photo, kind) in enumerate(found)
            ],
            "categories": [{"id": 3, "name": "cow"}, {"id": 5, "name": "dog"}, {"id": 9, "name": "sheep"}],
        }
        raw_data.write(f"annotations/instances_{split}2014.json", json.dumps(content))
    (raw_data.root / "masks").mkdir()
    save_mask_png(raw_data.root / "masks/a.png", MASK)
    return raw_data


OF_FORMAT = {
    "folder": {},
    "voc": {"format": "voc", "tags": "tags.csv", "classes": "classes.txt"},
    "coco": {"format": "coco", "tags": "annotations"},
}


@pytest.mark.parametrize("kind", OF_FORMAT)
def test_a_class_is_left_out_and_masks_keep_their_numbers(kind: str, request: pytest.FixtureRequest) -> None:
    data: RawData = request.getfixturevalue(kind)
    layout = {"masks": "masks", **OF_FORMAT[kind]}
    whole, problems = examine(settings(data, **layout), 0)
    assert not problems
    survey, problems = examine(settings(data, **layout, drop=("dog",)), 0)
    assert not problems  # though photo b has no other tag
    assert survey.untagged == ()
    assert survey.index.classes == ("background", "cow", "sheep")
    found = {Path(record.id).name: record.tags for record in survey.index.records}
    assert found == {"a": (1, 2), "b": (), "c": (2,)}
    assert list(survey.mask_classes.values()) == [(0, 1, 2)]
    assert survey.ignored
    assert survey.index.dropped == (2,)
    assert whole.index.dropped == ()
    assert survey.mask_sha256 == whole.mask_sha256
    assert survey.reading[-1] == (
        "dropped (dataset.drop): dog; their tags are ignored, and their pixels in masks are background; "
        "photos without another tag: 1"
    )


def test_what_scores_reads_the_masks_by_their_own_numbers(folder: RawData) -> None:
    index = folder.index({"masks": "masks", "drop": ["dog"]})
    assert index is not None, folder.text
    assert (index.classes, index.dropped) == (("background", "cow", "sheep"), (2,))
    photos = Photos(folder.root, 1.0, index.records)
    masked = MaskedImages(photos, len(index.classes), dropped=index.dropped)
    assert np.array_equal(masked.part(["a"]).mask(index.records[0]), SEEN)


def test_nothing_is_written_of_dropped_classes_where_there_are_none(folder: RawData) -> None:
    assert isinstance(folder.index({"masks": "masks"}), Index)
    assert not (folder.out / DROPPED).exists()


def test_a_value_beyond_all_classes_is_told_by_the_masks_own_numbers(folder: RawData) -> None:
    save_mask_png(folder.root / "masks/a.png", np.where(MASK == 3, 4, MASK).astype(np.uint8))
    _, (problem,) = examine(settings(folder, masks="masks", drop=("dog",)), 0)
    assert problem.what == "value that is no class (found 4 in 6 pixels, expected 0..3, or 255 = ignore)"


def test_black_and_white_masks_are_told_the_masks_own_numbers(folder: RawData) -> None:
    save_mask_png(folder.root / "masks/a.png", np.where(MASK > 0, 255, 0).astype(np.uint8))
    _, (problem,) = examine(settings(folder, masks="masks", drop=("dog",)), 0)
    assert problem.fix == "write class ids in place of 255 (1 cow, 2 dog, 3 sheep)"


def test_unknown_names_and_all_classes_are_errors(folder: RawData) -> None:
    with pytest.raises(ErrorList) as caught:
        scan(settings(folder, drop=("dgo", "zzz", "cow")))
    assert [(error.what, error.fix) for error in caught.value.errors] == [
        ("unknown class 'dgo' (did you mean 'dog'?)", "choose among cow, dog, sheep"),
        ("unknown class 'zzz'", "choose among cow, dog, sheep"),
    ]
    with pytest.raises(UserError) as one:
        scan(settings(folder, drop=("sheep", "dog", "cow")))
    assert one.value.what == "drops all classes (cow, dog, sheep)"
    with pytest.raises(UserError, match="unknown class 'background'"):
        scan(settings(folder, drop=("background",)))


def test_names_that_are_no_classes_may_be_dropped(folder: RawData) -> None:
    folder.write("tags.csv", "filename,tags\na.png,cow|none\nb.png,none\nc.png,sheep\n")
    raw = scan(settings(folder, drop=("none",), masks="masks"))
    assert (raw.problems, raw.classes[1:]) == ((), ("cow", "sheep"))
    assert tags(raw) == {"a": ("cow",), "b": (), "c": ("sheep",)}
    folder.write("classes.txt", "cow\nsheep\n")
    raw = scan(settings(folder, drop=("none",), classes="classes.txt"))
    assert (raw.problems, raw.classes[1:], raw.numbering) == ((), ("cow", "sheep"), ("background", "cow", "sheep"))
    assert scan(settings(folder, classes="classes.txt")).problems


def test_a_voc_folder_may_drop_what_is_none_of_its_classes(voc: RawData) -> None:
    layout = {"format": "voc", "tags": "tags.csv"}
    voc.write("tags.csv", "id,tags\na,cow|hat\nb,dog\nc,sheep\n")
    assert scan(settings(voc, **layout)).problems
    raw = scan(settings(voc, **layout, drop=("hat", "dog")))
    assert (raw.problems, len(raw.classes), tags(raw)["a"]) == ((), 20, ("cow",))
    assert raw.numbering.index("sheep") == 17


def test_names_are_compared_as_tables_are_read(folder: RawData) -> None:
    folder.write("tags.csv", "filename,tags\na.png,K\u00fche\nb.png,dog\nc.png,dog\n")
    assert scan(settings(folder, drop=("Ku\u0308he",))).classes == ("background", "dog")


def test_damage_of_the_table_of_dropped_classes_is_noticed(folder: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.index({"masks": "masks", "drop": ["dog"]}) is not None
    (folder.out / DROPPED).write_text('{"numbers": [0]}')
    monkeypatch.setattr("wsss.data.index.marked", lambda *ignored: None)
    with pytest.raises(IntegrityError, match="expected numbers of classes"):
        read_index(folder.out)


def test_numbers_above_a_dropped_one_move_down() -> None:
    values = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    assert without_dropped(values, 5, (1, 3)).tolist() == [[0, 0, 1, 0, 2, 255]]
    assert without_dropped(values, 5, (4,)).tolist() == [[0, 1, 2, 3, 0, 255]]


LABELS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncow:128,0,0::\nsheep:0,128,0::\nignore:224,224,192::\n"
"""What `wsss export` writes where dog is dropped."""


@pytest.fixture
def exported(folder: RawData) -> RawData:
    """Masks as a network writes them that knows no dog: sheep, which is 3, is 2."""
    save_mask_png(folder.root / "masks/a.png", SEEN)
    save_mask_png(folder.root / "masks/c.png", np.where(SEEN == 2, SEEN, 0).astype(np.uint8))
    folder.write("tags.csv", "filename,tags,split\na.png,cow|sheep,train\nb.png,dog,train\nc.png,sheep,val\n")
    return folder


def test_masks_that_count_no_dropped_class_are_no_masks_of_background(exported: RawData) -> None:
    survey, problems = examine(settings(exported, masks="masks", drop=("dog",)), 0)
    assert survey.index.dropped == (2,)
    assert [problem.where for problem in problems] == [str(exported.root / "masks")]
    assert problems[0].what.startswith("2 masks show what their photos are not tagged with (a, c), and would fit if ")
    assert problems[0].what.endswith(": 2 is dog here, and sheep without them")
    save_mask_png(exported.root / "masks/b.png", np.where(MASK == 3, MASK, 0).astype(np.uint8))  # by its own number
    assert not examine(settings(exported, masks="masks", drop=("dog",)), 0)[1]


def test_a_dropped_class_may_be_in_masks_of_photos_without_its_tag(exported: RawData) -> None:
    for name in "ac":
        save_mask_png(exported.root / f"masks/{name}.png", np.where(MASK == 2, MASK, 0).astype(np.uint8))
    exported.write("tags.csv", "filename,tags,split\na.png,cow|dog,train\nb.png,dog,train\nc.png,sheep,val\n")
    assert not examine(settings(exported, masks="masks", drop=("dog",)), 0)[1]


@pytest.mark.parametrize("place", ["masks", "SegmentationClass"])
def test_a_label_map_says_by_which_numbers_masks_are_read(exported: RawData, place: str) -> None:
    (exported.root / "masks").rename(exported.root / place)
    exported.write("labelmap.txt" if place != "masks" else f"{place}/labelmap.txt", LABELS)
    chosen = settings(exported, masks=place, drop=("dog",))
    survey, problems = examine(chosen, 0)
    assert not problems
    assert survey.index.dropped == ()
    assert survey.reading[-1] == f"numbers in masks: without the dropped classes, as the label map of {place} says"
    assert survey.mask_classes["c"] == (0, 2)
    masked = MaskedImages(Photos(exported.root, 1.0, survey.index.records), 3, dropped=survey.index.dropped)
    found = masked.mask(next(record for record in survey.index.records if record.id == "a"))
    assert found is not None
    assert np.array_equal(found, SEEN)


def test_a_label_map_of_all_classes_is_the_rule_and_another_order_an_error(folder: RawData) -> None:
    whole = LABELS.replace("sheep:0,128,0::", "dog:0,128,0::\nsheep:128,128,0::")
    chosen = settings(folder, masks="masks", drop=("dog",))
    folder.write("masks/labelmap.txt", whole)
    survey, problems = examine(chosen, 0)
    assert (survey.index.dropped, problems) == ((2,), [])
    folder.write("masks/labelmap.txt", "sheep:128,0,0::\ndog:0,128,0::\ncow:128,128,0::\nbird:9,9,9::\n")
    _, (error,) = examine(settings(folder, masks="masks"), 0)
    assert (error.where, error.what) == (
        str(folder.root / "masks/labelmap.txt"),
        "class 'sheep' has the colour of number 1, and is 3 here",
    )
    assert f"wsss labels to-masks {folder.root / 'masks'} NEW" in error.fix


@pytest.mark.parametrize(
    ("line", "name", "own"),
    [
        ("cow:250,50,83::", "cow", "128,0,0"),
        ("background:1,1,1::", "background", "0,0,0"),
        ("ignore:9,9,9::", "ignore", "224,224,192"),
    ],
)
def test_a_label_map_of_other_colours_says_what_makes_masks_of_it(
    folder: RawData, line: str, name: str, own: str
) -> None:
    """One error, and none for each mask; labels that are no class and lines that are none say nothing."""
    folder.write("masks/labelmap.txt", f"# label\nno line\nbird:7,7,7::\n{line}\n")
    folder.write("masks/a.png", b"no mask")
    _, (error,) = examine(settings(folder, masks="masks"), 0)
    assert error.where == str(folder.root / "masks/labelmap.txt")
    what = f"label {name!r} has another colour than VOC's ({own}), by which masks of a data set are read"
    assert error.what == what
    assert error.fix.startswith(f"wsss labels to-masks {folder.root / 'masks'} NEW ")
