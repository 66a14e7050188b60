"""The size, scales, flip and CRF that a network's file holds: used by default, overridden part by part, at any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from tests.helpers import CLASSES
from tests.toy_networks import photo, write_student
from wsss import cli
from wsss.core.errors import IntegrityError, UserError
from wsss.crf.settings import CrfSettings
from wsss.data.images import load_mask
from wsss.data.size import ReadSizes
from wsss.models.checkpoint import save_network
from wsss.models.student import load_student
from wsss.predict.enlarge import label_at
from wsss.predict.how import DEFAULT_CRF, How, explained, resolve
from wsss.predict.networks import Segmenting
from wsss.predict.segment import SegmentSettings
from wsss.predict.segmenter import Segmenter
from wsss.predict.tiles import label_photo
from wsss.predict.view import View

CPU = torch.device("cpu")
CRF = DEFAULT_CRF.model_copy(update={"iterations": 3, "bilateral_xy": 20.0})
SIZES = ReadSizes(0, 320, 320, 320)
VIEW = SegmentSettings(scales=(1.0, 1.5), flip=True, crf=CRF)


def by_colour(images: torch.Tensor) -> torch.Tensor:
    """A network that segments: reddish, greenish and bluish things on grey."""
    grey = images.new_full((len(images), 1, *images.shape[2:]), 40.0)
    return torch.cat([grey, images - images.mean(1, True)], 1) / 12


def colours(sizes: ReadSizes | None = SIZES, view: SegmentSettings | None = VIEW) -> Segmenter:
    return Segmenter(Segmenting(by_colour, "student", CLASSES, None, sizes, view), "", CPU)


def scene() -> np.ndarray:
    """A grey photo with a red disc, a green bar and a blue triangle, with smooth outlines."""
    y, x = np.mgrid[:960, :1280] / 8 + 1 / 16
    picture = np.full((*x.shape, 3), 110.0) + 20 * np.sin(x / 9)[..., None]
    picture[(x - 45) ** 2 + (y - 50) ** 2 < 30**2] = (220, 40, 50)
    picture[(abs(x - 115) < 25) & (abs(y - 30) < 14)] = (40, 200, 60)
    picture[(y > 60) & (y < 110) & (abs(x - 110) < (y - 60) * 0.7)] = (50, 60, 230)
    large = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    return np.asarray(large.resize((320, 240), Image.Resampling.BOX))


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over the classes."""
    each = [((first == k) & (second == k)).sum() / ((first == k) | (second == k)).sum() for k in range(4)]
    return float(np.mean(each))


@pytest.mark.parametrize("times", [2, 4, 8])
@pytest.mark.parametrize("view", [VIEW, SegmentSettings(scales=(1.0,), flip=False, crf=None)])
@pytest.mark.parametrize("sizes", [SIZES, ReadSizes(320, 320, 320, 320)])
def test_an_enlarged_photo_has_the_same_mask(
    tmp_path: Path, times: int, view: SegmentSettings, sizes: ReadSizes
) -> None:
    """From a JPEG, a PNG and an array; at the photo's own size."""
    small = scene()
    segmenter = colours(sizes, view)
    before = segmenter(small)
    assert set(before.classes) == set(CLASSES[1:])
    image = Image.fromarray(small).resize((320 * times, 240 * times), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "a.png")
    for form in (tmp_path / "a.jpg", tmp_path / "a.png", np.asarray(image), image):
        found = segmenter(form)
        assert found.label.shape == found.confidence.shape == found.photo.shape[:2] == (240 * times, 320 * times)
        assert found.label.dtype == np.uint8
        assert found.confidence.dtype == np.float16
        assert 0 < found.confidence.min() <= found.confidence.max() <= 1
        assert iou(found.label, before.label.repeat(times, 0).repeat(times, 1)) >= 0.98


