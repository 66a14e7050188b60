"""`wsss inspect`: everything that wsss writes says what it is."""

from __future__ import annotations

import functools
import json
import operator
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from tests.helpers import CLASSES, IDS, record_masks, toy_label, write_toy_store
from tests.toy_networks import photo, write_oste, write_student
from tests.toy_runs import SHAPE, Toy, columns, write_run
from wsss import cli
from wsss.core.errors import UserError
from wsss.core.folders import MARK
from wsss.core.locked_files import content_md5, file_md5
from wsss.core.stage import Stage, hash_input
from wsss.data.index import Index, Record, read_index, write_index
from wsss.data.origins import LABELS_SHA
from wsss.data.palette import display_palette
from wsss.data.size import fit_label
from wsss.report.beside import LABEL, RELABELLED, TABLE, photo_row
from wsss.report.drawing import READABLE
from wsss.report.inspection import look
from wsss.report.summary import Extent, Values
from wsss.report.terminal import ansi, half_blocks
from wsss.report.trace_sheet import GAP as SHEET_GAP
from wsss.report.trace_sheet import WIDTH
from wsss.stores.cams import FORMAT, Cams, put_cams
from wsss.stores.labels import PREDICTIONS_FORMAT, PSEUDO_FORMAT, put_labels
from wsss.stores.opened import known_id
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store_index


def inspect(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, ["inspect", *map(str, arguments)], color=True)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def pseudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    write_toy_store(Stage("correct", "f" * 16, tmp_path / "scratch"), tmp_path / "pseudo", tmp_path / "log")
    return tmp_path / "pseudo"


@pytest.fixture
def cams(tmp_path: Path) -> Path:
    folder = tmp_path / "cams"
    shards = plan_shards(["a", "b"], 2)
    meta = StoreMeta(FORMAT, CLASSES, {"stride": 16, "raw": False})
    with shard_writer(folder / shards[0].name, shards[0], meta) as file:
        scores = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
        put_cams(file, "a", Cams(scores, np.ones(2, np.float32), np.array([1, 3]), (48, 64)))
        put_cams(file, "b", Cams(scores[:0], np.ones(0, np.float32), np.zeros(0, np.int64), (20, 30)))
    write_store_index(folder, meta, shards)
    return folder


def test_labels(pseudo: Path) -> None:
    code, text, _ = inspect(pseudo)
    assert code == 0
    for line in (
        "format: wsss.pseudo",
        "classes: background, Kuh, cat, dog",
        "photos: 20",
        "sizes: 8 × 12 (height × width)",
        "  confidence: uint8 (8, 12), 128 … 128",
        "  label: uint8 (8, 12), 0 … 3",
    ):
        assert line in text.splitlines()
    found = json.loads(inspect(pseudo, "--json")[1])
    pixels = np.stack([toy_label(name) for name in IDS])
    assert found["share of pixels"]["cat"] == pytest.approx((pixels == 2).mean())
    assert found["share of pixels"]["ignore (255)"] == 0


def test_one_shard_says_the_same_as_its_store(pseudo: Path) -> None:
    store, shard = (json.loads(inspect(path, "--json")[1]) for path in (pseudo, pseudo / "00000.h5"))
    assert (store.pop("what"), shard.pop("what")) == ("store", "shard")
    for key in ("format", "version", "classes", "settings"):
        assert store[key] == shard[key]
    assert shard["photos"] == 3


