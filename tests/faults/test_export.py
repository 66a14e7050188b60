"""Exports: what other runtimes and tools get is what wsss has, or nothing."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from tests.helpers import CLASSES, IDS, toy_label, write_toy_store
from tests.toy_networks import photo, write_oste, write_student
from wsss import cli
from wsss.core.errors import IntegrityError, UserError
from wsss.core.stage import Stage
from wsss.data.ids import file_name
from wsss.data.images import load_image, load_mask, save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.export import network as exporting
from wsss.export.cvat import to_cvat
from wsss.export.own import refuse_foreign_file
from wsss.export.parity import largest_difference, refuse_difference
from wsss.export.portable import Portable
from wsss.export.voc import to_voc
from wsss.models.backbones import registry
from wsss.models.backbones.entry import Entry
from wsss.models.backbones.tiny import Tiny
from wsss.models.backbones.vit_b16 import DeiTB16, ViTB16
from wsss.models.base_student import IMPROBABLE
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.student import Student, build_student
from wsss.predict.networks import onnx_session, run_onnx
from wsss.predict.segmenter import Segmenter
from wsss.predict.segmenting import load_segmenting
from wsss.stores.labels import LabelStore

SIZES = [(64, 64), (65, 97), (50, 33), (1, 1), (7, 200), (96, 31)]


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, ["export", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_student(tmp_path_factory.mktemp("export") / "student.pt", tag_threshold=0.5)


@pytest.fixture(scope="session")
def onnx_file(student: Path) -> Path:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs wsss[onnx]")
    out = student.with_name("student.onnx")
    code, text, errors = run(student, out)
    assert code == 0, errors
    assert text.startswith(f"export: student with 4 classes → {out}\nlogits differ from torch by at most ")
    return out


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    write_toy_store(Stage("correct", "f" * 16, tmp_path / "scratch"), tmp_path / "pseudo", tmp_path / "log")
    return tmp_path / "pseudo"


@pytest.mark.parametrize("backbone", ["tiny", "efficientnet_lite0"])
@pytest.mark.parametrize("stride", [8, 32])
def test_folded_network_is_the_network_for_odd_and_even_sizes(tmp_path: Path, backbone: str, stride: int) -> None:
    network, _ = load_segmenting(write_student(tmp_path / "n.pt", backbone=backbone, stride=stride))
    portable = Portable(network)
    for size in SIZES:
        images = torch.from_numpy(photo(*size)).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            torch.testing.assert_close(portable(images), network(images), atol=1e-4, rtol=1e-4)


def test_onnx_gives_torchs_logits_for_any_batch_and_size(student: Path, onnx_file: Path) -> None:
    torch_network, onnx_network = Segmenter.load(student).network, Segmenter.load(onnx_file).network
    assert (onnx_network.kind, onnx_network.classes) == ("student", CLASSES)
    ruled_out: set[tuple[bool, ...]] = set()
    for size in SIZES:
        for batch in (1, 3):
            images = torch.stack([torch.from_numpy(photo(*size, n)).permute(2, 0, 1).float() for n in range(batch)])
            with torch.inference_mode():
                expected = torch_network.run(images)
            ruled_out |= {tuple(row) for row in (expected[:, :, 0, 0] == IMPROBABLE).tolist()}
            torch.testing.assert_close(onnx_network.run(images), expected, atol=1e-4, rtol=1e-4)
    assert len(ruled_out) > 1  # not the same classes for every photo


@pytest.fixture
def small_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`vit_b16` and `deit_b16` of four blocks and one head."""
    small: dict[str, type[ViTB16]] = {"vit_b16": ViTB16, "deit_b16": DeiTB16}
    for name, cls in small.items():
        monkeypatch.setitem(
            registry.BACKBONES, name, Entry(lambda stride, width, cls=cls: cls(stride, depth=4, channels=64))
        )


