"""Photos whose files are larger or smaller than they are read: rotated, CMYK, damaged, tiny, elongated, with masks."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from tests.conftest import RawData
from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import MARK
from wsss.data.images import load_image, read_photo, save_mask_png
from wsss.data.index import Record, read_index
from wsss.data.masks import MaskedImages
from wsss.data.photos import Photos

AUTO = {"long_side": "auto"}


def scene(height: int, width: int) -> np.ndarray:
    """A smooth photo: every corner has its colour."""
    corners = np.array([[(250, 10, 10), (10, 250, 10)], [(10, 10, 250), (240, 240, 240)]], np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=95, exif=exif)
    return buffer.getvalue()


def stored(data: bytes, folder: Path, size: tuple[int, int]) -> np.ndarray:
    """The photo as stages read it."""
    folder.mkdir(exist_ok=True)
    (folder / "a.jpg").write_bytes(data)
    record = Record("a", "train", "a.jpg", None, (), *size, hashlib.sha256(data).hexdigest(), 1, 1)
    return Photos(folder, 100.0, (record,)).image(record)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_shrunk_jpeg_is_the_whole_photo_shrunk(tmp_path: Path, mode: str, orientation: int) -> None:
    """Decoded at an eighth, and still upright, in its colours and of its size."""
    data = jpeg(Image.fromarray(scene(1200, 1600)).convert(mode), orientation)
    turned = orientation > 4
    size = (64, 48) if turned else (48, 64)
    found = stored(data, tmp_path / "x", size)
    assert found.shape == (*size, 3)
    with Image.open(BytesIO(data)) as image:
        whole = ImageOps.exif_transpose(image).convert("RGB").resize(size[::-1], Image.Resampling.BOX)
    assert np.abs(found.astype(int) - np.asarray(whole)).max() <= 12
    opened = read_photo(data, "a.jpg", lambda height, width: (height // 10, width // 10))
    assert opened.own_size == ((1600, 1200) if turned else (1200, 1600))
    assert opened.image.shape[:2] == ((160, 120) if turned else (120, 160))


def test_draft_decodes_fewer_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    draft = JpegImageFile.draft

    def watched(self: JpegImageFile, mode: str | None, size: tuple[int, int] | None) -> object:
        found = draft(self, mode, size)
        sizes.append(self.size)
        return found

    monkeypatch.setattr(JpegImageFile, "draft", watched)
    data = jpeg(Image.fromarray(scene(1200, 1600)))
    assert read_photo(data, "a.jpg", lambda *own: (90, 120)).image.shape == (90, 120, 3)
    assert sizes == [(400, 300)]  # a quarter; an eighth would be coarser than twice what is wanted
    read_photo(data, "a.jpg", lambda *own: own)
    assert len(sizes) == 1


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tif"])
def test_other_formats_are_shrunk_after_decoding(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(scene(300, 400)).save(tmp_path / f"a.{suffix}")
    data = (tmp_path / f"a.{suffix}").read_bytes()
    found = read_photo(data, suffix, lambda height, width: (height // 4, width // 4))
    assert (found.own_size, found.image.shape) == ((300, 400), (75, 100, 3))
    assert np.abs(found.image.astype(int) - scene(75, 100)).mean() < 6


def test_truncated_jpeg_is_damaged_at_any_size() -> None:
    data = jpeg(Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)))[:-4000]
    for times in (1, 8):
        with pytest.raises(UserError, match="damaged or truncated JPEG"):
            read_photo(data, "a.jpg", lambda height, width, times=times: (height // times, width // times))


def test_damaged_photos_have_no_say_in_the_size(raw_data: RawData) -> None:
    rows = ["filename,tags,split"]
    for number in range(3):
        Image.fromarray(scene(768, 1024)).save(raw_data.write(f"{number}.jpg", b""))
        rows.append(f"{number}.jpg,cow,train")
    raw_data.write("3.jpg", (raw_data.root / "0.jpg").read_bytes()[:3000])
    raw_data.write("tags.csv", "\n".join([*rows, "3.jpg,cow,train"]))
    fix = "copy or download the file again, or delete it, and its row in the table of tags"
    raw_data.fails("3.jpg: damaged or truncated JPEG", settings=AUTO, fix=fix)
    (raw_data.root / "3.jpg").unlink()
    raw_data.write("tags.csv", "\n".join(rows))
    index = raw_data.index(AUTO)
    assert index is not None
    assert index.long_side == 400
    assert {(record.size, record.own_size) for record in index.records} == {((300, 400), (768, 1024))}
    assert (
        "photos are read at a longer side of about 400 pixels (dataset.long_side; their own: 1024 in the middle)"
        in raw_data.text
    )


@pytest.mark.parametrize(
    ("own", "read"), [((20, 20), (60, 60)), ((500, 8000), (100, 1600)), ((1, 1), (3, 3)), ((300, 300), (400, 400))]
)
def test_tiny_and_elongated_photos_among_large_ones(
    raw_data: RawData, own: tuple[int, int], read: tuple[int, int]
) -> None:
    sizes = {"a": (768, 1024), "b": (1024, 768), "odd": own}
    for name, size in sizes.items():
        Image.fromarray(scene(*size)).save(raw_data.write(f"{name}.jpg", b""))
    raw_data.write("tags.csv", "filename,tags\na.jpg,cow\nb.jpg,cow\nodd.jpg,cow\n")
    index = raw_data.index(AUTO)
    assert index is not None
    odd = next(record for record in index.records if record.id == "odd")
    assert (odd.size, odd.own_size) == (read, own)
    assert Photos(raw_data.root, 100.0, index.records).image(odd).shape == (*read, 3)


def test_mask_has_the_files_own_size(raw_data: RawData) -> None:
    data = jpeg(Image.fromarray(scene(1500, 2000)), orientation=6)
    raw_data.write("a.jpg", data)
    raw_data.write("tags.csv", "filename,tags,split\na.jpg,cow,val\n")
    mask = np.zeros((2000, 1500), np.uint8)
    mask[:700] = 1
    save_mask_png(raw_data.root / "masks/a.png", mask)
    index = raw_data.index({**AUTO, "masks": "masks"})
    assert index is not None
    record = index.records[0]
    assert (record.size, record.own_size) == ((400, 300), (2000, 1500))
    found = MaskedImages(Photos(raw_data.root, 100.0, index.records), 2)
    np.testing.assert_array_equal(found.mask(record), mask)
    whole = Image.fromarray(load_image(raw_data.root / "a.jpg")).resize((300, 400), Image.Resampling.BOX)
    assert np.abs(found.photos.image(record).astype(int) - np.asarray(whole)).max() < 8
    save_mask_png(raw_data.root / "masks/a.png", mask[::4, ::4])
    (raw_data.out / "index.csv").unlink()
    raw_data.fails(
        "a.png: mask of 375 × 500 pixels, but its photo is displayed as 1500 × 2000 pixels",
        settings={**AUTO, "masks": "masks"},
        fix="give mask and photo the same size",
    )


@pytest.mark.parametrize("long_side", [-1, "large", 1.5])
def test_impossible_long_sides(raw_data: RawData, long_side: object) -> None:
    raw_data.photo("a.jpg")
    raw_data.write("tags.csv", "filename,tags\na.jpg,cow\n")
    assert raw_data.index({"long_side": long_side}) is None
    assert raw_data.exit_code == 2
    assert "dataset.long_side" in raw_data.text


def test_index_of_an_earlier_version_is_one_of_photos_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("id,name\n0,background\n1,cow\n")
    head = "id,split,image,mask,tags,height,width,sha256\n"
    (tmp_path / "index.csv").write_text(f"{head}a,train,a.jpg,,cow,8,9,{'0' * 64}\n")
    index = read_index(tmp_path)
    assert index.long_side == 0
    assert index.records[0].own_size == index.records[0].size == (8, 9)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"long_side": "auto"}', '{"long_side": -3}', '{"long_side": true}'])
def test_damaged_size_of_an_index(raw_data: RawData, text: str) -> None:
    raw_data.photo("a.jpg")
    raw_data.write("tags.csv", "filename,tags\na.jpg,cow\n")
    raw_data.index()
    (raw_data.out / MARK).unlink()  # else damage is found by its checksum
    (raw_data.out / "size.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"size\.json: cannot be read"):
        read_index(raw_data.out)
    (raw_data.out / "size.json").unlink()
    with pytest.raises(UserError, match=r"size\.json: no such file"):
        read_index(raw_data.out)
