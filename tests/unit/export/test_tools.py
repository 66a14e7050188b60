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
from PIL import Image

from tests.helpers import CLASSES, IDS, toy_label, write_toy_store
from wsss import cli
from wsss.core.stage import Stage
from wsss.data.index import IGNORE, Index, Record, write_index
from wsss.export.label_studio import labeling_config
from wsss.formats.coco_masks import polygon_mask

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


def test_labeling_interface_names_what_the_tasks_do() -> None:
    config = ElementTree.fromstring(labeling_config(("background", "cow", 'a "b" <c> & d', "Kühe")))
    photo, polygons = config
    assert photo.attrib | {"name": "image", "value": "$image"} == photo.attrib
    assert (polygons.tag, polygons.get("name"), polygons.get("toName")) == ("PolygonLabels", "label", "image")
    assert [label.get("value") for label in polygons] == ["cow", 'a "b" <c> & d', "Kühe"]
    assert [label.get("background") for label in polygons] == ["#800000", "#008000", "#808000"]


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


@pytest.mark.parametrize("kind", ["labelstudio", "fiftyone"])
def test_photos_that_are_not_where_they_were_said_to_be(kind: str, store: Path, tmp_path: Path) -> None:
    code, _, errors = run("--to", kind, store, tmp_path / "out", "--photos", tmp_path / "dataset")
    assert code == 2
    assert errors.startswith(f"error: {tmp_path / 'dataset'}: {len(IDS)} of {len(IDS)} photos are not in this folder: ")
    assert errors.count("pictures/") == 5
    assert f" and {len(IDS) - 5} more\nfix: " in errors
    code, _, errors = run("--to", kind, store, tmp_path / "out")
    assert (code, errors.split(":")[1]) == (2, " --photos")
    assert not (tmp_path / "out").exists()


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