@pytest.mark.usefixtures("small_transformers")
@pytest.mark.parametrize(("backbone", "stride", "form"), [("vit_b16", 16, "onnx"), ("deit_b16", 8, "ts")])
def test_transformer_is_exported_for_any_size(tmp_path: Path, backbone: str, stride: int, form: str) -> None:
    """Also the grid it was trained on (224 at stride 16), less than a patch, and more than the example.

    Not a single pixel, whose tokens hardly vary: their normalisation makes 1e-3 of torch's own rounding.
    """
    student, out = write_student(tmp_path / "student.pt", backbone=backbone, stride=stride), tmp_path / f"o.{form}"
    if form == "onnx":
        pytest.importorskip("onnxscript", reason="needs wsss[onnx]")
        made, found = exporting.export_onnx(student, out), Segmenter.load(out).network.run
    else:
        made = exporting.export_torchscript(student, out)
        with exporting._quiet():
            found = torch.jit.load(str(out))  # type: ignore[no-untyped-call]
    assert made.difference <= 1e-4
    network, _ = load_segmenting(student)
    for count, size in [(1, (64, 64)), (2, (65, 97)), (1, (9, 200)), (3, (7, 5)), (1, (224, 224)), (1, (241, 375))]:
        images = torch.stack([torch.from_numpy(photo(*size, n)).permute(2, 0, 1).float() for n in range(count)])
        with torch.inference_mode():
            expected, logits = network(images), found(images)
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
        assert (logits.argmax(1) == expected.argmax(1)).float().mean() >= 0.999


@pytest.mark.parametrize(("stride", "form"), [(16, "onnx"), (8, "ts"), (32, "ts")])
def test_linear_student_is_exported_for_any_size(tmp_path: Path, stride: int, form: str) -> None:
    student, out = tmp_path / "student.pt", tmp_path / f"o.{form}"
    write_student(student, stride=stride, tag_threshold=0.5, head="linear")
    if form == "onnx":
        pytest.importorskip("onnxscript", reason="needs wsss[onnx]")
        made, found = exporting.export_onnx(student, out), Segmenter.load(out).network.run
    else:
        made = exporting.export_torchscript(student, out)
        with exporting._quiet():
            found = torch.jit.load(str(out))  # type: ignore[no-untyped-call]
    assert made.difference <= 1e-4
    network, _ = load_segmenting(student)
    for count, size in enumerate(SIZES, start=1):
        images = torch.stack([torch.from_numpy(photo(*size, n)).permute(2, 0, 1).float() for n in range(count)])
        with torch.inference_mode():
            torch.testing.assert_close(found(images), network(images), atol=1e-3, rtol=1e-4)


class Moody(Tiny):
    """A backbone whose path depends on what it sees."""

    def features(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().features(x if x.mean() > 0 else -x)


def test_network_that_onnx_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="needs wsss[onnx]")
    monkeypatch.setitem(registry.BACKBONES, "tiny", Entry(lambda stride, width: Moody(stride)))
    out = tmp_path / "o.onnx"
    code, _, text = run(write_student(tmp_path / "student.pt"), out)
    assert code == 2
    begun, first, second = text.splitlines()
    assert begun == f"export: making {out} and comparing it with torch may take a minute"
    assert first.startswith(
        f"error: {out}: not written: torch cannot express tiny in ONNX for photos of any size (Could not guard on data"
    )
    assert "\x1b" not in text
    assert second == "fix: write TorchScript instead: --torchscript"
    assert not out.exists()


def test_onnx_labels_of_real_photos_are_torchs(student: Path, onnx_file: Path, shared_data: Path) -> None:
    photos = sorted((shared_data / "msrc_v2" / "JPEGImages").iterdir())[::29][:20]
    assert len(photos) == 20
    agree(student, onnx_file, [load_image(path) for path in photos])


def test_onnx_labels_of_public_photos_are_torchs(student: Path, onnx_file: Path) -> None:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    photos = [data.astronaut(), data.chelsea(), data.coffee()]
    agree(
        student, onnx_file, [np.ascontiguousarray(each[i : i + 200, :301]) for each in photos for i in range(0, 70, 10)]
    )


def agree(student: Path, onnx_file: Path, photos: list[np.ndarray]) -> None:
    first, second = Segmenter.load(student), Segmenter.load(onnx_file)
    same = [(first(each).label == second(each).label).mean() for each in photos]
    assert min(same) >= 0.999


