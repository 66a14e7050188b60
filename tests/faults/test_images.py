"""Faults 1–12 and 16: photos that are damaged, odd, hostile, or there twice."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.data.ids import READS_HEIC
from wsss.data.images import load_image, rgb_array

COPY_AGAIN = "copy or download the file again, or delete it, and its row in the table of tags"


@pytest.fixture
def one(raw_data: RawData) -> RawData:
    """A data set whose tag file names `a.jpg` and `b.jpg`, of which `b.jpg` is sound."""
    raw_data.write("tags.csv", "filename,tags\na.jpg,cow\nb.jpg,sheep\n")
    raw_data.photo("b.jpg")
    return raw_data


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def claim_size(png: bytes, width: int, height: int) -> bytes:
    """The PNG with another size in its header, checksum included."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def test_fault_01_truncated_jpeg(one: RawData) -> None:
    data = one.photo("a.jpg", (64, 64)).read_bytes()
    one.write("a.jpg", data[: len(data) // 2])
    one.fails("raw/a.jpg: damaged or truncated JPEG (image file is truncated", fix=COPY_AGAIN)


def test_fault_01_all_damaged_photos_are_named_at_once(one: RawData) -> None:
    one.write("a.jpg", one.photo("a.jpg", (64, 64)).read_bytes()[:200])
    one.write("b.jpg", one.photo("b.jpg", (64, 64)).read_bytes()[:200])
    one.fails("raw/a.jpg: damaged", "raw/b.jpg: damaged", fix=COPY_AGAIN)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_fault_02_corrupt_bytes(raw_data: RawData, suffix: str) -> None:
    raw_data.write("tags.csv", "filename,tags\na,cow\n")
    path = raw_data.photo(f"a.{suffix}", (64, 64), **({"compression": "tiff_lzw"} if suffix == "tif" else {}))
    data = bytearray(path.read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(data)
    raw_data.fails(f"raw/a.{suffix}: ", fix=COPY_AGAIN)


def test_fault_03_empty_file(one: RawData) -> None:
    one.write("a.jpg", b"")
    one.fails("a.jpg: not an image (found an empty file, expected JPEG, PNG", fix=COPY_AGAIN)


def test_fault_03_html_named_jpg(one: RawData) -> None:
    one.write("a.jpg", "\n<!DOCTYPE html><html><body>404 Not Found</body></html>")
    one.fails("a.jpg: not an image (found an HTML page, expected JPEG, PNG", fix=COPY_AGAIN)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\0" * 5000, "zero bytes only"),
        (b"\0\0\0\x18ftypavif\0\0", "a HEIC or AVIF"),
        (b"GIF89a", "a GIF"),
        (b"abcd", "bytes 61 62 63 64"),
    ],
)
def test_fault_03_other_files_named_jpg(one: RawData, content: bytes, kind: str) -> None:
    one.write("a.jpg", content)
    one.fails(f"a.jpg: not an image (found {kind}", fix=COPY_AGAIN)


@pytest.mark.skipif(READS_HEIC, reason="pillow-heif is installed")
def test_fault_03_heic_named_jpg_without_its_package(one: RawData) -> None:
    one.write("a.jpg", b"\0\0\0\x18ftypheic\0\0")
    fix = "convert the photo to JPEG or PNG, or: pip install 'wsss[heic]'"
    one.fails("a.jpg: not an image (found a HEIC photo, expected JPEG, PNG", fix=fix)


@pytest.mark.skipif(not READS_HEIC, reason="needs wsss[heic]")
def test_heic_photos_are_read(one: RawData) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    picture = Image.linear_gradient("L").convert("RGB").resize((64, 48))
    for name in ("a.heic", "b.HEIF"):
        saved(one.root, name, picture, format="HEIF")
        found = load_image(one.root / name)
        assert found.shape == (48, 64, 3)
        assert abs(found.astype(int) - np.asarray(picture)).mean() < 4
    (one.root / "c.heic").write_bytes((one.root / "a.heic").read_bytes()[:100])
    with pytest.raises(UserError, match="damaged or truncated HEIC"):
        load_image(one.root / "c.heic")


def test_fault_04_decompression_bomb(one: RawData) -> None:
    png = one.photo("a.png").read_bytes()
    one.write("a.png", claim_size(png, 50_000, 50_000))
    one.fails(
        "a.png: the photo is too large (found 50000 × 50000 pixels = 2500 megapixels, expected ≤ 120",
        fix="shrink the photo, or raise dataset.max_megapixels",
    )


def test_fault_04_the_limit_is_a_setting(one: RawData) -> None:
    one.photo("a.jpg", (200, 200))
    fix = "shrink the photo, or raise dataset.max_megapixels"
    one.fails("= 0.04 megapixels, expected ≤ 0.03", fix=fix, settings={"max_megapixels": 0.03})


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_fault_05_legal_panorama_of_100_megapixels(tmp_path: Path, suffix: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    path = saved(tmp_path, f"panorama.{suffix}", Image.new("L", (20_000, 5_000), 90))
    assert load_image(path).shape == (5_000, 20_000, 3)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_fault_06_exif_rotation(tmp_path: Path, suffix: str) -> None:
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:20, :30] = (250, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed after a quarter turn clockwise
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(stored), exif=exif)
    shown = load_image(path)
    assert shown.shape == (60, 40, 3)
    assert (shown[5, 35] > (200, -1, -1)).all()
    assert shown[5, 5, 0] < 50


def test_fault_06_index_holds_the_displayed_size(one: RawData) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    one.photo("a.jpg", (6, 8), exif=exif)
    index = one.index()
    assert index is not None
    assert (index.records[0].height, index.records[0].width) == (8, 6)


def test_fault_06_damaged_exif_is_no_rotation(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jpg", Image.new("RGB", (8, 6)), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert load_image(path).shape == (6, 8, 3)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_fault_07_cmyk(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, f"a.{suffix}", Image.new("CMYK", (16, 16), (0, 255, 255, 0)))
    assert np.abs(load_image(path).astype(int) - (255, 0, 0)).max() <= 8


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_fault_08_16_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.array([[0, 257 * 10, 257 * 128, 65535]], np.uint16)
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(ramp))
    assert load_image(path)[0].tolist() == [[0] * 3, [10] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize(("bits", "warned"), [(10, True), (12, True), (14, True), (16, False)])
def test_fault_08_16_bit_files_that_hold_fewer(raw_data: RawData, bits: int, warned: bool) -> None:
    """X-ray, microscope and thermal cameras write 12 bits into 16: divided by 257, these are nearly black."""
    raw_data.write("tags.csv", "filename,tags,split\na,cow,train\nb,cow,val\n")
    raw_data.photo("b.jpg")
    Image.fromarray(np.linspace(0, 2**bits - 1, 48).reshape(6, 8).astype(np.uint16)).save(raw_data.root / "a.png")
    assert raw_data.index({"classes": ""}) is not None
    assert ("photos that are nearly black as they are read: a (brightest pixel " in raw_data.text) == warned


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_fault_05_large_photos_are_converted_in_bands(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """The bands do not show."""
    noise = np.random.default_rng(0).integers(0, 256, (13, 7, 4), np.uint8)
    photo = Image.fromarray(noise)
    if mode == "I;16":
        photo = Image.fromarray(noise[..., 0].astype(np.uint16) * 201)
    elif mode != "RGBA":
        photo = photo.convert("RGB").convert(mode)
    whole = rgb_array(photo, "a")
    monkeypatch.setattr("wsss.data.mask_values.BAND", 15)
    assert (rgb_array(photo, "a") == whole).all()
    if mode == "RGB":
        assert (whole == noise[..., :3]).all()


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_fault_08_32_bits_are_refused(tmp_path: Path, kind: type) -> None:
    path = saved(tmp_path, "a.tif", Image.fromarray(np.full((4, 4), 100_000, kind)))
    with pytest.raises(UserError, match=r"a\.tif: 32-bit pixels from 100000 to 100000") as caught:
        load_image(path)
    assert caught.value.fix == "save the photo with 8 bits a channel"


def test_fault_09_transparency_is_laid_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    white = [255, 255, 255]
    assert load_image(saved(tmp_path, "rgba.png", clear))[0, 0].tolist() == white
    assert load_image(saved(tmp_path, "la.png", Image.new("LA", (4, 4), (0, 0))))[0, 0].tolist() == white
    assert load_image(saved(tmp_path, "a.webp", clear, lossless=True))[0, 0].tolist() == white
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert load_image(saved(tmp_path, "p.png", palette, transparency=1))[0, 0].tolist() == white
    assert load_image(saved(tmp_path, "bytes.png", palette, transparency=b"\xff\0"))[0, 0].tolist() == white
    key = saved(tmp_path, "rgb.png", Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3))
    assert load_image(key)[0, 0].tolist() == white
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert load_image(saved(tmp_path, "half.png", half))[0, 0, 0] in (126, 127, 128)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_fault_10_first_of_several_frames_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    for _ in range(2):
        assert load_image(path)[4, 4, 0] > 240
    assert capsys.readouterr().err.count(f"a.{suffix}: has several frames or pages; the first is used") == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (5, 3)])
