"""Faults 6 and 21–24: masks that do not fit their photo, their classes, or the promise of a mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.data.images import load_mask, save_mask_png, voc_palette
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.photos import Photos

SETTINGS = {"masks": "masks"}
INDEXED = "save the mask as an indexed PNG"


@pytest.fixture
def masked(raw_data: RawData) -> RawData:
    """Photos `images/t.jpg` (train, cow) and `images/v.jpg` (val, sheep), 6 high and 8 wide; no mask yet."""
    raw_data.write("tags.csv", "filename,tags,split\nt,cow,train\nv,sheep,val\n")
    raw_data.photo("images/t.jpg")
    raw_data.photo("images/v.jpg")
    (raw_data.root / "masks").mkdir()
    return raw_data


def mask_of(value: int, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[1:3, 1:4] = value
    return mask


def test_fault_06_mask_of_the_unrotated_photo(masked: RawData) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    masked.photo("images/v.jpg", exif=exif)
    save_mask_png(masked.root / "masks/v.png", mask_of(1))
    masked.fails(
        "masks/v.png: mask of 8 × 6 pixels, but its photo is displayed as 6 × 8 pixels: "
        "the mask fits the photo before its EXIF rotation",
        fix="rotate the mask to the photo as it is displayed",
        settings=SETTINGS,
    )
    save_mask_png(masked.root / "masks/v.png", mask_of(1, (8, 6)))
    assert masked.index(SETTINGS) is not None


def test_fault_21_mask_value_beyond_the_classes(masked: RawData) -> None:
    save_mask_png(masked.root / "masks/v.png", mask_of(3))
    masked.fails(
        "masks/v.png: value that is no class (found 3 in 6 pixels, expected 0..2, or 255 = ignore)",
        fix="correct the mask, or the list of classes",
        settings=SETTINGS,
    )


def test_fault_21_16_bit_mask_value_does_not_wrap(masked: RawData) -> None:
    Image.fromarray(mask_of(1).astype(np.uint16) * 257).save(masked.root / "masks/v.png")
    masked.fails("found 257 in 6 pixels", fix="correct the mask, or the list of classes", settings=SETTINGS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_fault_22_colour_mask_in_the_voc_palette(masked: RawData, mode: str) -> None:
    mask = mask_of(2)
    mask[5] = 255
    path = masked.root / "masks/v.png"
    Image.fromarray(voc_palette()[mask]).convert(mode).save(path)
    assert (load_mask(path, (6, 8), 3) == mask).all()
    assert masked.index(SETTINGS) is not None


def test_fault_22_colour_mask_in_other_colours(masked: RawData) -> None:
    pixels = voc_palette()[mask_of(2)]
    pixels[0, 0] = (12, 34, 56)
    Image.fromarray(pixels).save(masked.root / "masks/v.png")
    masked.fails(
        "masks/v.png: colour that is no class (found RGB (12, 34, 56) in 1 pixels, "
        "expected the colours of the VOC palette)",
        fix=f"{INDEXED} of class ids",
        settings=SETTINGS,
    )


def test_fault_22_transparent_colour_mask(masked: RawData) -> None:
    Image.new("RGBA", (8, 6), (0, 0, 0, 0)).save(masked.root / "masks/v.png")
    masked.fails("masks/v.png: the colour mask has transparent pixels", fix=INDEXED, settings=SETTINGS)


@pytest.mark.parametrize("name", ["v.jpg", "v.png"])
def test_fault_22_jpeg_mask(masked: RawData, name: str) -> None:
    Image.fromarray(mask_of(1)).save(masked.root / "masks" / name, format="JPEG")
    what = f"masks/{name}: the mask is a JPEG, whose compression alters class ids"
    masked.fails(what, fix=f"{INDEXED}, from the original", settings=SETTINGS)


def test_fault_23_mask_of_another_size(masked: RawData) -> None:
    save_mask_png(masked.root / "masks/v.png", mask_of(1, (5, 8)))
    masked.fails(
        "masks/v.png: mask of 8 × 5 pixels, but its photo is displayed as 8 × 6 pixels\n",
        fix="give mask and photo the same size",
        settings=SETTINGS,
    )


def test_fault_24_mask_all_255(masked: RawData) -> None:
    save_mask_png(masked.root / "masks/v.png", np.full((6, 8), 255, np.uint8))
    assert masked.index(SETTINGS) is not None
    assert "val masks that are 255 (ignore) everywhere: images/v; they score nothing" in masked.text
    assert "fix: draw the masks, or delete them" in masked.text


def test_fault_24_class_absent_from_the_masks_of_a_split(masked: RawData) -> None:
    save_mask_png(masked.root / "masks/v.png", mask_of(2))
    assert masked.index(SETTINGS) is not None
    assert "classes in no val mask: cow; they have no IoU there\nfix: add val masks that show them" in masked.text


BINARY = "no mask shows a class, and 1 hold 0 and 255 (images/v): 255 is read as 'ignore'"


def test_fault_24_masks_of_black_and_white(masked: RawData) -> None:
    """The usual form for one class, whose white would be ignored, so that only background is scored."""
    save_mask_png(masked.root / "masks/v.png", mask_of(255))
    masked.fails(f"masks: {BINARY}", fix="write class ids in place of 255 (1 cow, 2 sheep)", settings=SETTINGS)
    save_mask_png(masked.root / "masks/v.png", mask_of(2))
    assert masked.index(SETTINGS) is not None


@pytest.mark.parametrize(("value", "warned"), [(255, True), (2, False), (0, False)])
def test_fault_24_some_masks_of_black_and_white(masked: RawData, value: int, warned: bool) -> None:
    masked.write("tags.csv", "filename,tags,split\nt,cow,train\nv,sheep,val\nw,sheep,val\nx,sheep,val\n")
    for name in ("v", "w", "x"):
        masked.photo(f"images/{name}.jpg")
        save_mask_png(masked.root / f"masks/{name}.png", mask_of(value if name != "x" else 2))
    assert masked.index(SETTINGS) is not None
    assert ("val masks of 0 and 255 without a class: images/v, images/w; 255 is read" in masked.text) == warned


@pytest.mark.parametrize(("background", "warned"), [(255, True), (0, False)])
def test_fault_24_white_background(masked: RawData, background: int, warned: bool) -> None:
    mask = mask_of(2)
    save_mask_png(masked.root / "masks/v.png", np.where(mask == 0, np.uint8(background), mask))
    assert masked.index(SETTINGS) is not None
    assert ("no val mask shows background (0): what is 255 in them is ignored" in masked.text) == warned


def test_checksums_of_masks_are_found_whatever_a_photo_is_called(raw_data: RawData) -> None:
    """A name that a spreadsheet would take for a formula is written with an apostrophe."""
    for name in ("=1+2", "-1", "@a"):
        raw_data.photo(f"{name}.png")
        save_mask_png(raw_data.root / "masks" / f"{name}.png", np.ones((6, 8), np.uint8))
    raw_data.write("tags.csv", "filename,tags\n=1+2.png,cow\n-1.png,cow\n@a.png,cow\n")
    index = raw_data.index({"masks": "masks"})
    assert index is not None
    checksums = read_mask_checksums(raw_data.out.with_name("masks.csv"))
    masked = MaskedImages(Photos(raw_data.root, 1.0, index.records), 2, checksums)
    for record in index.records:
        assert masked.mask(record) is not None
    save_mask_png(raw_data.root / "masks" / "-1.png", np.zeros((6, 8), np.uint8))
    (changed,) = (record for record in index.records if record.id == "-1")
    with pytest.raises(UserError, match="has changed since it was indexed"):
        masked.mask(changed)
