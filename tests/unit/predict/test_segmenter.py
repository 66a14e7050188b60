"""The Python interface: photos in any form, tiny and huge, valid and not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import CLASSES, REPO
from tests.toy_networks import photo, write_oste, write_student
from tests.toy_oste import toy_classifier
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.data.captions import legend
from wsss.data.images import load_mask
from wsss.predict.how import DEFAULT_CRF
from wsss.predict.networks import Segmenting
from wsss.predict.segmenter import Segmentation, Segmenter


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student") / "student.pt")


@pytest.fixture(scope="module")
def segmenter(student: Path) -> Segmenter:
    torch.set_num_threads(1)
    return Segmenter.load(student)


def test_path_image_and_array_are_the_same_photo(segmenter: Segmenter, tmp_path: Path) -> None:
    pixels = photo(70, 101)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    labels = [
        segmenter(form).label for form in (pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png"))
    ]
    for label in labels:
        assert label.shape == (70, 101)
        assert label.dtype == np.uint8
        np.testing.assert_array_equal(label, labels[0])


def test_images_are_turned_and_flattened_as_files_are(segmenter: Segmenter, tmp_path: Path) -> None:
    image = Image.fromarray(photo(40, 60)).convert("RGBA")
    image.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        found = segmenter(opened)
    assert found.label.shape == (60, 40)
    np.testing.assert_array_equal(found.photo, segmenter(tmp_path / "a.png").photo)


def test_result_says_what_is_where(segmenter: Segmenter, tmp_path: Path) -> None:
    found = segmenter(photo(96, 96), scales=(0.5, 1.0), flip=True, crf=True)
    assert found.names == CLASSES
    assert set(found.classes) == {CLASSES[n] for n in np.unique(found.label) if n}
    assert sum(found.area(name) for name in CLASSES) == pytest.approx(1)
    assert found.confidence.shape == found.label.shape
    assert 0 <= found.confidence.min() <= found.confidence.max() <= 1
    found.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "P"
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png", (96, 96), len(CLASSES)), found.label)
    assert found.overlay(with_legend=False).size == (96, 96)
    assert found.overlay(32, with_legend=False).size == (32, 32)
    for width in (32, 96):
        drawn = np.asarray(found.overlay(width))
        assert (drawn[:width] == np.asarray(found.overlay(width, with_legend=False))).all()
        assert (drawn[width:] == legend(CLASSES, np.unique(found.label), width)).all()


def test_classes_and_areas_of_a_known_label() -> None:
    label = np.array([[0, 0, 2, 2], [0, 0, 0, 3]], np.uint8)
    found = Segmentation(np.zeros((2, 4, 3), np.uint8), label, np.ones((2, 4), np.float16), CLASSES)
    assert found.classes == ("cat", "dog")
    assert found.area("cat") == 0.25
    assert found.area("Kuh") == 0
    assert found.area("background") == 0.625
    with pytest.raises(UserError) as caught:
        found.area("cot")
    assert str(caught.value) == (
        "error: cot: unknown class (did you mean 'cat'?)\nfix: choose among background, Kuh, cat, dog"
    )


def test_crf_settings_may_be_given(segmenter: Segmenter) -> None:
    pixels = photo(64, 64)
    same = segmenter(pixels, crf=DEFAULT_CRF)
    np.testing.assert_array_equal(same.label, segmenter(pixels, crf=True).label)
    weak = DEFAULT_CRF.model_copy(update={"bilateral_weight": 0.0, "spatial_weight": 0.0})
    np.testing.assert_array_equal(segmenter(pixels, crf=weak).label, segmenter(pixels).label)


def test_oste_segments_by_its_branch(tmp_path: Path) -> None:
    segmenter = Segmenter.load(write_oste(tmp_path / "oste.pt"))
    assert segmenter.network.kind == "oste"
    assert segmenter(photo(50, 81)).label.shape == (50, 81)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (33, 31)])
def test_odd_sizes(segmenter: Segmenter, size: tuple[int, int]) -> None:
    assert segmenter(photo(*size), scales=(0.3, 1.0), flip=True).label.shape == size


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (np.zeros((4, 4), np.uint8), "an array uint8 (4, 4)"),
        (np.zeros((4, 4, 3), np.float32), "an array float32 (4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "an array uint8 (0, 4, 3)"),
        (b"bytes", "bytes"),
        (None, "NoneType"),
    ],
)
def test_refuses_other_things(segmenter: Segmenter, given: object, found: str) -> None:
    with pytest.raises(UserError) as caught:
        segmenter(given)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"error: photo: found {found}, expected a path, a PIL image or a uint8 array (H, W, 3)\n"
        "fix: convert it: np.asarray(image.convert('RGB'))"
    )


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (float("nan"),), (9.0,)])
def test_refuses_scales(segmenter: Segmenter, scales: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="scales: found"):
        segmenter(photo(8, 8), scales=scales)


def test_refuses_what_does_not_segment(tmp_path: Path) -> None:
    path = toy_classifier(tmp_path / "backbone.pt")
    with pytest.raises(UserError) as caught:
        Segmenter.load(path)
    assert str(caught.value) == (
        f"error: {path}: a classifier does not segment (expected a student or an oste)\n"
        "fix: give artifacts/student.pt or artifacts/oste.pt"
    )
    with pytest.raises(UserError, match="is a folder, expected a network file"):
        Segmenter.load(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        Segmenter.load(tmp_path / "none.pt")
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(IntegrityError, match="not a checkpoint, or truncated"):
        Segmenter.load(tmp_path / "cut.pt")


def test_network_with_nan_is_no_background(tmp_path: Path) -> None:
    segmenter = Segmenter.load(write_student(tmp_path / "student.pt"))
    with torch.no_grad():
        segmenter.network.run.__self__.head.weight[0] = torch.nan  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match="student: gave NaN or Inf as probabilities"):
        segmenter(photo(16, 16))


@pytest.mark.parametrize("error", [MemoryError(), None])
def test_out_of_memory_names_the_setting(error: MemoryError | None) -> None:
    def greedy(images: torch.Tensor) -> torch.Tensor:
        if error is not None:
            raise error
        return torch.empty(10**14)  # torch has its own words for it

    small = Segmenter(Segmenting(greedy, "student", CLASSES), "", torch.device("cpu"))
    with pytest.raises(EnvError) as caught:
        small(photo(8, 12))
    assert str(caught.value) == (
        "error: photo: out of memory on 12×8 pixels in tiles of 1024\n"
        "fix: give smaller tiles: Segmenter.load(…, tile=512), --tile 512"
    )


PANORAMA = """
import resource
import numpy as np, torch
from torch.nn import functional as F
from wsss.predict.networks import Segmenting
from wsss.predict.segmenter import Segmenter

def run(images):
    small = F.avg_pool2d(images, 8, ceil_mode=True)
    return torch.cat([small, small.flip(1)[:, :1]], 1)

torch.set_num_threads(1)
segmenter = Segmenter(Segmenting(run, "student", ("background", "a", "b", "c")), "", torch.device("cpu"))
pixels = np.broadcast_to(np.arange(20_000, dtype=np.uint8)[None, :, None], (5_000, 20_000, 3)).copy()
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = segmenter(pixels)
assert found.label.shape == (5_000, 20_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024)
"""


@pytest.mark.slow
def test_panorama_of_100_megapixels_needs_bounded_memory() -> None:
    process = subprocess.run([sys.executable, "-c", PANORAMA], cwd=REPO, check=True, capture_output=True, text=True)
    # Beside the photo: label and confidence 286 MiB, probabilities 48 MiB, one tile.
    assert float(process.stdout) < 700