def test_fault_11_tiny_and_thin_photos_load(one: RawData, size: tuple[int, int]) -> None:
    one.photo("a.jpg", size)
    index = one.index()
    assert index is not None
    assert (index.records[0].height, index.records[0].width) == size


def test_fault_12_other_picture_formats_are_counted(one: RawData) -> None:
    one.photo("a.jpg")
    for name in ("c.eps", "d.psd", "e.svg", "f.AVIF", "g.cr2", "sub/h.avif"):
        one.write(name, b"anything")
    assert one.index() is not None
    assert "ignored 6 pictures in formats that are not read (2 .avif, 1 .cr2, 1 .eps, 1 .psd, 1 .svg" in one.text
    assert "fix: convert those that are photos to JPEG or PNG" in one.text


@pytest.mark.parametrize("name", ["c.avif", "c", "sub/c.avif"])
def test_fault_12_other_picture_format_in_a_tag_row(one: RawData, name: str) -> None:
    one.photo("a.jpg")
    one.write("sub/c.avif", b"anything")
    one.write("tags.csv", f"filename,tags\na.jpg,cow\nb.jpg,cow\n{name},cow\n")
    one.fails("tags.csv:4: 'sub/c.avif' is in a format that is not read", fix="convert the photo to JPEG or PNG")


