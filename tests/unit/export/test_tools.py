"""Labels for Label Studio and FiftyOne, and as polygons of COCO: what these tools read is what the store holds."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from ruamel.yaml import YAML

from tests.helpers import CLASSES, IDS, toy_label, write_toy_store
from wsss import cli
from wsss.core.atomic import sha256_file
from wsss.core.stage import Stage
from wsss.data.index import IGNORE, Index, Record, write_index
from wsss.data.tables import csv_text
from wsss.export.label_studio import labeling_config
from wsss.export.only import read_names
from wsss.export.yolo import data_yaml, label_file, label_lines
from wsss.formats.coco_masks import polygon_mask
from wsss.report.swatch import make_swatch
from wsss.stores.labels import PSEUDO_FORMAT
from wsss.stores.shards import StoreMeta, write_store_index

SIZE = (16, 36)
"""Of the photos' files; the store's labels have 8 × 12 pixels."""
FILES = {name: f"pictures/{name}.{'png' if number else 'JPG'}" for number, name in enumerate(IDS)}


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, ["export", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an index beside it, whose photos lie in the folder ``my photos``."""
    monkeypatch.setenv("WSSS_WORKERS", "0")
    write_toy_store(Stage("correct", "f" * 16, tmp_path / "scratch"), tmp_path / "pseudo", tmp_path / "log")
    records = [Record(name, "train", FILES[name], None, (), 8, 12, "", *SIZE) for name in IDS]
    write_index(tmp_path / "dataset", Index(CLASSES, tuple(records), 12))
    for file in FILES.values():
        path = tmp_path / "my photos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(path)
    return tmp_path / "pseudo"


def at_files_size(name: str) -> np.ndarray:
    return toy_label(name).repeat(2, axis=0).repeat(3, axis=1)


def foreground(name: str) -> np.ndarray:
    label = at_files_size(name)
    return np.where(label == IGNORE, 0, label)


def test_label_studio_draws_the_labels(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "tasks"
    code, text, errors = run("--to", "labelstudio", store, out, "--photos", tmp_path / "my photos")
    assert (code, errors) == (0, "")
    tasks = json.loads((out / "tasks.json").read_text(encoding="utf-8"))
    assert len(tasks) == len(IDS)
    regions = 0
    for name, task in zip(sorted(IDS), tasks, strict=True):
        address = urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/"
        assert parse_qs(address.query) == {"d": [f"my photos/{FILES[name]}"]}
        [prediction] = task["predictions"]
        label = np.zeros(SIZE, np.uint8)
        for region in prediction["result"]:
            assert (region["original_height"], region["original_width"]) == SIZE
            assert (region["type"], region["from_name"], region["to_name"]) == ("polygonlabels", "label", "image")
            [named] = region["value"]["polygonlabels"]
            points = np.array(region["value"]["points"]) / 100 * SIZE[::-1]
            label[polygon_mask([points.ravel().tolist()], SIZE, name)] = CLASSES.index(named)
        assert len({region["id"] for region in prediction["result"]}) == len(prediction["result"])
        np.testing.assert_array_equal(label, foreground(name))
        regions += len(prediction["result"])
    assert text == f"export: {len(IDS)} photos, {regions} regions as labelstudio → {out}\n"


@pytest.mark.parametrize("by", ["ids", "files", "table", "bare"])
def test_only_the_photos_that_a_file_names(store: Path, tmp_path: Path, by: str) -> None:
    chosen = [IDS[13], IDS[2]]
    lists = {
        "ids": "\n".join([*chosen, "", chosen[0]]),
        "files": "\r\n".join(FILES[name] for name in chosen),
        "table": csv_text(("rank", "id"), enumerate(chosen)),
        "bare": "\n".join([chosen[0].rpartition("/")[2], FILES[chosen[1]].rpartition("/")[2]]),
    }
    names, out = tmp_path / "first.csv", tmp_path / "labels"
    names.write_text(lists[by], encoding="utf-8")
    code, text, errors = run("--to", "voc", store, out, "--only", names)
    assert (code, errors) == (0, "")
    assert text == f"export: 2 photos as voc → {out}\n2 of {len(IDS)} photos of pseudo: those of {names}\n"
    masks = {path.relative_to(out / "SegmentationClass").as_posix() for path in out.rglob("*.png")}
    assert masks == {f"{name}.png" for name in chosen}
    for name in chosen:
        with Image.open(out / "SegmentationClass" / f"{name}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), at_files_size(name))


def test_a_cell_with_an_apostrophe_is_the_id_that_it_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text(csv_text(("id", "split"), [("=a", "val"), ("b,c", "val")]))
    assert read_names(tmp_path / "photos.csv") == ["=a", "b,c"]


def test_unknown_photos_are_named_with_what_was_meant(store: Path, tmp_path: Path) -> None:
    names = tmp_path / "first.txt"
    names.write_text(f"{IDS[0]}\nset/ä 11%\n" + "".join(f"#{number}\n" for number in range(7)), encoding="utf-8")
    code, _, errors = run("--to", "voc", store, tmp_path / "out", "--only", names)
    assert code == 2
    first = f"error: {names}: 8 of 9 photos are not in {store}: 'set/ä 11%' (did you mean 'set/ä 1%'?), '#0', "
    assert errors.startswith(first)
    assert "'#3' and 3 more" in errors
    assert not (tmp_path / "out").exists()


def test_photos_of_another_split_are_told_from_slips(store: Path, tmp_path: Path) -> None:
    records = [Record(name, "train", FILES[name], None, (), 8, 12, "", *SIZE) for name in IDS]
    records.append(Record("set/ä 10%", "val", "x.jpg", None, (), 8, 12, ""))
    write_index(tmp_path / "dataset", Index(CLASSES, tuple(records), 12))
    names = tmp_path / "first.txt"
    names.write_text("set/ä 10%\n", encoding="utf-8")
    _, _, errors = run("--to", "voc", store, tmp_path / "out", "--only", names)
    assert f"1 of 1 photos are not in {store}: 'set/ä 10%' (of split val)\n" in errors
    assert "or export labels that have them (artifacts/pseudo has all)" in errors


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "no such file"), (b"\n\n", "names no photo"), (b"id\n", "names no photo"), (b"\xff", "UTF-8")],
)
def test_a_list_that_is_none(store: Path, tmp_path: Path, content: bytes | None, found: str) -> None:
    names = tmp_path / "first.txt"
    if content is not None:
        names.write_bytes(content)
    code, _, errors = run("--to", "voc", store, tmp_path / "out", "--only", names)
    assert code == 2
    assert f"error: {names}: " in errors
    assert found in errors
    assert "reports/photos.csv" in errors