@pytest.mark.parametrize("crf", [None, CRF])
@pytest.mark.parametrize("own", [(480, 640), (141, 177), (1500, 2100), (241, 320)])
def test_blocks_and_tiles_do_not_show(own: tuple[int, int], crf: object) -> None:
    """The label map of one pass, of tiles of the photo as it is read, and of blocks of what is written."""
    image = scene()
    whole, sure = label_at(by_colour, "student", image, own, View((1.0,), False, 1024), crf, CPU)  # type: ignore[arg-type]
    tiled, tiled_sure = label_at(by_colour, "student", image, own, View((1.0,), False, 64), crf, CPU)  # type: ignore[arg-type]
    assert View((1.0,), False, 64).side(240, 320) is not None
    assert whole.shape == tiled.shape == own
    assert iou(whole, tiled) > (0.97 if crf else 0.995)
    if crf is None:
        np.testing.assert_allclose(sure.astype(float), tiled_sure.astype(float), atol=0.02)


def test_a_photo_of_the_size_that_is_read_is_predicted_as_ever() -> None:
    image, view = scene(), View((1.0, 1.5), True, 1024)
    for crf in (None, CRF):
        for ours, theirs in zip(
            label_at(by_colour, "student", image, (240, 320), view, crf, CPU),
            label_photo(by_colour, "student", image, view, crf, CPU),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("own", [(20, 20), (1, 1), (500, 8000), (3, 400), (160, 1)])
def test_tiny_and_elongated_photos(tmp_path: Path, own: tuple[int, int]) -> None:
    Image.fromarray(photo(*own)).save(tmp_path / "a.png")
    found = colours(ReadSizes(320, 320, 320, 320))(tmp_path / "a.png")
    assert found.label.shape == own
    assert found.overlay().width == min(1024, own[1])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_turned_and_printed_jpegs(tmp_path: Path, orientation: int, mode: str) -> None:
    large = Image.fromarray(scene()).resize((1280, 960), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # stored turned back, so that all are displayed as the scene
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(large), turns)))
    stored.convert(mode).save(tmp_path / "a.jpg", quality=95, exif=exif)
    found = colours()(tmp_path / "a.jpg")
    assert found.label.shape == (960, 1280)
    assert iou(found.label, colours()(np.asarray(large)).label) > 0.97
    assert found.photo.shape == (960, 1280, 3)