@pytest.mark.skipif(READS_HEIC, reason="pillow-heif is installed")
def test_fault_12_heic_says_which_package_reads_it(one: RawData) -> None:
    one.photo("a.jpg")
    one.write("c.HEIC", b"anything")
    assert one.index() is not None
    assert "photos to JPEG or PNG; or, for HEIC: pip install 'wsss[heic]'" in one.text


@pytest.mark.skipif(READS_HEIC, reason="pillow-heif is installed")
def test_fault_12_heic_in_the_table_says_which_package_reads_it(one: RawData) -> None:
    one.photo("a.jpg")
    one.write("c.HEIC", b"anything")
    one.write("tags.csv", "filename,tags\na.jpg,cow\nb.jpg,cow\nc.HEIC,cow\n")
    fix = "convert the photo to JPEG or PNG, or: pip install 'wsss[heic]'"
    one.fails("tags.csv:4: 'c.HEIC' is in a format that is not read", fix=fix)


def test_fault_16_identical_photos(raw_data: RawData) -> None:
    data = raw_data.photo("a.jpg").read_bytes()
    raw_data.write("b.jpg", data)
    raw_data.write("tags.csv", "filename,tags\na,cow\nb,cow\n")
    assert raw_data.index() is not None
    assert "identical photos under several names: a = b\nfix: delete the copies" in raw_data.text
    assert "in several splits" not in raw_data.text


def test_fault_16_identical_photos_in_train_and_val(raw_data: RawData) -> None:
    data = raw_data.photo("a.jpg").read_bytes()
    raw_data.write("b.jpg", data)
    raw_data.write("tags.csv", "filename,tags,split\na,cow,train\nb,cow,val\n")
    assert raw_data.index() is not None
    assert "identical photos in several splits: a (train) = b (val); scores will be too good" in raw_data.text