def test_one_photo_and_its_picture(pseudo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, out = IDS[0], tmp_path / "x.png"
    found = json.loads(inspect(pseudo, name, "--json", "-o", out)[1])
    assert found["id"] == name
    assert sum(found["share of pixels"].values()) == pytest.approx(1)
    with Image.open(out) as image:
        sheet = np.asarray(image)
    assert sheet.shape[1] >= READABLE  # a label of 8 × 12, with a title and a legend
    for number in np.unique(toy_label(name)):
        assert number == 0 or (sheet == display_palette()[number]).all(axis=-1).any()
    assert "▀" not in inspect(pseudo, name)[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = inspect(pseudo, name)[1]
    assert text.count("▀") == 4 * 12
    red, green, blue = display_palette()[toy_label(name)[0, 0]]
    assert f"38;2;{red};{green};{blue}" in text
    piped = CliRunner().invoke(cli.main, ["inspect", str(pseudo), name])
    assert piped.stdout == text  # click would leave out the colours, and blocks without them show nothing


def test_a_shard_that_is_not_there(pseudo: Path) -> None:
    assert "00099.h5: no such file or folder" in inspect(pseudo / "00099.h5")[2]


def test_encoded_id_is_understood(pseudo: Path) -> None:
    assert json.loads(inspect(pseudo, "set%2Fb%203%25", "--json")[1])["id"] == "set/b 3%"


def test_a_name_without_its_folders_is_enough_where_one_photo_has_it(pseudo: Path) -> None:
    assert json.loads(inspect(pseudo, "b 3%", "--json")[1])["id"] == "set/b 3%"
    with pytest.raises(UserError, match="no photo 'b' in it"):
        known_id(pseudo, ("one/b", "two/b"), "b")


def test_unknown_id(pseudo: Path) -> None:
    assert inspect(pseudo, "set/b 11%")[::2] == (
        2,
        f"error: {pseudo}: no photo 'set/b 11%' in it (did you mean 'set/b 1%'?)\n"
        f"fix: wsss inspect {pseudo} lists some ids\n",
    )


def test_what_is_like_no_id_is_none(pseudo: Path) -> None:
    assert f"error: {pseudo}: no photo 'set/b 999%' in it\n" in inspect(pseudo, "set/b 999%")[2]
    assert f"(did you mean '{pseudo}'?)" in inspect(f"{pseudo}s")[2]


def test_photo_of_another_split_is_no_unknown_one(pseudo: Path) -> None:
    records = [Record(name, "val", f"{name}.jpg", None, (), 8, 12, "0" * 64) for name in IDS]
    records.append(Record("set/b 11%", "train", "b.jpg", None, (), 8, 12, "0" * 64))
    write_index(pseudo.parent / "dataset", Index(CLASSES, tuple(records)))
    assert inspect(pseudo, "set/b 11%")[::2] == (
        2,
        f"error: {pseudo}: has photos of split val, and 'set/b 11%' is of split train\n"
        "fix: wsss inspect artifacts/pseudo set/b 11%\n",
    )
    assert "did you mean 'set/b 1%'" in inspect(pseudo, "set/b 12%")[2]


def locked(pseudo: Path, stage: str = "correct", cached: bool = True) -> None:
    """List the store in dvc.lock; where it is `cached`, DVC's cache has its files and their list."""
    md5, cache = content_md5(pseudo), pseudo.parent / ".dvc/cache/files/md5"
    (pseudo.parent / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  {stage}:\n    outs:\n    - path: {pseudo.name}\n      md5: {md5}\n"
    )
    if cached:
        files = sorted(pseudo.iterdir())
        listing = json.dumps([{"md5": file_md5(f), "relpath": f.name} for f in files], sort_keys=True).encode()
        for name, data in {md5: listing, **{file_md5(f): f.read_bytes() for f in files}}.items():
            (cache / name[:2]).mkdir(parents=True, exist_ok=True)
            (cache / name[:2] / name[2:]).write_bytes(data)


@pytest.mark.parametrize("command", ["inspect", "export"])
def test_damage_of_what_dvc_has_a_copy_of(pseudo: Path, tmp_path: Path, command: str) -> None:
    locked(pseudo)
    again = "make it again: dvc repro -f -s correct"
    restore = f"fix: restore it: dvc checkout --force {pseudo}; or {again}\n"
    arguments = [command, pseudo] if command == "inspect" else [command, "--to", "voc", pseudo, tmp_path / "out"]

    def errors() -> str:
        return CliRunner().invoke(cli.main, [*map(str, arguments)]).stderr

    (pseudo / "00000.h5").write_bytes(b"x")
    assert f"00000.h5: differs from its checksum in index.json\n{restore}" in errors()
    (pseudo / "00000.h5").unlink()
    assert f"00000.h5: no such file\n{restore}" in errors()
    (pseudo / "index.json").unlink()
    assert f"index.json: is missing, and without it the shards beside it are no store\n{restore}" in errors()
    shutil.rmtree(tmp_path / ".dvc")
    assert f"\nfix: {again}\n" in errors()
    (tmp_path / "dvc.lock").unlink()
    assert "\nfix: copy the whole folder again, or make it again: dvc repro\n" in errors()


def test_what_a_fresh_clone_has_not_is_made_with_all_it_needs(pseudo: Path) -> None:
    locked(pseudo, cached=False)
    shutil.rmtree(pseudo)
    assert inspect(pseudo)[2] == f"error: {pseudo}: no such file or folder\nfix: make it: dvc repro correct\n"


def test_damage_names_the_stage_that_makes_the_store(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    for name, attributes, remedy in (
        ("relabelled", {"multiscale": False}, "make it again: dvc repro -f -s distill"),
        ("corrected_1", {"multiscale": False, "edited_sha256": "f"}, "import it again: wsss labels import"),
        ("masks", {"upper_bound": True}, "import it again: wsss labels import-masks"),
    ):
        store = tmp_path / "artifacts" / name
        shards = plan_shards(IDS, 2)
        meta = StoreMeta(PSEUDO_FORMAT, CLASSES, attributes)
        for shard in shards:
            with shard_writer(store / shard.name, shard, meta) as file:
                for photo_id in shard.ids:
                    put_labels(file, photo_id, toy_label(photo_id), np.ones((8, 12)))
        write_store_index(store, meta, shards)
        (store / "00000.h5").unlink()
        code, _, errors = inspect(store)
        assert (code, "00000.h5: no such file\n" in errors, f"{remedy}\n" in errors) == (2, True, True)
        (store / "index.json").write_text((store / "index.json").read_text().replace("00000", "00009"))
        assert f"{remedy}\n" in inspect(store)[2]


@pytest.mark.parametrize(("name", "kind"), [("x.png", "PNG"), ("x.JPG", "JPEG"), ("x.gif", None), ("x", None)])
def test_picture_is_what_its_ending_says(pseudo: Path, tmp_path: Path, name: str, kind: str | None) -> None:
    code, _, errors = inspect(pseudo, IDS[0], "-o", tmp_path / name)
    if kind is None:
        assert (code, (tmp_path / name).exists()) == (2, False)
        assert f"error: -o: found {name}, expected a name that ends in .png or .jpg" in errors
    else:
        with Image.open(tmp_path / name) as image:
            assert image.format == kind


def test_cams(cams: Path, tmp_path: Path) -> None:
    found = json.loads(inspect(cams, "--json")[1])
    assert found["maps of each class"] == {"Kuh": 1, "cat": 0, "dog": 1}
    assert found["sizes"] == {"smallest": [20, 30], "largest": [48, 64]}  # height, width
    assert found["settings"] == {"stride": 16, "raw": False}
    scores = {"dtype": "float16", "smallest": [0, 3, 4], "largest": [2, 3, 4]}
    assert found["arrays"]["scores"] == scores | {"range": {"min": 0.0, "max": 1.0, "finite": True}}
    assert found["arrays"]["classes"]["range"] == {"min": 1, "max": 3, "finite": True}
    text = inspect(cams)[1].splitlines()
    assert "sizes: 20 × 30 … 48 × 64 (height × width)" in text
    assert "  scores: float16 (0, 3, 4) … (2, 3, 4), 0 … 1" in text
    one = json.loads(inspect(cams, "a", "--json")[1])
    assert (one["height"], one["width"], one["classes"]) == (48, 64, ["Kuh", "dog"])
    one = json.loads(inspect(cams, "b", "--json")[1])
    assert one["classes"] == []
    assert one["arrays"]["scores"]["range"] == {"min": None, "max": None, "finite": True}
    text = inspect(cams, "b")[1].splitlines()
    assert "classes: none" in text
    assert "  scores: float16 (0, 3, 4), empty" in text
    assert inspect(cams, "a", "-o", tmp_path / "a.png")[0] == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 2 * 256 + 4  # two maps, enlarged four times
    code, _, text = inspect(cams, "b", "-o", tmp_path / "b.png")
    assert (code, text) == (2, f"error: {cams}: has no picture of a photo\nfix: leave -o away\n")


def test_a_picture_has_the_photo_where_it_is_found(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, [Toy("a", columns(0, 1))])
    (run / "params.yaml").write_text("dataset: {root: data}\n")
    store, out = run / "artifacts/predictions", tmp_path / "out"
    widths = []
    for number, options in enumerate(([], ["--data", run / "data"], [])):
        if number == 2:
            (run / "params.yaml").unlink()
        code, _, text = inspect(store, "a", "-o", f"{out}{number}.png", *options)
        assert code == 0, text
        with Image.open(f"{out}{number}.png") as image:
            widths.append(image.width)
    assert widths[0] == widths[1] > 2 * widths[2] - READABLE
    assert widths[2] < widths[0]
    code, _, text = inspect(store, "a", "-o", tmp_path / "x.png", "--data", tmp_path / "none")
    assert code == 2
    assert "cannot be read" in text
    assert inspect(store, "--data", run / "data")[0] == 2


def test_a_photo_has_its_row_of_the_table_of_photos(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, [Toy("a", columns(0, 1)), Toy("b", columns(0, 1))])
    (run / "reports/photos.csv").write_text("id,tags,iou,missing\na,cow,0.5,\n")
    for path in ("artifacts/predictions", "artifacts/dataset"):
        found = json.loads(inspect(run / path, "a", "--json")[1])
        assert found["reports/photos.csv"]["tags"] == "cow"
        assert "reports/photos.csv" not in json.loads(inspect(run / path, "b", "--json")[1])


def test_the_row_of_a_photo_says_of_what_its_numbers_are(tmp_path: Path) -> None:
    """What is of the prediction is not said of a label, nor the other way round."""
    run = tmp_path / "run"
    write_run(run, [Toy("a", columns(0, 1)), Toy("t", columns(0, 1))])
    header = (
        "id,tags,ranked_by,iou,iou_before_crf,label_iou,relabelled_iou,coverage,judged,confidence,relabelled_coverage\n"
    )
    rows = "a,cow,iou,0.5,0.2,0.4,0.3,0.8,prediction,0.9,0.7\nt,cow,missing,0.6,,0.6,,0.8,pseudo-label,0.9,\n"
    (run / "reports/photos.csv").write_text(header + rows)
    about = {"tags": "cow", "ranked_by": "iou of the prediction"}
    prediction = {"iou": "0.5", "iou_before_crf": "0.2", "confidence": "0.9"}
    label, relabelled = {"iou": "0.4", "coverage": "0.8"}, {"iou": "0.3", "coverage": "0.7"}
    parts = {"of the prediction": prediction, "of the label": label, "of the relabelled label": relabelled}
    assert photo_row(run / "artifacts/x", "a") == {TABLE: about | parts}
    assert photo_row(run / "artifacts/x", "a", LABEL) == {TABLE: about | {"of the label": label}}
    assert photo_row(run / "artifacts/x", "a", RELABELLED) == {TABLE: about | {"of the relabelled label": relabelled}}
    taught = {"iou": "0.6", "coverage": "0.8", "confidence": "0.9"}
    of_label = {"tags": "cow", "ranked_by": "missing of the label", "of the label": taught}
    assert photo_row(run / "artifacts/x", "t", LABEL) == {TABLE: of_label}
    found = json.loads(inspect(run / "artifacts/predictions", "a", "--json")[1])[TABLE]
    assert found == about | {"of the prediction": prediction}


def test_the_row_of_a_photo_is_of_no_labels_but_those_of_its_run(tmp_path: Path) -> None:
    """Labels that were corrected have no row, until a student has learned from them; then the pseudo-label has none."""
    root = tmp_path / "run"
    (root / "reports").mkdir(parents=True)
    (root / "reports/photos.csv").write_text("id,tags,ranked_by,coverage\na,cow,coverage,0.4\nb,cow,coverage,0.3\n")

    def write(name: str, attributes: dict[str, str | bool], ids: tuple[str, ...] = ("a", "b")) -> Path:
        meta, shards = StoreMeta(PSEUDO_FORMAT, CLASSES, attributes), plan_shards(ids, 2)
        store = root / "artifacts" / name
        for shard in shards:
            with shard_writer(store / shard.name, shard, meta) as file:
                for photo_id in shard.ids:
                    put_labels(file, photo_id, toy_label(photo_id), np.ones((8, 12)))
        write_store_index(store, meta, shards)
        return store

    def of_label(store: Path, name: str = "a") -> bool:
        found = json.loads(inspect(store, name, "--json")[1])[TABLE]
        assert found["ranked_by"] == "coverage of the label"
        return "of the label" in found

    pseudo, copied = write("pseudo", {}), write("labels_of_maps", {})
    corrected = write("corrected", {"edited_sha256": "f", "multiscale": False}, ("a",))
    assert (of_label(pseudo), of_label(copied), of_label(corrected)) == (True, False, False)
    assert not of_label(corrected / "00000.h5")
    relabelled = write("relabelled", {"multiscale": False, LABELS_SHA: hash_input(corrected)}, ())
    (root / "dvc.lock").write_text(
        "stages:\n  distill:\n    params: {params.yaml: {distill: {labels: artifacts/corrected}}}\n"
        f"    outs: [{{path: artifacts/relabelled, md5: {content_md5(relabelled)}}}]\n"
    )
    assert (of_label(pseudo), of_label(copied), of_label(corrected)) == (False, False, True)
    assert of_label(pseudo, "b")  # the imported labels do not have it
    drawing = look(corrected, "a")[1]
    assert drawing is not None
    assert drawing.title == "Imported label"
    records = tuple(Record(name, "train", f"{name}.jpg", None, (1,), 8, 12, "0" * 64) for name in "ab")
    write_index(root / "artifacts/dataset", Index(CLASSES, records))
    steps = [list(json.loads(inspect(root, name, "--json")[1])["steps"]) for name in "ab"]
    assert steps == [["pseudo-label", "imported labels"], ["pseudo-label"]]  # what no student has learned from is none


def test_any_array_is_drawn_that_is_a_picture(cams: Path, pseudo: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "x.png"
    write_run(run, [Toy("a", columns(0, 1))])
    store = run / "artifacts/predictions"
    with h5py.File(store / "00000.h5") as file:
        confidence, earlier = file["a/confidence"][()], file["a/oste_single"][()]
    drawing = look(store, "a", array="confidence")[1]
    assert drawing is not None
    ((title, drawn),) = drawing.maps.items()
    assert title.startswith("confidence")
    np.testing.assert_allclose(drawn, confidence / 255, atol=1e-6)
    drawing = look(store, "a", array="oste_single")[1]
    assert drawing is not None
    np.testing.assert_array_equal(drawing.label, earlier)
    assert drawing.title == "oste_single"
    for place, name, title in ((store, "a", "Prediction"), (pseudo, IDS[0], "Pseudo-label")):
        drawing = look(place, name)[1]
        assert drawing is not None
        assert drawing.title == title
    assert inspect(store, "a", "--array", "confidence", "-o", out)[0] == 0
    assert out.is_file()
    assert "that can be drawn (did you mean 'oste'?)" in inspect(store, "a", "--array", "ostte")[2]
    drawing = look(cams, "a", array="scores")[1]
    assert drawing is not None
    assert list(drawing.maps) == ["Kuh", "dog"]
    assert "choose among scores" in inspect(cams, "a", "--array", "classes")[2]
    assert "fix: wsss inspect" in inspect(cams, "--array", "raw")[2]
    assert "has no arrays by name" in inspect(run / "artifacts/dataset", "a", "--array", "raw")[2]


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """A run of one photo, 12 × 16: its mask and label are 0 2, the student finds 0 0, and 0 1 after its CRF."""
    run = tmp_path / "run"
    write_run(run, [Toy("set-a", columns(0, 1), columns(0, 2), columns(0, 0, 255, 2))])
    classes, shard = read_index(run / "artifacts/dataset").classes, Shard("00000.h5", ("set-a",))

    def rewrite(store: str, meta: StoreMeta, put: Callable[[h5py.File], None]) -> None:
        folder = run / "artifacts" / store
        shutil.rmtree(folder, ignore_errors=True)
        with shard_writer(folder / shard.name, shard, meta) as file:
            put(file)
        write_store_index(folder, meta, [shard])

    def relabel(file: h5py.File) -> None:
        put_labels(file, "set-a", columns(0, 0, 2, 2), np.ones(SHAPE), before=columns(0, 0, 255, 2))

    def predict(file: h5py.File) -> None:
        steps = {"single": columns(0, 0), "multiscale": columns(0, 0)}
        put_labels(file, "set-a", columns(0, 1), np.full(SHAPE, 0.6), **steps)

    scores = np.repeat(np.array([[[0.5, 0.5, 1, 1]]], np.float32), 3, axis=1)
    cams = Cams(scores, np.full(1, 7, np.float32), np.array([2]), SHAPE, scores / 2)
    rewrite("cams", StoreMeta(FORMAT, classes, {"raw": True}), lambda file: put_cams(file, "set-a", cams))
    rewrite("relabelled", StoreMeta(PSEUDO_FORMAT, classes, {"multiscale": False}), relabel)
    rewrite("predictions", StoreMeta(PREDICTIONS_FORMAT, classes, {"crf": True, "branch": False}), predict)
    (run / "params.yaml").write_text("dataset: {root: data}\nevaluate: {cam_threshold: 0.4}\n")
    (run / "reports/photos.csv").write_text("id,tags,iou,label_iou,judged\nset-a,cow,0.5,0.4,prediction\n")
    return run


def test_a_photo_is_traced_through_the_run(traced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(inspect(traced / "artifacts", "set-a", "--at", "15,0", "--json")[1])
    assert list(found["steps"]) == [
        *("raw cam", "cam", "pseudo-label", "relabelled"),
        *("student", "student ms+flip", "student ms+flip+crf"),
    ]
    _, other, cow = read_index(traced / "artifacts/dataset").classes
    raw, cam, label, relabelled, single, _, final = found["steps"].values()
    assert (found["threshold of stretched CAMs"], found["mask"]) == (0.4, "set-a-mask.png")
    assert raw["maps"][cow] == {"mean": 0.375, "peak": None, "above": 0.5}
    assert cam["maps"][cow] == {"mean": 0.75, "peak": 7.0, "above": 0.5}  # the map is 0.5 and 1, stretched 0 and 1
    assert [step["iou"] for step in (cam, label, relabelled, single, final)] == [1, 0.75, 1, 0.25, 0.3333]
    assert label["pixels"]["fractions"] == {"background": 0.5, cow: 0.25, other: 0, "ignored": 0.25}
    filled = {"since": "the label before", "changed": 0.25, "better": 0.25, "worse": 0.0, "most": ""}
    assert relabelled["changed"] == filled
    crf = {"since": "student ms+flip", "changed": 0.5, "better": 0.0, "worse": 0.0, "most": f"background → {other}"}
    assert final["changed"] == crf
    assert cam["pixel"] == {"scores": {cow: 1.0}, "stretched scores": {cow: 1.0}}
    assert raw["pixel"] == {"raw": {cow: 0.5}, "stretched raw": {cow: 1.0}}
    assert (label["pixel"]["label"], single["pixel"]) == (cow, {"label": "background"})
    assert final["pixel"] == {"label": other, "confidence": 0.6}
    assert found["reports/photos.csv"]["of the label"] == {"iou": "0.4"}
    text = inspect(traced, "set-a")[1]
    assert f"      {cow}: mean 0.75 of its peak 7, 50.00 % above the threshold" in text.splitlines()
    assert "    pixels: background 50.00 %, " in text
    monkeypatch.chdir(traced)
    assert inspect(".", "set-a")[1] == text
    monkeypatch.chdir("artifacts")
    assert inspect(".", "set-a")[1] == text
    code, _, errors = inspect(traced, "set-b")
    assert (code, f"no photo 'set-b' in it (did you mean 'set-a'?)\nfix: wsss inspect {traced}" in errors) == (2, True)
    assert "has no arrays by name" in inspect(traced, "set-a", "--array", "raw")[2]


def test_a_traced_photo_is_one_sheet_of_equal_pictures(
    traced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photo, mask, CAM, CAMs cut, label, relabelled, and three of the student: in two rows."""

    def size(out: str, *options: object) -> tuple[int, int]:
        assert inspect(traced, "set-a", "-o", tmp_path / out, *options)[0] == 0
        with Image.open(tmp_path / out) as image:
            assert image.convert("RGB").getcolors(1 << 24) is not None
            return image.size

    width, height = size("a.png")
    assert width == 5 * WIDTH + 4 * SHEET_GAP
    assert height > 2 * WIDTH * SHAPE[0] // SHAPE[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "▀" in inspect(traced, "set-a")[1]
    with (traced / "data/set-a-mask.png").open("ab") as file:
        file.write(b"x")
    record_masks(traced / "artifacts/masks.csv", traced / "data", read_index(traced / "artifacts/dataset").records)
    assert size("b.png") == (width, height)
    with (traced / "data/set-a-mask.png").open("ab") as file:
        file.write(b"x")
    found = json.loads(inspect(traced, "set-a", "--json")[1])
    assert found["mask"] == "set-a-mask.png: has changed since it was indexed; so nothing is scored"
    assert not any("iou" in step for step in found["steps"].values())
    assert size("c.png")[0] == 4 * WIDTH + 3 * SHEET_GAP  # without a mask, and without what it says
    (traced / "data/set-a.png").unlink()
    size("d.png")
    code, _, errors = inspect(traced, "set-a", "--data", tmp_path)
    assert (code, "set-a.png: cannot be read" in errors) == (2, True)
    for store in ("cams", "pseudo", "relabelled", "predictions"):
        shutil.rmtree(traced / "artifacts" / store)
    assert "steps: none" in inspect(traced, "set-a")[1]
    size("e.png")


def test_a_photo_that_is_not_the_indexed_one_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, [Toy("a", columns(0, 1))])
    (run / "params.yaml").write_text("dataset: {root: data}\n")
    (file,) = (path for path in (run / "data").rglob("a.*") if path.suffix != ".txt" and "masks" not in path.parts)

    def told(path: str) -> str:
        return next(line for line in inspect(run / path, "a")[1].splitlines() if line.startswith("photo: "))

    for path in ("artifacts/predictions", "artifacts/dataset"):
        assert told(path) == f"photo: {file}: the same now"
    file.write_bytes(file.read_bytes() + b"x")
    for path in ("artifacts/predictions", "artifacts/dataset"):
        assert told(path) == f"photo: {file}: another one now, or changed since it was indexed"
    file.unlink()
    assert told("artifacts/predictions") == f"photo: {file}: not here now"
    text = inspect(run / "artifacts/predictions", "a", "--data", tmp_path)[1]
    assert f"photo: {tmp_path / file.relative_to(run / 'data')}: not here now" in text


def test_a_pixel_of_labels_is_that_of_the_photo_in_a_viewer(tmp_path: Path) -> None:
    run = tmp_path / "run"
    label = columns(0, 2)
    label[0, 0] = 255
    write_run(run, [Toy("a", label)])
    index = read_index(run / "artifacts/dataset")
    store = run / "artifacts/predictions"
    for own in ((12, 16), (24, 40), (7, 5)):  # as the photo is read, larger, smaller
        records = tuple(replace(record, own_height=own[0], own_width=own[1]) for record in index.records)
        shutil.rmtree(run / "artifacts/dataset")
        write_index(run / "artifacts/dataset", replace(index, records=records))
        for y, x in ((0, 0), (own[0] - 1, own[1] - 1), (own[0] // 2, own[1] // 3)):
            found = json.loads(inspect(store, "a", "--at", f"{x},{y}", "--json")[1])["pixel"]
            value = int(fit_label(label, own)[y, x])
            assert found["label"] == ("ignore (255)" if value == 255 else index.classes[value])
            assert found["in the photo"] == {"x": x, "y": y, "width": own[1], "height": own[0]}
            assert ("as it was read" in found) is (own != (12, 16))
    assert (found["confidence"], found["earlier"]["oste_single"]) == (1.0, found["label"])
    text = inspect(store, "a", "--at", " 4, 6")[1].splitlines()
    assert "  in the photo: x 4, y 6 of 5 × 7 (width × height)" in text
    assert "  as it was read: x 14, y 11 of 16 × 12 (width × height)" in text
    assert f"    single: {index.classes[2]}" in text
    # Without an index of this run, pixels are those of the photo as it was read.
    write_index(run / "artifacts/dataset", replace(index, records=(replace(index.records[0], width=17),)))
    found = json.loads(inspect(store / "00000.h5", "a", "--at", "15,11", "--json")[1])["pixel"]
    assert found["as it was read"] == {"x": 15, "y": 11, "width": 16, "height": 12}
    assert "in the photo" not in found
    assert found["size of the photo"] == "not known here, so X,Y are of the photo as it was read"


def test_a_pixel_of_cams_has_the_score_of_each_class(cams: Path) -> None:
    found = json.loads(inspect(cams, "a", "--at", "0,0", "--json")[1])["pixel"]
    assert found["scores"] == {"Kuh": 0.0, "dog": 0.522}
    assert found["stretched scores"] == {"Kuh": 0.0, "dog": 0.0}  # what a threshold cuts
    found = json.loads(inspect(cams, "a", "--at", "63,47", "--json")[1])["pixel"]
    assert found["scores"] == {"Kuh": 0.4783, "dog": 1.0}
    assert found["stretched scores"] == {"Kuh": 1.0, "dog": 1.0}
    text = inspect(cams, "b", "--at", "29,19")[1].splitlines()
    assert "  as it was read: x 29, y 19 of 30 × 20 (width × height)" in text
    assert text[-2:] == ["  scores: none", "  stretched scores: none"]


@pytest.mark.parametrize(
    ("at", "name", "what"),
    [
        ("64,0", "a", "--at: found 64,0, and the photo has 64 × 48 pixels (width × height)"),
        ("0,48", "a", "fix: give X from 0 to 63 and Y from 0 to 47"),
        ("-1,0", "a", "--at: found '-1,0', expected X,Y: two whole numbers"),
        ("3", "a", "--at: found '3', expected X,Y"),
        ("3,4", "", "--at: needs the ID of a photo"),
    ],
)
def test_what_is_no_pixel(cams: Path, at: str, name: str, what: str) -> None:
    code, _, text = inspect(cams, *([name] if name else []), "--at", at)
    assert code == 2
    assert what in text


def test_an_index_has_no_pixels(tmp_path: Path) -> None:
    write_index(tmp_path, Index(CLASSES, (Record("a", "val", "a.jpg", None, (1,), 8, 9, "0" * 64),)))
    assert "holds nothing of single pixels" in inspect(tmp_path, "a", "--at", "1,1")[2]


def test_the_precision_of_a_training_is_told(tmp_path: Path) -> None:
    write_student(tmp_path / "n.pt", precision="bf16-mixed")
    assert json.loads(inspect(tmp_path / "n.pt", "--json")[1])["precision of the training"] == "bf16-mixed"
    write_student(tmp_path / "n.pt")  # as an older version wrote it
    assert json.loads(inspect(tmp_path / "n.pt", "--json")[1])["precision of the training"] == "unknown"


def test_networks(tmp_path: Path) -> None:
    for write, kind in ((write_student, "student"), (write_oste, "oste")):
        found = json.loads(inspect(write(tmp_path / "n.pt"), "--json")[1])
        assert (found["kind"], found["classes"], found["weights"]) == (kind, list(CLASSES), "random")
        assert found["backbone"]["name"] == "tiny"
        assert found["bytes"] == (tmp_path / "n.pt").stat().st_size
        state = torch.load(tmp_path / "n.pt", weights_only=True)["state"].values()
        ends = [float(end) for tensor in state for end in (tensor.min(), tensor.max())]
        assert found["range"] == {"min": min(ends), "max": max(ends), "finite": True}
    assert "  dropout: 0.3" in inspect(tmp_path / "n.pt")[1].splitlines()
    assert inspect(tmp_path / "n.pt", "a")[0] == 2


def test_index(tmp_path: Path) -> None:
    records = [
        Record(f"{n}", "train" if n else "val", f"{n}.jpg", None, (1, 3)[:n], 8, 9 + n, "0" * 64) for n in range(3)
    ]
    masked = replace(records[0], id="3", mask="3.png")
    write_index(tmp_path, Index(CLASSES, (*records, masked)))
    found = json.loads(inspect(tmp_path, "--json")[1])
    assert found["photos"] == {"train": 2, "val": 2}
    assert found["photos of each class"] == {"Kuh": 2, "cat": 0, "dog": 1}
    assert found["photos without tags"] == 2
    assert found["photos with masks"] == {"train": 0, "val": 1}
    assert found["sizes"] == {"smallest": [8, 9], "largest": [8, 11]}
    assert json.loads(inspect(tmp_path, "2", "--json")[1])["tags"] == ["Kuh", "dog"]
    assert json.loads(inspect(tmp_path, "0", "--json")[1])["tags"] == []
    assert {"tags: none", "mask: none", "width: 9"} <= set(inspect(tmp_path, "0")[1].splitlines())


def test_extent_of_several_arrays_is_that_of_all_their_finite_numbers() -> None:
    parts = [np.array(part, np.float32) for part in ([2, np.nan], [], [[-1.5], [7]], [np.inf])]
    found = functools.reduce(operator.or_, map(Values.of, parts))
    assert found.range == Extent(-1.5, 7.0, False)
    assert str(found) == "float32 (0,) … (2, 1), -1.5 … 7, NOT FINITE"
    assert Extent.of(np.array([np.nan])) == Extent(None, None, False)
    assert type(Extent.of(np.array([3], np.uint8)).min) is int  # JSON writes 3 and not 3.0


@pytest.mark.parametrize(
    ("name", "code", "what"),
    [
        ("none", 2, "no such file or folder"),
        (
            "a.txt",
            2,
            "neither a store, a shard (.h5), a checkpoint (.pt), an exported network (.onnx), a package, an index, "
            "a folder of wsss predict nor a report (.csv, .json, .html)",
        ),
        ("a.h5", 4, "not an HDF5 file, or damaged"),
        ("a.pt", 4, "not a checkpoint, or truncated"),
        ("foreign.h5", 4, "cut short, or not written by wsss"),
    ],
)
def test_other_things(tmp_path: Path, name: str, code: int, what: str) -> None:
    for file in ("a.txt", "a.h5", "a.pt"):
        (tmp_path / file).write_text("nothing")
    with h5py.File(tmp_path / "foreign.h5", "w"):
        pass
    found, _, text = inspect(tmp_path / name)
    assert found == code
    assert f"error: {tmp_path / name}: {what}" in text


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bits_are_never_a_bug_of_ours(cams: Path, tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    data = bytearray((cams / "00000.h5").read_bytes())
    for place in generator.integers(0, len(data), 3):
        data[place] ^= 1 << int(generator.integers(8))
    (tmp_path / "flipped.h5").write_bytes(bytes(data))
    for arguments in ((), ("a",), ("a", "--at", "1,1")):
        code, _, text = inspect(tmp_path / "flipped.h5", *arguments)
        assert code == 4, text


def test_half_blocks_keep_the_picture() -> None:
    picture = np.zeros((4, 3, 3), np.uint8)
    picture[0], picture[1] = (255, 0, 0), (0, 0, 255)
    lines = ansi(half_blocks(picture, 80)).splitlines()
    assert len(lines) == 2
    assert "38;2;255;0;0;48;2;0;0;255" in lines[0]
    assert half_blocks(np.zeros((500, 1000, 3), np.uint8), 40).plain.splitlines()[0] == "▀" * 40
    assert len(half_blocks(np.zeros((500, 1000, 3), np.uint8), 40).plain.splitlines()) == 10


def test_a_folder_of_stores_and_networks_is_listed(cams: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    cams.rename(folder / "cams")
    write_student(folder / "student.pt")
    (folder / "broken.pt").write_bytes(b"no network")
    (folder / "notes.txt").write_text("")
    _, text, _ = inspect(folder)
    assert "  cams: CAMs (wsss.cams), " in text
    assert "  student.pt: network student: the student, with the way it was evaluated" in text
    assert "  broken.pt: cannot be read: " in text
    assert "notes" not in text
    assert inspect(folder / "cams" / "nothing")[0] == 2


def test_a_project_is_listed_by_its_folders(pseudo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else lies there: photos, hidden folders, folders of other programs."""
    project = tmp_path / "project"
    for name in ("artifacts/epochs/0001", "reports", "photos", ".scratch/live", "docs"):
        (project / name).mkdir(parents=True)
    shutil.copytree(pseudo, project / "artifacts/pseudo")
    write_student(project / "artifacts/student.pt")
    (project / "artifacts/epochs" / MARK).write_text("{}")
    (project / "reports/photos.csv").write_text("id\na\n")
    (project / ".scratch/live/photos.csv").write_text("id\n")
    (project / "docs/page.html").write_text("<title>x</title>")
    Image.fromarray(photo(8, 8)).save(project / "photos/a.png")
    found = json.loads(inspect(project, "--json")[1])["contents"]
    assert found == {
        "artifacts": f"folder of epochs, pseudo, student.pt: wsss inspect {project / 'artifacts'}",
        "photos": "1 picture",
        "reports": f"folder of photos.csv: wsss inspect {project / 'reports'}",
    }
    listed = json.loads(inspect(project / "artifacts", "--json")[1])["contents"]
    assert listed["pseudo"].startswith("pseudo-labels (wsss.pseudo), ")
    assert listed["epochs"] == (
        "folder that wsss has written: the student's masks of four training photos after each epoch"
    )
    (tmp_path / "empty").mkdir()
    assert "is no folder that wsss has made: it holds no store, network" in inspect(tmp_path / "empty")[2]


def test_a_folder_of_something_else_with_settings_is_no_damaged_one(tmp_path: Path) -> None:
    """Other programs have a `settings.json`, too."""
    tables = tmp_path / "results/alpha"
    tables.mkdir(parents=True)
    (tables / "settings.json").write_text('{"table": "chain"}')
    (tables / "seed0.csv").write_text("a,b\n1,2\n")
    code, said, _ = inspect(tables)
    assert (code, said) == (0, "what: folder\ncontents:\n  seed0.csv: table of 1 rows\n")
    assert f"  alpha: folder of seed0.csv: wsss inspect {tables}\n" in inspect(tmp_path / "results")[1]
    (tables / "seed0.csv").unlink()
    code, _, errors = inspect(tables)
    assert (code, errors.splitlines()) == (
        2,
        [
            f"error: {tables}: is no folder that wsss has made: it holds no store, network, index, predictions or "
            "reports",
            "fix: give e.g. artifacts or reports of a project; dvc repro makes them",
        ],
    )
    for name, content in (("settings.json", "{"), ("settings.json", '{"format": "wsss.predict", "version": 99}')):
        (tables / "masks").mkdir(exist_ok=True)
        (tables / name).write_text(content)
        code, _, errors = inspect(tables)
        assert code == 4
        assert "not the settings of wsss predict, or damaged\nfix: copy the folder again, or " in errors


def test_a_folder_of_predictions(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, (height, width) in enumerate(((40, 56), (80, 56))):
        Image.fromarray(photo(height, width, number)).save(photos / f"{number}.png")
    model, out = write_student(tmp_path / "student.pt"), tmp_path / "found"
    assert CliRunner().invoke(cli.main, ["predict", str(model), str(photos), "-o", str(out)]).exit_code == 0
    pixels = np.concatenate([np.asarray(Image.open(path)).ravel() for path in sorted((out / "masks").iterdir())])
    found = json.loads(inspect(out, "--json")[1])
    assert (found["what"], found["photos"], found["settings"]["min_area"]) == ("predictions of wsss predict", 2, "0")
    assert found["made"]["network"]["file"] == f"{model}: the same now"
    (run,) = found["made"]["runs"].values()
    assert run.startswith("2 masks made by commit ")
    assert run.endswith("; tags: none known, masks may show any class")
    for number, name in enumerate(CLASSES):
        assert found["share of pixels"][name] == pytest.approx((pixels == number).mean(), abs=1e-5)
    one = json.loads(inspect(out, "1", "--json", "-o", tmp_path / "1.png")[1])
    assert (one["photo"], one["height"], one["width"]) == ("1.png", 80, 56)
    value = int(np.asarray(Image.open(out / "masks/1.png"))[70, 3])
    pixel = json.loads(inspect(out, "1", "--at", "3,70", "--json")[1])["pixel"]
    assert pixel == {"in the photo": {"x": 3, "y": 70, "width": 56, "height": 80}, "label": CLASSES[value]}
    with Image.open(tmp_path / "1.png") as image:
        assert image.height > 80
    code, _, text = inspect(out / "masks")
    assert (code, text.endswith(f"fix: give the folder of wsss predict: {out}\n")) == (2, True)
    assert "no photo '2' in it" in inspect(out, "2")[2]
    assert json.loads(inspect(tmp_path, "--json")[1])["contents"]["found"] == "predictions of wsss predict, 2 photos"
    assert "edited since" not in found
    write_student(model, seed=1)
    assert json.loads(inspect(out, "--json")[1])["made"]["network"]["file"] == f"{model}: another one now"
    for broken in ("{", '{"runs": [], "model": 3}', '{"runs": [3], "model": {}, "how": ""}'):
        (out / "made.json").write_text(broken)
        assert json.loads(inspect(out, "--json")[1])["made"].startswith("not noted: ")
    Image.fromarray(1 - np.asarray(Image.open(out / "masks/1.png")).clip(0, 1)).save(out / "masks/1.png")
    assert json.loads(inspect(out, "--json")[1])["edited since"] == "1"