def test_onnx_says_what_it_is(student: Path, onnx_file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version >= 18
    (entry,) = [entry.value for entry in model.metadata_props if entry.key == "wsss"]
    card = json.loads(entry)
    assert card["classes"] == list(CLASSES)
    assert (card["mean"], card["std"]) == ([127.5] * 3, [63.75] * 3)
    assert card["normalisation"] == "inside the network; give RGB 0..255"
    assert str(student.parent) not in entry


def test_oste_is_exported_by_its_branch(tmp_path: Path) -> None:
    made = exporting.export_torchscript(write_oste(tmp_path / "oste.pt"), tmp_path / "oste.ts")
    assert made.card["kind"] == "oste"
    assert made.difference <= 1e-4


def test_oste_without_a_branch_neither_is_exported_nor_predicts(tmp_path: Path) -> None:
    oste = write_oste(tmp_path / "oste.pt", branch=False)
    for use in (lambda: exporting.export_torchscript(oste, tmp_path / "oste.ts"), lambda: Segmenter.load(oste)):
        with pytest.raises(UserError, match="without a segmentation branch: it was not trained") as caught:
            use()
        assert caught.value.fix == "give artifacts/student.pt"
    assert not (tmp_path / "oste.ts").exists()


def test_torchscript_runs_without_wsss_for_any_size(student: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.ts"
    code, text, errors = run(student, out, "--torchscript", "--json")
    assert code == 0, errors
    assert json.loads(text)["difference"] <= 1e-4
    network, _ = load_segmenting(student)
    with exporting._quiet():
        loaded = torch.jit.load(str(out), _extra_files=(extra := {"wsss.json": ""}))  # type: ignore[no-untyped-call]
    assert json.loads(extra["wsss.json"])["classes"] == list(CLASSES)
    for size in SIZES:
        images = torch.from_numpy(photo(*size)).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            torch.testing.assert_close(loaded(images), network(images), atol=1e-4, rtol=1e-4)


def test_torchscript_is_no_checkpoint_and_is_told_apart(student: Path, tmp_path: Path) -> None:
    made = tmp_path / "student.pt"
    assert run(student, made, "--torchscript")[0] == 0
    for command in (("inspect", made), ("predict", made, tmp_path, "-o", tmp_path / "out")):
        save_mask_png(tmp_path / "photo.png", np.zeros((8, 8), np.uint8))
        result = CliRunner().invoke(cli.main, [str(part) for part in command])
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {made}: a TorchScript network: it is for torch.jit.load")


def test_flipped_bits_of_an_onnx_file_are_refused(onnx_file: Path, tmp_path: Path) -> None:
    data, generator = onnx_file.read_bytes(), np.random.default_rng(0)
    places = [*generator.integers(0, len(data), 40), *range(len(data) - 85, len(data))]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(generator.integers(0, 8))
        (tmp_path / "flipped.onnx").write_bytes(flipped)
        with pytest.raises(IntegrityError):
            Segmenter.load(tmp_path / "flipped.onnx")


def test_only_an_onnx_file_as_it_was_exported_may_be_replaced(onnx_file: Path, tmp_path: Path) -> None:
    refuse_foreign_file(onnx_file, "onnx", force=True)
    made = onnx_file.read_bytes()
    for content in (b"", made[:-9], made.replace(b"Kuh", b"cow", 1), made + b"\0"):
        (tmp_path / "other.onnx").write_bytes(content)
        with pytest.raises(UserError, match="is no file that wsss export --to onnx has written"):
            refuse_foreign_file(tmp_path / "other.onnx", "onnx", force=True)
    with pytest.raises(UserError, match="is there already"):
        refuse_foreign_file(onnx_file, "onnx", force=False)


def test_all_classes_are_exported_beside_those_that_are_left_out(student: Path, onnx_file: Path) -> None:
    network, session = load_segmenting(student)[0], onnx_session(onnx_file)
    assert isinstance(network, Student)
    images = torch.stack([torch.from_numpy(photo(65, 97, n)).permute(2, 0, 1).float() for n in range(3)])
    with torch.inference_mode():
        every, some = network.look(images).logits, network(images)
    assert (some == IMPROBABLE).any()
    torch.testing.assert_close(run_onnx(session, "all_logits", images), every, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(run_onnx(session, "logits", images), some, atol=1e-4, rtol=1e-4)
    for path in (student, onnx_file):
        parts = Segmenter.load(path).network.parts
        assert parts is not None
        with torch.inference_mode():
            torch.testing.assert_close(parts(images), every, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda images: images * torch.nan,
        lambda images: images + 1,
        lambda images: images[..., :1],
        lambda images: torch.zeros(2) @ torch.zeros(3),
    ],
    ids=["nan", "other", "shape", "fails"],
)
def test_export_that_computes_something_else_is_refused(wrong: Callable[[torch.Tensor], torch.Tensor]) -> None:
    difference = largest_difference(lambda images: images, wrong, [photo(8, 8)])
    with pytest.raises(IntegrityError, match="not written: the exported network gives other logits"):
        refuse_difference(Path("x.onnx"), difference)


def test_refused_export_leaves_no_file(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "student.ts"
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 0.5)
    code, _, text = run(student, out, "--torchscript")
    assert code == 4
    assert text == (
        f"error: {out}: not written: the exported network gives other logits (difference 0.5, expected ≤ 0.0001)\n"
        "fix: export a network with another backbone, and report this one\n"
    )
    assert not list(tmp_path.iterdir())


def test_packages_that_are_missing(student: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxscript", "pycocotools", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    pytest.importorskip("onnx")
    assert run(student, tmp_path / "o.onnx")[::2] == (
        3,
        "error: wsss export: ONNX needs the package onnxscript, which is not installed\n"
        "fix: pip install 'wsss[onnx]'\n",
    )
    assert run("--to", "coco", store, tmp_path / "o.json")[::2] == (
        3,
        "error: wsss export: run lengths of COCO need the package pycocotools, which is not installed\n"
        "fix: pip install 'wsss[coco]', or add --polygons\n",
    )
    result = CliRunner().invoke(cli.main, ["predict", str(tmp_path / "o.onnx"), str(store), "-o", str(tmp_path / "p")])
    assert result.exit_code == 2  # there are no photos either; that is said first


def test_foreign_onnx_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs wsss[onnx]")
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["images"], ["logits"])],
        "g",
        [value],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(IntegrityError, match="an ONNX file that wsss has not exported"):
        Segmenter.load(tmp_path / "foreign.onnx")
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x0a\x12")
    with pytest.raises(IntegrityError, match="not an ONNX file, or damaged"):
        Segmenter.load(tmp_path / "cut.onnx")
    with pytest.raises(UserError, match="no such file"):
        Segmenter.load(tmp_path / "none.onnx")


def test_voc_folder_holds_the_labels(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "voc"
    assert run("--to", "voc", store, out)[:2] == (0, f"export: 20 photos as voc → {out}\n")
    listed = (out / "ImageSets" / "Segmentation" / "default.txt").read_text(encoding="utf-8").splitlines()
    assert listed == sorted(IDS)
    for name in listed:
        mask = load_mask(out / "SegmentationClass" / f"{name}.png", (8, 12), len(CLASSES))
        np.testing.assert_array_equal(mask, toy_label(name))
    assert (out / "labelmap.txt").read_text().splitlines()[:3] == [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "Kuh:128,0,0::",
    ]


def test_which_part_of_the_photos_a_store_holds_is_said(store: Path, tmp_path: Path) -> None:
    records = [Record(name, "val", f"{name}.jpg", None, (), 8, 12, "0" * 64) for name in IDS]
    others = [replace(each, id=f"other {number}", split="train") for number, each in enumerate(records[:3])]
    for known, said in ((records, ""), ([*records, *others], "20 of 23 photos: pseudo are of split val")):
        index = Index(("background", *CLASSES[1:]), tuple(sorted(known, key=lambda each: each.id)))
        write_index(tmp_path / "dataset", index)
        text = run("--to", "voc", store, tmp_path / "voc")[1]
        assert "".join(text.splitlines()[1:]).startswith(said)
        assert len(text.splitlines()) == (2 if said else 1)


@pytest.mark.parametrize("name", ["a:b", "#1", "ignore"])
@pytest.mark.parametrize("write", [to_voc, to_cvat])
def test_class_names_that_a_label_map_cannot_hold(
    write: Callable[[LabelStore, dict[str, Record], Path], object], name: str, tmp_path: Path
) -> None:
    named = cast("LabelStore", SimpleNamespace(classes=("background", name), ids=(), path=tmp_path))
    with pytest.raises(UserError, match=r"cannot be written into labelmap\.txt"):
        write(named, {}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_coco_json_is_read_back_by_pycocotools(store: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs wsss[coco]")
    out = tmp_path / "labels.json"
    assert run("--to", "coco", store, out)[0] == 0
    read = coco.COCO(str(out))
    assert [category["name"] for category in read.loadCats(read.getCatIds())] == list(CLASSES[1:])
    for picture in read.loadImgs(read.getImgIds()):
        name = picture["file_name"].removesuffix(".jpg")
        label = np.zeros((picture["height"], picture["width"]), np.uint8)
        for annotation in read.loadAnns(read.getAnnIds(picture["id"])):
            mask = read.annToMask(annotation).astype(bool)
            assert annotation["area"] == mask.sum()
            label[mask] = annotation["category_id"]
        np.testing.assert_array_equal(label, toy_label(name))


def test_cvat_archive_holds_colours_and_their_names(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "cvat.zip"
    assert run("--to", "cvat", store, out)[0] == 0
    first = out.read_bytes()
    out.unlink()
    assert run("--to", "cvat", store, out)[0] == 0
    assert out.read_bytes() == first
    with zipfile.ZipFile(out) as archive:
        rows = [line.split(":") for line in archive.read("labelmap.txt").decode().splitlines()[1:]]
        names = {tuple(map(int, row[1].split(","))): row[0] for row in rows}
        assert list(names.values()) == [*CLASSES, "ignore"]
        listed = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        assert listed[0] == f'"{sorted(IDS)[0]}"'  # ids with spaces are quoted
        with archive.open(f"SegmentationClass/{IDS[0]}.png") as file, Image.open(file) as image:
            colours = np.asarray(image)
    expected = toy_label(IDS[0])
    for row, column in np.ndindex(expected.shape):
        assert names[tuple(int(value) for value in colours[row, column])] == CLASSES[expected[row, column]]


def test_crumbs_are_left_out_at_the_size_of_the_photos_files(store: Path, tmp_path: Path) -> None:
    own = {"own_height": 16, "own_width": 24}  # a pixel of the labels is four of the file
    records = tuple(Record(name, "val", f"{name}.jpg", None, (), 8, 12, "0" * 64, **own) for name in sorted(IDS))
    write_index(tmp_path / "dataset", Index(("background", *CLASSES[1:]), records))
    for least in (4, 5, "1.05%", "1.03%"):  # of 384 pixels
        assert run("--to", "voc", store, tmp_path / "voc", "--min-area", least)[0] == 0
        mask = load_mask(tmp_path / "voc" / "SegmentationClass" / f"{IDS[0]}.png", (16, 24), len(CLASSES))
        same = np.array_equal(mask, toy_label(IDS[0]).repeat(2, 0).repeat(2, 1))
        assert same == (least in (4, "1.03%"))
    assert run("--to", "onnx", store / "x.pt", tmp_path / "o", "--min-area", 3)[2] == (
        "error: --min-area: is of labels\nfix: leave it away\n"
    )


@pytest.mark.parametrize(
    ("area", "what"),
    [
        (
            "0.1",
            "found '0.1', expected whole pixels, or per cent of a photo's pixels\n"
            "fix: for per cent of the photo give 0.1%\n",
        ),
        ("-1", "found '-1', expected whole pixels, or per cent of a photo's pixels\nfix: give e.g. 25, or 0.1%\n"),
        (
            "25%",
            "found '25%', expected 0 to 5 per cent of a photo's pixels\nfix: give e.g. 0.1%, or a number of pixels",
        ),
        ("x%", "found 'x%', expected 0 to 5 per cent"),
        ("nan%", "found 'nan%', expected 0 to 5 per cent"),
    ],
)
def test_wrong_areas(store: Path, tmp_path: Path, area: str, what: str) -> None:
    code, _, text = run("--to", "voc", store, tmp_path / "voc", "--min-area", area)
    assert code == 2
    assert f"error: --min-area: {what}" in text


def test_masks_of_a_folder_of_predictions_alone_are_refused(predicted: Path, tmp_path: Path) -> None:
    code, _, text = run("--to", "voc", predicted / "masks", tmp_path / "voc")
    assert code == 2
    assert text.endswith(f"fix: give the folder of wsss predict: {predicted}\n")


@pytest.fixture
def predicted(student: Path, tmp_path: Path) -> Path:
    """A folder that `wsss predict` has filled."""
    for number, name in enumerate(("IMG_2000.JPG", "sub folder/IMG_7.png", "-1.webp")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(40, 56, number)).save(tmp_path / "photos" / name)
    out = tmp_path / "predicted"
    result = CliRunner().invoke(cli.main, ["predict", str(student), str(tmp_path / "photos"), "-o", str(out)])
    assert result.exit_code == 0, result.stderr
    return out


def test_predictions_are_exported_by_the_photos_own_names(predicted: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs wsss[coco]")
    ids = ["-1", "IMG_2000", "sub folder/IMG_7"]
    masks = {name: load_mask(predicted / "masks" / file_name(name, ".png"), (40, 56), len(CLASSES)) for name in ids}
    made = run("--to", "voc", predicted, tmp_path / "voc")
    assert made[:2] == (0, f"export: 3 photos as voc → {tmp_path / 'voc'}\n")
    for name, mask in masks.items():
        found = load_mask(tmp_path / "voc" / "SegmentationClass" / f"{name}.png", (40, 56), len(CLASSES))
        np.testing.assert_array_equal(found, mask)
    assert run("--to", "coco", predicted, tmp_path / "coco.json")[0] == 0
    read = coco.COCO(str(tmp_path / "coco.json"))
    named = [picture["file_name"] for picture in read.loadImgs(read.getImgIds())]
    assert named == ["-1.webp", "IMG_2000.JPG", "sub folder/IMG_7.png"]
    assert run("--to", "cvat", predicted, tmp_path / "cvat.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "cvat.zip") as archive:
        assert {f"SegmentationClass/{name}.png" for name in ids} <= set(archive.namelist())


def test_damaged_predictions_are_not_exported(predicted: Path, tmp_path: Path) -> None:
    table = (predicted / "predictions.csv").read_text()
    (predicted / "predictions.csv").write_text(table.replace(",40,", ",4O,", 1))
    assert run("--to", "voc", predicted, tmp_path / "voc")[0] == 4
    (predicted / "predictions.csv").unlink()
    assert run("--to", "voc", predicted, tmp_path / "voc")[0] == 2
    assert not (tmp_path / "voc").exists()


def test_what_cannot_be_exported(student: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(store, out)[::2] == (
        2,
        f"error: {store}: is a folder: of a store, labels are exported\n"
        "fix: add --to voc, coco, cvat, labelstudio, fiftyone, yolo\n",
    )
    assert run(student, out, "--to", "voc", "--torchscript")[0] == 2
    assert run(store, out, "--torchscript")[2].startswith(f"error: {store}: is a folder, expected a network for --to")
    assert run(tmp_path, out, "--to", "voc")[2].startswith(f"error: {tmp_path}: not a store (no index.json in it)")
    mistyped = store.with_name(f"{store.name}x")
    said = run(mistyped, out, "--to", "voc")[2]
    assert said.startswith(f"error: {mistyped}: no such folder (did you mean {str(store)!r}?)\n")
    (tmp_path / "index.json").write_text('{"format": "other"}')
    assert run(tmp_path, out, "--to", "voc")[0] == 4
    assert not out.exists()


def test_labels_are_written_at_the_size_of_the_photos_files(store: Path, tmp_path: Path) -> None:
    """By the index beside the store, without being asked, or by --dataset; photos that it lacks keep their size."""
    records = [Record(name, "train", f"{n}.png", None, (), 8, 12, "", 24, 36) for n, name in enumerate(IDS[1:])]
    for folder, options in ((tmp_path / "dataset", []), (tmp_path / "other", ["--dataset", tmp_path / "other"])):
        write_index(folder, Index(CLASSES, tuple(records), 12))
        out = tmp_path / f"voc-{folder.name}"
        assert run("--to", "voc", store, out, *options)[0] == 0
        for number, name in enumerate(IDS):
            times = 3 if number else 1
            mask = load_mask(out / "SegmentationClass" / f"{name}.png", (8 * times, 12 * times), len(CLASSES))
            np.testing.assert_array_equal(mask, toy_label(name).repeat(times, 0).repeat(times, 1))
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["dinov2", "convnext"])
def test_network_of_transformers_is_exported_for_any_size(tmp_path: Path, kind: str) -> None:
    toy_hub = pytest.importorskip("tests.toy_hub")
    name = toy_hub.save_model(tmp_path / "model", kind)
    chosen = registry.BackboneSettings(name=name, output_stride=toy_hub.STRIDES[kind])
    shape = {"head": "linear", "tag_threshold": None}
    card = NetworkCard("student", chosen, shape, CLASSES, "", architecture=registry.architecture_of(chosen))
    student, out = build_student(card, load_weights=True), tmp_path / "o.ts"
    torch.nn.init.normal_(student.local.weight)
    save_network(tmp_path / "student.pt", student, card)
    shutil.rmtree(tmp_path / "model")
    made = exporting.export_torchscript(tmp_path / "student.pt", out)
    assert made.difference <= 1e-4
    assert made.card["backbone"] == "hf:model"  # no folder of this machine
