"""Masks from elsewhere: whose they are, and what their colours mean."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.core.errors import UserError
from wsss.data.images import save_mask_png, voc_palette
from wsss.data.origins import HAND, NETWORK, ORIGINS, Origin, digest, origins_text
from wsss.evaluation.edited_masks import EditedMasks, masks_in, unpacked
from wsss.evaluation.exported import known_exports
from wsss.evaluation.mask_names import photo_names

CLASSES = ("background", "cow", "dog")
IDS = ("images/a", "images/b", "other/b")
MASK = np.array([[0, 1, 2], [255, 0, 1]], np.uint8)


@contextmanager
def edited_masks(source: Path, ids: Sequence[str], splits: Mapping[str, str]) -> Iterator[EditedMasks]:
    with unpacked(source) as folder:
        yield masks_in(folder, source, ids, CLASSES, splits, known_exports(folder, None, ids, CLASSES))


def write(folder: Path, name: str, colours: np.ndarray | None = None, mask: np.ndarray = MASK) -> None:
    path = folder / "SegmentationClass" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if colours is None:
        save_mask_png(path, mask)
    else:
        Image.fromarray(colours[mask]).save(path)


def read(source: Path, name: str = "images/a", size: tuple[int, int] = (2, 3)) -> np.ndarray:
    with edited_masks(source, IDS, {}) as edited:
        return edited.mask(name, size)


def test_photo_of_a_mask_may_have_lost_its_folder() -> None:
    assert [photo_names(IDS).get(name) for name in ("images/a", "a", "b", "images/b", "mages/a", "c")] == [
        *("images/a", "images/a", None, "images/b", None, None)
    ]


@pytest.mark.parametrize("inner", ["", "SegmentationClass"])
def test_folder_of_class_ids(tmp_path: Path, inner: str) -> None:
    write(tmp_path, "a")
    np.testing.assert_array_equal(read(tmp_path / inner), MASK)


def test_origins_are_of_the_photos_that_the_masks_are_of(tmp_path: Path) -> None:
    """Predicted from the folder `images` itself, the photo `images/a` is called `a` in archive and origins alike."""
    write(tmp_path, "a")
    (tmp_path / ORIGINS).write_text(origins_text({"a": Origin(NETWORK, "found", digest(MASK))}))
    with edited_masks(tmp_path, IDS, {}) as edited:
        assert edited.origin("images/a", MASK).kind == NETWORK
        assert edited.origin("images/a", np.zeros_like(MASK)).kind == HAND


@pytest.mark.parametrize("given", ["", "masks"])
def test_folder_of_predictions_has_the_classes_of_its_network(tmp_path: Path, given: str) -> None:
    save_mask_png(tmp_path / "masks/images%2Fa.png", MASK)
    (tmp_path / "settings.json").write_text('{"format": "wsss.predict", "classes": ["background", "dog", "cow"]}')
    np.testing.assert_array_equal(read(tmp_path / given), np.array([[0, 2, 1], [255, 0, 2]]))
    (tmp_path / "settings.json").write_text('{"format": "wsss.predict"}')
    with pytest.raises(UserError, match="does not say which classes the masks are of"):
        read(tmp_path / given)


def test_colours_are_voc_where_no_label_map_says_otherwise(tmp_path: Path) -> None:
    write(tmp_path, "images/a", voc_palette())
    np.testing.assert_array_equal(read(tmp_path), MASK)
    with edited_masks(tmp_path, IDS, {}) as edited:
        assert not edited.knows_ignored


def test_colours_of_a_label_map_are_found_by_name_in_an_archive(tmp_path: Path) -> None:
    colours = np.zeros((256, 3), np.uint8)
    colours[[1, 2, 255]] = (0, 128, 0), (128, 0, 0), (9, 9, 9)  # of cow and dog, VOC's are the other way round
    write(tmp_path / "made", "a", colours)
    (tmp_path / "made/labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\ndog:128,0,0::\nbackground:0,0,0::\nignore:9,9,9::\ncow:0,128,0::\n"
    )
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for name in ("SegmentationClass/a.png", "labelmap.txt"):
            archive.write(tmp_path / "made" / name, name)
        archive.writestr("ImageSets/Segmentation/default.txt", 'a\n"images/b"\nelsewhere\n')
    np.testing.assert_array_equal(read(tmp_path / "made.zip"), MASK)
    with edited_masks(tmp_path / "made.zip", IDS, {}) as edited:
        assert edited.knows_ignored
        assert edited.without == ("images/b",)
    with pytest.raises(UserError, match="but its photo is displayed as") as caught:
        read(tmp_path / "made.zip", size=(4, 6))
    assert caught.value.where == f"{tmp_path}/made.zip/SegmentationClass/a.png"


@pytest.mark.parametrize("mode", ["P", "L"])
def test_numbers_of_a_mask_are_those_of_its_colours_if_the_label_map_has_them(tmp_path: Path, mode: str) -> None:
    """An indexed mask has colours itself; a grey one those that VOC has for its numbers. Else it holds class ids."""
    numbers = np.array([[0, 2, 1], [255, 0, 2]], np.uint8)  # dog is 1, cow 2
    image = Image.fromarray(numbers)
    colours = voc_palette().copy()
    if mode == "P":
        colours[[1, 2, 255]] = (1, 2, 3), (4, 5, 6), (7, 8, 9)
        image.putpalette(colours.tobytes())
    (tmp_path / "SegmentationClass").mkdir()
    image.save(tmp_path / "SegmentationClass/a.png")
    rows = {"dog": colours[1], "cow": colours[2], "background": colours[0], "ignore": colours[255]}
    lines = [f"{name}:{','.join(map(str, colour.tolist()))}::\n" for name, colour in rows.items()]
    (tmp_path / "labelmap.txt").write_text("".join(lines))
    np.testing.assert_array_equal(read(tmp_path), MASK)
    (tmp_path / "labelmap.txt").write_text("".join(lines).replace("dog:", "cat:"))
    with pytest.raises(UserError, match="1 pixels have the label 'cat', which is no class"):
        read(tmp_path)
    (tmp_path / "labelmap.txt").write_text("cow:250,50,83::\ndog:1,1,1::\n")
    np.testing.assert_array_equal(read(tmp_path), numbers)


def test_labels_that_are_no_class_are_refused_where_pixels_have_them(tmp_path: Path) -> None:
    colours = voc_palette().copy()
    write(tmp_path, "a", colours, mask=np.array([[0, 1, 2], [0, 0, 1]], np.uint8))
    lines = "background:0,0,0::\ncow:128,0,0::\ndog:0,128,0::\ncat:7,7,7::\n"
    (tmp_path / "labelmap.txt").write_text(lines)
    assert read(tmp_path).max() == 2
    colours[2] = 7
    write(tmp_path, "a", colours)
    with pytest.raises(UserError, match=r"RGB \(224, 224, 192\) in 1 pixels, expected those of labelmap"):
        read(tmp_path)
    (tmp_path / "labelmap.txt").write_text(f"{lines}ignore:224,224,192::\n")
    with pytest.raises(UserError, match="1 pixels have the label 'cat', which is no class"):
        read(tmp_path)
    (tmp_path / "labelmap.txt").write_text(f"{lines.replace('cat', 'dogs')}ignore:224,224,192::\n")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert caught.value.what.endswith(r"have the label 'dogs', which is no class (did you mean 'dog'?)")
    fix = "give them another label, and export again; or correct the name in labelmap.txt"
    assert caught.value.fix == f"{fix} (classes: background, cow, dog)"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ((), "holds no mask"),
        (
            ("a", "nowhere", "images/bb"),
            r"2 of 3 masks fit no photo .*images/bb \(did you mean 'images/b'\?\)",
        ),
        (("b",), "1 of 1 masks fit no photo"),
        (("a", "images/a"), "two masks are of photo images/a: a.png and images/a.png"),
    ],
)
def test_masks_of_no_photo_and_two_of_one_are_refused(tmp_path: Path, names: tuple[str, ...], what: str) -> None:
    for name in names:
        write(tmp_path, name)
    with pytest.raises(UserError, match=what):
        read(tmp_path)


def test_what_is_neither_folder_nor_archive(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match="no folder and no"):
        read(tmp_path / "a.png")
    write(tmp_path, "a")
    with pytest.raises(UserError, match="but its photo is displayed as"):
        read(tmp_path, size=(4, 6))
    (tmp_path / "labelmap.txt").write_text("cow:red::\n")
    with pytest.raises(UserError, match="not a line of a label map"):
        read(tmp_path)


def test_photos_that_only_another_store_has_are_told_as_such(tmp_path: Path) -> None:
    write(tmp_path, "images/c")
    splits = dict.fromkeys(IDS, "train") | {"images/c": "val"}
    with pytest.raises(UserError) as caught, edited_masks(tmp_path, IDS, splits):
        pass
    assert caught.value.what == "1 of 1 masks fit no photo of the labels: images/c (of split val)"
    assert caught.value.fix == "make labels of these photos first: dvc repro correct; or remove these masks"


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("colours", [False, True])
def test_a_cut_mask_is_named(tmp_path: Path, colours: bool, archive: bool) -> None:
    source = tmp_path / "made"
    write(source, "a", voc_palette() if colours else None)
    (source / "labelmap.txt").write_text("background:0,0,0::\ncow:128,0,0::\ndog:0,128,0::\nignore:224,224,192::\n")
    mask = source / "SegmentationClass/a.png"
    mask.write_bytes(mask.read_bytes()[:-24])
    if archive:
        source = tmp_path / "made.zip"
        with zipfile.ZipFile(source, "w") as file:
            for name in ("SegmentationClass/a.png", "labelmap.txt"):
                file.write(tmp_path / "made" / name, name)
    with pytest.raises(UserError, match="damaged or truncated PNG") as caught:
        read(source)
    assert caught.value.where == f"{source}/SegmentationClass/a.png"
    assert caught.value.fix == "export it again; without this mask its photo keeps its label"


def test_an_empty_mask_is_none(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "SegmentationClass/a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"an empty file.*\nfix: export it again; without this mask"):
        read(tmp_path)
