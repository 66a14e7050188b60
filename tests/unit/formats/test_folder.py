"""Format `folder`: how photos, rows and masks find each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.data.images import save_mask_png
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings


def settings(data: RawData, **others: object) -> DatasetSettings:
    return DatasetSettings(root=str(data.root), format="folder", **others)


def test_photos_anywhere_below_the_root(raw_data: RawData) -> None:
    for name in ("a.jpg", "deep/er/b.PNG", "deep/c.tiff", ".hidden/d.jpg", "__MACOSX/e.jpg", "deep/.f.jpg"):
        raw_data.write(name, b"x")
    raw_data.write("tags.csv", "filename,tags\na,cow\nb,sheep\ndeep/c.tiff,cow\n")
    raw = scan(settings(raw_data))
    assert raw.classes == ("background", "cow", "sheep")
    assert [(item.id, item.image, item.tags) for item in raw.items] == [
        ("a", "a.jpg", ("cow",)),
        ("deep/c", "deep/c.tiff", ("cow",)),
        ("deep/er/b", "deep/er/b.PNG", ("sheep",)),
    ]
    assert raw.problems == ()


def test_linked_folder_is_followed_and_a_loop_is_not(raw_data: RawData, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_bytes(b"x")
    (raw_data.root / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(raw_data.root)
    raw_data.write("tags.csv", "filename,tags\na,cow\n")
    assert [item.id for item in scan(settings(raw_data)).items] == ["linked/a"]


@pytest.mark.parametrize("content", ["cow\nsheep\n", "background\ncow\nsheep", "__background__\r\ncow\r\nsheep\r\n"])
def test_class_file_with_or_without_background(raw_data: RawData, content: str) -> None:
    raw_data.write("a.jpg", b"x")
    raw_data.write("tags.csv", "filename,tags\na,sheep\n")
    raw_data.write("names.txt", content)
    assert scan(settings(raw_data, classes="names.txt")).classes == ("background", "cow", "sheep")


def test_wide_table_gives_its_columns_as_classes(raw_data: RawData) -> None:
    raw_data.write("a.jpg", b"x")
    raw_data.write("tags.csv", "filename,split,sheep,cow,background\na,val,1,0,1\n")
    raw = scan(settings(raw_data))
    assert raw.classes == ("background", "cow", "sheep")
    assert (raw.items[0].split, raw.items[0].tags) == ("val", ("sheep",))


def test_masks_match_by_path_then_by_its_end(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags\n")
    for name in ("images/x/a.jpg", "images/b.jpg", "c.jpg", "images/d.jpg"):
        raw_data.write(name, b"x")
    for name in ("images/x/a.png", "b.png", "c.png", "unused.png"):
        raw_data.write(f"gt/{name}", b"x")
    with pytest.raises(UserError, match="no row has a tag"):
        scan(settings(raw_data, masks="gt"))
    raw_data.write("tags.csv", "filename,tags\nc,cow\n")
    masks = {item.id: item.mask for item in scan(settings(raw_data, masks="gt")).items}
    assert masks == {
        "images/x/a": "gt/images/x/a.png",
        "images/b": "gt/b.png",
        "c": "gt/c.png",
        "images/d": None,
    }


def test_mask_that_belongs_to_no_photo_is_a_finding(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags\na,cow\n")
    raw_data.write("a.jpg", b"x")
    raw_data.write("gt/aa.png", b"x")
    (finding,) = scan(settings(raw_data, masks="gt")).findings
    assert finding.what == "gt: 1 masks belong to no photo (first aa.png)"
    assert finding.fix == "name masks like their photos"


def test_folder_of_exported_masks_among_masks_is_recognised(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags\na,cow\n")
    raw_data.write("a.jpg", b"x")
    for name in ("a.png", "SegmentationClass/a.png", "SegmentationObject/a.png"):
        raw_data.write(f"gt/{name}", b"x")
    (finding,) = scan(settings(raw_data, masks="gt")).findings
    assert finding.what.endswith(
        "SegmentationClass/a.png): 1 of them lie in a folder SegmentationClass, as tools export it"
    )
    assert "move them up" in finding.fix


def test_two_masks_of_one_photo_are_an_error(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags\nimages/a,cow\nb,cow\nimages/b,cow\n")
    for name in ("images/a.jpg", "images/b.jpg", "b.jpg"):
        raw_data.write(name, b"x")
    for name in ("images/a", "a", "images/b", "b"):  # of b, each photo has one
        raw_data.write(f"gt/{name}.png", b"x")
    found = scan(settings(raw_data, masks="gt"))
    (problem,) = found.problems
    assert problem.what == "2 masks are of photo 'images/a' (images/a.png and a.png)"
    assert not found.findings


def test_mask_that_fits_two_photos_is_an_error(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags\nx/a,cow\ny/a,cow\n")
    for name in ("x/a.jpg", "y/a.jpg", "gt/a.png"):
        raw_data.write(name, b"x")
    (problem,) = scan(settings(raw_data, masks="gt")).problems
    assert problem.what == "a.png fits two photos (x/a and y/a)"


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"tags": "none.csv"}, "none.csv: cannot be read"),
        ({"masks": "none"}, "raw/none: no such folder"),
        ({"classes": "none.txt"}, "none.txt: cannot be read"),
    ],
)
def test_missing_parts_are_named(raw_data: RawData, others: dict[str, str], message: str) -> None:
    raw_data.write("a.jpg", b"x")
    raw_data.write("tags.csv", "filename,tags\na,cow\n")
    with pytest.raises(UserError, match=message):
        scan(settings(raw_data, **others))


def test_empty_and_missing_roots(raw_data: RawData, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="raw: no photo found"):
        scan(settings(raw_data))
    with pytest.raises(UserError, match="nowhere: no such folder"):
        scan(DatasetSettings(root=str(tmp_path / "nowhere"), format="folder"))


def test_whole_way_with_masks(raw_data: RawData) -> None:
    raw_data.photo("images/a.jpg", (4, 5))
    raw_data.photo("images/b.jpg", (4, 5))
    save_mask_png(raw_data.root / "masks/b.png", np.eye(4, 5, dtype=np.uint8))
    raw_data.write("tags.csv", "filename,tags,split\na.jpg,cow|sheep,train\nb.jpg,cow,validation\n")
    index = raw_data.index({"masks": "masks"})
    assert index is not None
    assert index.classes == ("background", "cow", "sheep")
    assert [(r.id, r.split, r.mask, r.tags, r.height, r.width) for r in index.records] == [
        ("images/a", "train", None, (1, 2), 4, 5),
        ("images/b", "val", "masks/b.png", (1,), 4, 5),
    ]