def test_parts_override_and_as_is_leaves_everything() -> None:
    network = colours().network
    assert resolve(network) == How(SIZES, (1.0, 1.5), True, CRF)
    assert resolve(network, scales=[2]) == How(SIZES, (2.0,), True, CRF)
    assert resolve(network, flip=False, crf=False) == How(SIZES, (1.0, 1.5), False, None)
    assert resolve(network, crf=True).crf == CRF
    assert resolve(network, crf=DEFAULT_CRF).crf == DEFAULT_CRF
    assert resolve(network, crf={"iterations": 5}).crf == CrfSettings(iterations=5)
    assert resolve(network, as_is=True) == How(None, (1.0,), False, None)
    assert resolve(network, as_is=True, crf=True, scales=[0.5], flip=True) == How(None, (0.5,), True, CRF)
    unknown = replace(network, view=None)
    assert resolve(unknown) == How(SIZES, (1.0,), False, None)
    assert resolve(unknown, crf=True).crf == DEFAULT_CRF


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"scales": 1.5}, "scales"),
        ({"scales": "1.5"}, "scales"),
        ({"scales": [1, None]}, "scales"),
        ({"crf": {"iteratons": 5}}, "crf.iteratons"),
        ({"crf": {"iterations": -1}}, "crf.iterations"),
        ({"crf": "published"}, "crf"),
        ({"crf": 1}, "crf"),
        ({"flip": "no"}, "flip"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_photo_is_opened(wrong: dict[str, object], where: str) -> None:
    with pytest.raises(UserError) as caught:
        colours()("no such photo.jpg", **wrong)  # type: ignore[arg-type]
    assert caught.value.where == where


def test_what_is_said() -> None:
    network = colours().network
    assert explained(network, resolve(network)) == (
        "read at 320 pixels, test-time scales 1, 1.5, flip, CRF, as the model was evaluated"
    )
    assert explained(network, resolve(network, flip=False)) == (
        "read at 320 pixels, test-time scales 1, 1.5, no flip, CRF; the model was evaluated "
        "at 320 pixels, test-time scales 1, 1.5, flip, CRF"
    )
    unknown = replace(network, view=None)
    assert explained(unknown, resolve(unknown)) == (
        "read at 320 pixels, test-time scale 1, no flip, no CRF; the model's file does not say how it was evaluated"
    )
    assert explained(network, resolve(network, as_is=True)).startswith(
        "photos at their own size, test-time scale 1, no flip, no CRF; the model was evaluated at 320 pixels, "
    )


def test_python_says_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    segmenter = colours()
    for _ in range(2):
        segmenter(scene())
    segmenter(scene(), flip=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["segmenter: read at 320 pixels"] * 2
    assert "as the model was evaluated" in lines[0]


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """A student's file after its evaluation: read at 64 pixels, scale 1.5, flip, no CRF."""
    path = write_student(tmp_path / "student.pt", tag_threshold=0.5)
    network, card = load_student(path, CLASSES)
    view = {"scales": [1.5], "flip": True, "crf": None}
    save_network(path, network, replace(card, sizes=ReadSizes(64, 64, 64, 64), view=view))
    return path


def predict(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, ["predict", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_command_uses_the_file_and_its_options_override(evaluated: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo(200, 300)).save(tmp_path / "photos/a.png")
    segmenter, size = Segmenter.load(evaluated), (200, 300)
    for options, arguments in (
        ([], {}),
        (["--scales", "0.5,1", "--no-flip"], {"scales": (0.5, 1), "flip": False}),
        (["--crf"], {"crf": True}),
        (["--as-is"], {"as_is": True}),
        (["--as-is", "--flip", "--crf"], {"as_is": True, "flip": True, "crf": True}),
    ):
        out = tmp_path / "".join(["out", *options])
        code, _, text = predict(evaluated, tmp_path / "photos", "-o", out, "--overlays", *options)
        assert code == 0, text
        assert text.startswith(f"predict: {'photos at' if '--as-is' in options else 'read at 64 pixels'}")
        expected = segmenter(tmp_path / "photos/a.png", **arguments).label  # type: ignore[arg-type]
        np.testing.assert_array_equal(load_mask(out / "masks/a.png", size, len(CLASSES)), expected)
        with Image.open(out / "overlays/a.jpg") as overlay:
            assert overlay.width == 300
            assert 200 < overlay.height < 300  # the names of the classes below
    as_is = load_mask(tmp_path / "out--as-is/masks/a.png", size, len(CLASSES))
    assert (as_is != load_mask(tmp_path / "out/masks/a.png", size, len(CLASSES))).any()


def test_onnx_holds_the_same(evaluated: Path, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs wsss[onnx]")
    from wsss.export.network import export_onnx

    made = export_onnx(evaluated, tmp_path / "student.onnx")
    assert made.card["sizes"] == {"long_side": 64, "smallest": 64, "median": 64, "largest": 64}
    assert made.card["view"] == {"scales": [1.5], "flip": True, "crf": None}
    ours, theirs = Segmenter.load(evaluated), Segmenter.load(tmp_path / "student.onnx")
    assert resolve(theirs.network) == resolve(ours.network) == How(ReadSizes(64, 64, 64, 64), (1.5,), True, None)
    image = photo(150, 200)
    assert (theirs(image).label == ours(image).label).mean() > 0.999


@pytest.mark.parametrize("view", [3, {"scales": []}, {"scales": [1.0], "flap": True}, {"scales": [1.0], "crf": "no"}])
def test_damaged_view_of_a_file(evaluated: Path, view: object) -> None:
    content = torch.load(evaluated, weights_only=True)
    torch.save({**content, "view": view}, evaluated)
    with pytest.raises(IntegrityError, match="damaged: it does not say how it was evaluated"):
        Segmenter.load(evaluated)