def test_a_list_of_photos_is_no_folder_of_photos(store: Path, tmp_path: Path) -> None:
    (tmp_path / "first.txt").write_text(IDS[0], encoding="utf-8")
    code, _, errors = run("--to", "voc", store, tmp_path / "out", "--photos", tmp_path / "first.txt")
    assert (code, errors.splitlines()[1]) == (2, "fix: for labels of the photos it names: --only")


@pytest.mark.parametrize("kind", ["voc", "cvat"])
@pytest.mark.parametrize(
    ("attributes", "why"),
    [({"multiscale": True}, ": distill.rounds is 1, so no first student has corrected labels"), ({}, "")],
)
def test_a_store_of_no_photos(kind: str, attributes: dict[str, bool], why: str, store: Path, tmp_path: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out.zip"
    empty.mkdir()
    write_store_index(empty, StoreMeta(PSEUDO_FORMAT, CLASSES, attributes), [])
    code, said, errors = run("--to", kind, empty, out)
    assert (code, said) == (2, "")
    assert errors.startswith(f"error: {empty}: holds no photo{why}\nfix: give labels of photos: artifacts/pseudo has")
    assert not out.exists()
    (tmp_path / "one.txt").write_text(f"{IDS[0]}\n", encoding="utf-8")
    assert run("--to", kind, empty, out, "--instead", store, tmp_path / "one.txt")[0] == 0


def test_a_network_is_of_no_photos(tmp_path: Path) -> None:
    (tmp_path / "student.pt").write_bytes(b"")
    code, _, errors = run("--to", "onnx", tmp_path / "student.pt", tmp_path / "out.onnx", "--only", "x")
    assert (code, errors.splitlines()[0]) == (2, "error: --only: is of labels")


def test_labeling_interface_names_what_the_tasks_do() -> None:
    config = ElementTree.fromstring(labeling_config(("background", "cow", 'a "b" <c> & d', "Kühe")))
    photo, polygons = config
    assert photo.attrib | {"name": "image", "value": "$image"} == photo.attrib
    assert (polygons.tag, polygons.get("name"), polygons.get("toName")) == ("PolygonLabels", "label", "image")
    assert [label.get("value") for label in polygons] == ["cow", 'a "b" <c> & d', "Kühe"]
    classes = ("background", "cow", "sheep", "dog")  # the colours are those of every legend
    assert [label.get("background") for label in polygons] == [make_swatch(n, classes).colour for n in (1, 2, 3)]


def test_fiftyone_finds_a_photo_and_a_grey_mask_by_each_name(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "fiftyone"
    made = run("--to", "fiftyone", store, out, "--photos", tmp_path / "my photos")
    assert made == (0, f"export: {len(IDS)} photos as fiftyone → {out}\n", "")
    photos, labels = (
        {path.relative_to(out / part).with_suffix("").as_posix(): path for path in (out / part).rglob("*.*")}
        for part in ("data", "labels")
    )
    assert photos.keys() == labels.keys() == set(IDS)
    for name in IDS:
        assert photos[name].samefile(tmp_path / "my photos" / FILES[name])
        with Image.open(labels[name]) as mask:
            assert mask.mode == "L"
            np.testing.assert_array_equal(np.asarray(mask), at_files_size(name))
    script = (out / "show.py").read_text(encoding="utf-8")
    compile(script, "show.py", "exec")
    assert "default_mask_targets = {1: 'Kuh', 2: 'cat', 3: 'dog', 255: 'ignore'}" in script
    # What wsss has written itself, it replaces.
    assert run("--to", "fiftyone", store, out, "--photos", tmp_path / "my photos")[0] == 0


def test_photos_are_copied_where_links_cannot_be_made(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("a privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert run("--to", "fiftyone", store, tmp_path / "out", "--photos", tmp_path / "my photos")[0] == 0
    made = tmp_path / "out" / "data" / f"{IDS[0]}.JPG"
    assert not made.is_symlink()
    assert made.read_bytes() == (tmp_path / "my photos" / FILES[IDS[0]]).read_bytes()


def drawn(lines: list[str], size: tuple[int, int]) -> np.ndarray:
    """What Pillow draws of YOLO's lines, eight times as large, at the middle of pixels: 0 nothing, else number + 1."""
    label = np.zeros(size, np.uint8)
    for line in lines:
        number, *corners = line.split()
        points = np.array(corners, np.float64).reshape(-1, 2) * size[::-1]
        picture = Image.new("1", (8 * size[1], 8 * size[0]))
        ImageDraw.Draw(picture).polygon([(x, y) for x, y in (8 * points).tolist()], fill=1)
        label[np.asarray(picture)[4::8, 4::8]] = int(number) + 1
    return label


def test_yolo_finds_photos_labels_and_names(store: Path, tmp_path: Path) -> None:
    """By its rules: lists of the yaml from its folder, each photo's labels in the other folder, numbers from 0."""
    out = tmp_path / "yolo"
    code, text, errors = run("--to", "yolo", store, out, "--photos", tmp_path / "my photos")
    assert (code, errors) == (0, "")
    data = YAML(typ="safe").load(out / "data.yaml")
    assert data["names"] == {0: "Kuh", 1: "cat", 2: "dog"}
    assert (data["train"], data["val"]) == ("train.txt", "train.txt")
    assert "val: train.txt  # no photo is known as val: " in (out / "data.yaml").read_text(encoding="utf-8")
    listed = (out / "train.txt").read_text(encoding="utf-8").splitlines()
    polygons = 0
    for name, line in zip(sorted(IDS), sorted(listed), strict=True):
        image = str(out / line.removeprefix("./"))
        assert Path(image).samefile(tmp_path / "my photos" / FILES[name])
        # ultralytics.data.utils.img2label_paths
        label = Path("/labels/".join(image.rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt")
        lines = label.read_text(encoding="utf-8").splitlines()
        np.testing.assert_array_equal(drawn(lines, SIZE), foreground(name))
        polygons += len(lines)
    assert text == f"export: {len(IDS)} photos, {polygons} polygons as yolo → {out}\n"
    assert run("--to", "yolo", store, out, "--photos", tmp_path / "my photos")[0] == 0


def test_yolo_lists_splits_and_keeps_to_folders_that_are_called_images() -> None:
    assert label_file("images/a.b.JPG") == "labels/a.b.txt"
    assert label_file("images/x/images/a.jpg") == "images/x/labels/a.txt"
    text = data_yaml(("background", 'a "b"'), ["val", "test", "train"])
    assert text == '# Made by wsss export.\ntrain: train.txt\nval: val.txt\ntest: test.txt\nnames:\n  0: "a \\"b\\""\n'


@pytest.mark.parametrize(("tolerance", "least"), [(0.0, 1.0), (1.0, 0.97)])
def test_polygons_of_yolo_give_back_masks_with_holes(tolerance: float, least: float) -> None:
    """Round things with holes and ignored edges, as networks make them."""
    y, x = np.mgrid[:150, :200]
    far = np.hypot(y - 70, x - 90)
    label = np.where(far < 60, 2, 0).astype(np.uint8)
    label[far < 20], label[np.hypot(y - 20, x - 20) < 15], label[120:, :] = 0, 1, 3
    label[(far >= 60) & (far < 63)] = IGNORE
    lines = label_lines(label, tolerance)
    assert {line.split()[0] for line in lines} == {"0", "1", "2"}
    found = drawn(lines, label.shape)
    for number in (1, 2, 3):
        both, either = (found == number) & (label == number), (found == number) | (label == number)
        assert both.sum() >= least * either.sum()
    assert label_lines(np.where(label == IGNORE, label, 0)) == []


@pytest.mark.parametrize("kind", ["labelstudio", "fiftyone", "yolo"])
def test_photos_that_are_not_where_they_were_said_to_be(kind: str, store: Path, tmp_path: Path) -> None:
    code, _, errors = run("--to", kind, store, tmp_path / "out", "--photos", tmp_path / "dataset")
    assert code == 2
    assert errors.startswith(f"error: {tmp_path / 'dataset'}: {len(IDS)} of {len(IDS)} photos are not in this folder: ")
    assert errors.count("pictures/") == 5
    assert f" and {len(IDS) - 5} more\nfix: " in errors
    code, _, errors = run("--to", kind, store, tmp_path / "out")
    assert (code, errors.split(":")[1]) == (2, " --photos")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["labelstudio", "fiftyone", "yolo", "voc", "cvat"])
def test_photos_that_have_changed_since_are_named(kind: str, store: Path, tmp_path: Path) -> None:
    """In the folder of --photos, or in that of the settings of the run."""
    run_folder, photos = tmp_path / "run", tmp_path / "my photos"
    checksums = {name: sha256_file(photos / FILES[name]) for name in IDS}
    records = [Record(name, "train", FILES[name], None, (), 8, 12, checksums[name], *SIZE) for name in IDS]
    write_index(run_folder / "artifacts/dataset", Index(CLASSES, tuple(records), 12))
    store.rename(run_folder / "artifacts/pseudo")
    (run_folder / "dvc.lock").write_text("stages: {index: {params: {params.yaml: {dataset: {root: ../my photos}}}}}")
    (run_folder / "params.yaml").write_text("dataset: {root: others}\n")
    options = ("--photos", photos) if kind in ("labelstudio", "fiftyone", "yolo") else ()

    def export(out: str, *more: object) -> str:
        code, _, errors = run("--to", kind, run_folder / "artifacts/pseudo", tmp_path / out, *options, *more)
        assert code == 0
        return errors

    assert export("a") == ""
    Image.new("RGB", SIZE[::-1], (1, 2, 3)).save(photos / FILES[IDS[3]])
    what = f"1 photo changed since the labels were made, which may not fit: {IDS[3]}\nfix: restore these files; or make"
    assert what in export("b")
    (tmp_path / "only.txt").write_text(f"{IDS[2]}\n")
    assert export("c", "--only", tmp_path / "only.txt") == ""


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco_polygons_are_the_run_lengths(store: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs wsss[coco]")
    assert run("--to", "coco", store, tmp_path / "runs.json")[0] == 0
    assert run("--to", "coco", store, tmp_path / "polygons.json", "--polygons")[0] == 0
    runs, polygons = (coco.COCO(str(tmp_path / name)) for name in ("runs.json", "polygons.json"))
    for number, annotation in polygons.anns.items():
        assert isinstance(annotation["segmentation"], list)
        assert {**annotation, "segmentation": 0} == {**runs.anns[number], "segmentation": 0}
        mask = runs.annToMask(runs.anns[number])
        np.testing.assert_array_equal(polygons.annToMask(annotation), mask)
        ys, xs = np.nonzero(mask)
        assert annotation["area"] == len(ys)
        assert annotation["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
    assert polygons.anns.keys() == runs.anns.keys()


def test_polygons_need_no_pycocotools(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    assert run("--to", "coco", store, tmp_path / "a.json", "--polygons")[0] == 0
    code, _, errors = run("--to", "coco", store, tmp_path / "b.json")
    assert code == 3
    assert "add --polygons" in errors


def test_simplified_polygons_have_fewer_corners(store: Path, tmp_path: Path) -> None:
    for name, options in (("exact", []), ("simple", ["--simplify", "1.5"])):
        assert run("--to", "coco", store, tmp_path / f"{name}.json", "--polygons", *options)[0] == 0
    exact, simple = (
        sum(
            len(polygon)
            for annotation in json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["annotations"]
            for polygon in annotation["segmentation"]
        )
        for name in ("exact", "simple")
    )
    assert simple < exact


@pytest.mark.parametrize(
    ("options", "where"),
    [(("--to", "voc", "--polygons"), "--polygons"), (("--to", "coco", "--simplify", "1"), "--simplify")],
)
def test_options_of_polygons_elsewhere(options: tuple[str, ...], where: str, store: Path, tmp_path: Path) -> None:
    code, _, errors = run(store, tmp_path / "out", *options)
    assert code == 2
    assert errors.startswith(f"error: {where}: ")
    assert not (tmp_path / "out").exists()
