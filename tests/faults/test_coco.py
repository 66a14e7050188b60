"""Fault 25: lists of COCO with gaps, missing photos, crowds, tiny polygons, and everything that is no such list."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from tests.conftest import RawData
from wsss.commands.masks import main as masks_command

SETTINGS = {"format": "coco", "tags": "annotations"}
LIST = "annotations/instances_train2014.json"
ARCHIVE = "restore the file from the data set's archive"


@pytest.fixture
def coco(raw_data: RawData) -> RawData:
    """Photo `train2014/a.jpg`, 8 wide and 6 high, image 9 of the list, with a cow (category 21 of 21 and 90)."""
    raw_data.photo("train2014/a.jpg")
    write(raw_data)
    return raw_data


def write(data: RawData, **changes: Any) -> None:
    """The list with some of its parts changed."""
    whole = {
        "images": [{"id": 9, "file_name": "a.jpg", "height": 6, "width": 8}],
        "categories": [{"id": 21, "name": "cow"}, {"id": 90, "name": "toothbrush"}],
        "annotations": [cow()],
    }
    data.write(LIST, json.dumps({**whole, **changes}))


def cow(**others: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "image_id": 9,
        "category_id": 21,
        "iscrowd": 0,
        "area": 4.0,
        "segmentation": [[1, 1, 5, 1, 5, 4]],
    } | others


def image(**others: Any) -> dict[str, Any]:
    return {"id": 9, "file_name": "a.jpg", "height": 6, "width": 8} | others


def test_fault_25_gaps_in_the_ids(coco: RawData) -> None:
    index = coco.index(SETTINGS)
    assert index is not None, coco.text
    assert index.classes == ("background", "cow", "toothbrush")
    assert index.records[0].tags == (1,)


def test_fault_25_missing_photo(coco: RawData) -> None:
    write(coco, images=[image(), image(id=12, file_name="b.jpg")])
    what = f"{LIST}: image 12: no photo 'b.jpg' below {coco.root}"
    coco.fails(what, fix="add the photo, or delete image 12 and its annotations", settings=SETTINGS)


def test_fault_25_photo_without_annotations(coco: RawData) -> None:
    coco.photo("train2014/b.jpg", size=(6, 8))
    write(coco, images=[image(), image(id=12, file_name="b.jpg")], annotations=[cow(image_id=12)])
    fix = (
        "tag them; or move what is no photo to train on, such as masks, out of the folder; or set "
        "dataset.allow_untagged: true to train on them as photos of no class"
    )
    coco.fails("annotations: 1 photo has no tag (train2014/a.jpg)", fix=fix, settings=SETTINGS)
    index = coco.index({**SETTINGS, "allow_untagged": True})
    assert index is not None
    assert [record.tags for record in index.records] == [(), (1,)]


def test_fault_25_no_photo_has_annotations(coco: RawData) -> None:
    write(coco, annotations=[])
    coco.fails("annotations: no photo has a tag", fix="tag them", settings={**SETTINGS, "allow_untagged": True})


def test_fault_25_crowd_is_a_tag(coco: RawData) -> None:
    write(coco, annotations=[cow(iscrowd=1, segmentation={"size": [6, 8], "counts": [10, 5, 33]})])
    index = coco.index(SETTINGS)
    assert index is not None
    assert index.records[0].tags == (1,)


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        ({"annotations": [cow(image_id=10)]}, "annotations[0]: image_id 10 is no image of this file", "delete the"),
        ({"annotations": [cow(category_id=1)]}, "annotations[0]: category_id 1 is no category of this", "delete the"),
        ({"annotations": [cow(image_id="9")]}, "image_id: found '9', expected a whole number ≥ 0", "correct image_id"),
        ({"annotations": [cow(iscrowd=2)]}, "annotations[0]: iscrowd: found 2, expected 0 or 1", "delete the"),
        ({"annotations": None}, "instances_train2014.json: 'annotations' is missing", "give the instances_*.json"),
        ({"annotations": [3]}, "'annotations' is not a list of objects", "give the instances_*.json of a COCO data"),
        ({"images": [image(), image()]}, "images[1]: duplicate image id 9", "delete one of the two"),
        ({"images": [image(), image(id=3)]}, "photo 'train2014/a' is listed twice (image 9 of ", "delete one of"),
        ({"images": [image(height=0)]}, "images[0]: height: found 0, expected 1 to 100000 pixels", "correct height"),
        ({"images": [image(file_name="../a.jpg")]}, "'../a.jpg' leaves the data set's folder", "name a photo below"),
        ({"images": [image(file_name=None)]}, "file_name: found nothing, expected text", "correct file_name"),
        ({"categories": []}, "instances_train2014.json: no categories", "give the instances_*.json of a COCO data set"),
        ({"categories": [{"id": 21, "name": "a|b"}]}, "class name 'a|b' holds '|'", "mend the class names in inst"),
        (
            {"categories": [{"id": 21, "name": "cow"}, {"id": 21, "name": "dog"}]},
            "categories[1]: duplicate category id 21",
            "delete one of the two",
        ),
    ],
)
def test_fault_25_entries_that_do_not_fit(coco: RawData, changes: dict[str, Any], what: str, fix: str) -> None:
    write(coco, **changes)
    coco.fails(what, fix=fix, settings=SETTINGS)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "instances_train2014.json:1: not valid JSON (Expecting value, column 1)"),
        ('{\n"images": [', "instances_train2014.json:2: not valid JSON ("),
        ("[]", "not a COCO list (found a list, expected images, annotations, categories)"),
        ("[" * 100_000, "not valid JSON (nested too deeply)"),
        ('{"images": NaN}', "not valid JSON (NaN is not JSON)"),
        ('{"images": ' + "9" * 5000 + "}", "not valid JSON (Exceeds the limit"),
        (b"\xff\xfe\x00", "not valid JSON ("),
    ],
)
def test_fault_25_no_list(coco: RawData, content: str | bytes, what: str) -> None:
    coco.write(LIST, content)
    coco.fails(what, fix=ARCHIVE, settings=SETTINGS)


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        ({"tags": "tags.csv"}, "tags.csv: no such folder", "set dataset.tags to the folder of instances_*.json"),
        ({"tags": "train2014"}, "train2014: no instances_*.json in this folder", "set dataset.tags to the folder"),
        ({"classes": "x.txt"}, "dataset.classes: found 'x.txt': a COCO data set names", 'set dataset.classes: ""'),
        ({"masks": "masks"}, "masks: no such folder", "draw the masks: wsss masks "),
    ],
)
def test_fault_25_settings_that_do_not_fit(coco: RawData, settings: dict[str, str], what: str, fix: str) -> None:
    coco.fails(what, fix=fix, settings={**SETTINGS, **settings})


def test_fault_25_lists_that_disagree(coco: RawData) -> None:
    other = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 21, "name": "calf"}, {"id": 90, "name": "toothbrush"}],
    }
    coco.write("annotations/instances_val2014.json", json.dumps(other))
    what = "instances_val2014.json: other categories than instances_train2014.json (they differ in 'calf')"
    coco.fails(what, fix="take both lists from the same release", settings=SETTINGS)
    coco.write("annotations/instances_train2017.json", json.dumps(other))
    what = "two lists of the same split (instances_train2014.json and instances_train2017.json)"
    coco.fails(what, fix="move one of them elsewhere", settings=SETTINGS)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (None, "annotation 1: segmentation: found nothing, nor a bbox, expected polygons or run lengths"),
        ("x", "segmentation: found str, expected polygons or run lengths"),
        ([[1, 2, 3]], "segmentation: a polygon is not a list of x, y pairs"),
        ([[1, "2"]], "segmentation: a polygon holds something else than numbers"),
        ([[1, 10**400]], "segmentation: a polygon lies far outside the photo"),
        ({"size": [8, 6], "counts": [48]}, "segmentation: size [8, 6], expected [6, 8] (height, width)"),
        ({"size": [6, 8], "counts": [47]}, "segmentation: run lengths cover 47 pixels, expected 48"),
        ({"size": [6, 8], "counts": [-1, 49]}, "segmentation: counts are not run lengths"),
        ({"size": [6, 8], "counts": "~"}, "segmentation: counts are not a compressed string of run lengths"),
        ({"size": [6, 8], "counts": "P"}, "segmentation: the compressed string ends within a number"),
    ],
)
def test_fault_25_outlines_that_cannot_be_drawn(coco: RawData, shape: Any, what: str) -> None:
    write(coco, annotations=[cow(segmentation=shape)])
    result = CliRunner().invoke(masks_command, [str(coco.root), "--split", "train"])
    assert result.exit_code == 2
    assert what in result.stderr
    assert f"fix: {ARCHIVE}, or delete the annotation" in result.stderr
    assert not (coco.root / "masks/train2014/a.png").exists()


def test_fault_25_mask_bomb(coco: RawData) -> None:
    write(coco, images=[image(height=99_999, width=99_999)])
    result = CliRunner().invoke(masks_command, [str(coco.root), "--split", "train"])
    assert result.exit_code == 2
    assert "image 9: 99999 × 99999 pixels are more than 120 megapixels" in result.stderr
