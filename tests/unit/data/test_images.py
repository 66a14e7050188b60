"""Photos and masks that are as they should be; the faults are in tests/faults."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.core.errors import UserError
from wsss.data.images import decode_image, load_image, load_mask, save_mask_png, voc_palette


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == "webp" else {}))
    loaded = load_image(path)
    assert loaded.dtype == np.uint8
    assert loaded.flags.writeable  # torch.from_numpy wants it
    assert (loaded == pixels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(tmp_path: Path, pixels: np.ndarray, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        assert (load_image(path) == np.array(ImageOps.exif_transpose(image))).all()


def test_grey_and_bilevel_photos_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 77).save(tmp_path / "l.png")
    Image.new("1", (3, 2), 1).save(tmp_path / "1.png")
    assert (load_image(tmp_path / "l.png") == 77).all()
    assert (load_image(tmp_path / "1.png") == 255).all()


def test_missing_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jpg: cannot be read \(No such file or directory\)"):
        load_image(tmp_path / "none.jpg")


def test_globals_of_pillow_and_warnings_stay_as_they_were(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)

    def attempt(number: int) -> int:
        try:
            return int(decode_image(data[: len(data) // (1 + number % 2)], "a.png").sum())
        except UserError:
            return -1

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(attempt, range(200)))
    assert results == [int(pixels.sum()), -1] * 100
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_voc_palette() -> None:
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    assert {number: tuple(voc_palette()[number].tolist()) for number in known} == known
    assert len(np.unique(voc_palette(), axis=0)) == 256
    assert not voc_palette().flags.writeable


def test_masks_come_back_from_indexed_grey_and_colour_png(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).choice(np.array([*range(21), 255], np.uint8), (9, 13))
    save_mask_png(tmp_path / "indexed.png", mask)
    Image.fromarray(mask).save(tmp_path / "grey.png")
    Image.fromarray(voc_palette()[mask]).save(tmp_path / "colour.png")
    for name in ("indexed", "grey", "colour"):
        loaded = load_mask(tmp_path / f"{name}.png", (9, 13), 21)
        assert loaded.dtype == np.uint8
        assert (loaded == mask).all()


def test_saved_mask_shows_the_voc_colours(tmp_path: Path) -> None:
    save_mask_png(tmp_path / "m.png", np.array([[0, 1, 255]], np.uint8))
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "P"
        assert (np.array(image.convert("RGB"))[0] == voc_palette()[[0, 1, 255]]).all()


@pytest.mark.parametrize("mask", [np.zeros((2, 2), int), np.zeros((2, 2, 3), np.uint8)])
def test_save_mask_refuses_what_is_no_mask(tmp_path: Path, mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a mask"):
        save_mask_png(tmp_path / "m.png", mask)


def test_masks_of_real_data_are_what_pillow_reads(shared_data: Path) -> None:
    for path in sorted((shared_data / "msrc_v2" / "SegmentationClass").iterdir())[:20]:
        with Image.open(path) as image:
            expected = np.array(image)
        assert (load_mask(path, expected.shape, 17) == expected).all()
