"""`wsss predict`: a folder of photos to masks and a table, again and again."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from tests.helpers import CLASSES, running, wait_until
from tests.helpers import tree as files_below
from tests.toy_networks import photo, write_student
from tests.unit.predict.test_own_labels import write_labels
from tests.unit.report.test_verdict import AGREED, TAGS
from wsss import cli
from wsss.commands import predict as command
from wsss.core.atomic import sha256_file
from wsss.core.errors import ErrorList, UserError
from wsss.core.folders import atomic_dir
from wsss.core.lock import locked
from wsss.core.log import Progress
from wsss.data.crumbs import without_crumbs
from wsss.data.ids import encode_id, file_name
from wsss.data.images import load_image, load_mask, save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.data.origins import HAND, NETWORK, read_origins
from wsss.evaluation.exported import read_exported
from wsss.predict import chunks
from wsss.predict import run as running_photos
from wsss.predict.collect import find_photos
from wsss.predict.edits import read_checksums
from wsss.predict.made import PICTURES
from wsss.predict.note import NOTE, read_note
from wsss.predict.own_corrected import corrected_masks
from wsss.predict.own_set import own_set
from wsss.predict.segmenter import Segmentation, Segmenter
from wsss.report.scores import SOURCE_COLUMNS
from wsss.stores.labels import BY_HAND, PSEUDO_FORMAT, put_labels
from wsss.stores.shards import Shard, StoreMeta, shard_writer, write_store_index


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_student(tmp_path_factory.mktemp("model") / "student.pt")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos 5 %"
    for number, name in enumerate(("Kuh 1.png", "sub/ä.jpg", "=sum.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(40, 56, number)).save(path)
    (folder / "notes.txt").write_text("no photo")
    return folder


def predict(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, ["predict", *map(str, arguments)])
    assert "Traceback" not in result.stderr
    return result.exit_code, result.stdout, result.stderr


def tree(out: Path) -> dict[str, bytes]:
    """All that is there, without the note of when it was made."""
    return {name: content for name, content in files_below(out).items() if name != NOTE}


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines()))


def test_masks_overlays_and_table(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, _ = predict(model, photos, "-o", out, "--overlays", "--flip", "--scales", "0.5,1")
    assert code == 0
    assert text.splitlines()[0] == f"predict: 3 photos → {out}/predictions.csv, {out}/index.html"
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["%3Dsum.png", "Kuh%201.png", "sub%2F%C3%A4.png"]
    assert sorted(path.name for path in (out / "overlays").iterdir())[1] == "Kuh%201.jpg"
    assert sorted(path.name for path in out.iterdir()) == [
        *("index.html", "made.json", "masks", "masks.json", "overlays", "page", "predictions.csv", "settings.json")
    ]
    shown = np.asarray(Image.open(out / "page/photos" / "Kuh%201.jpg"), np.float64)
    assert np.abs(shown - load_image(photos / "Kuh 1.png")).mean() < 20  # JPEG of noise
    rows = table(out)
    assert [row["id"] for row in rows] == ["'=sum", "Kuh 1", "sub/ä"]
    found = Segmenter.load(model)(photos / "Kuh 1.png", scales=(0.5, 1.0), flip=True)
    np.testing.assert_array_equal(load_mask(out / "masks" / "Kuh%201.png", (40, 56), len(CLASSES)), found.label)
    row = rows[1]
    assert (row["height"], row["width"]) == ("40", "56")
    for name in CLASSES:
        assert float(row[f"area {name}"]) == pytest.approx(found.area(name), abs=1e-5)
    assert float(row["confidence"]) == pytest.approx(float(found.confidence.astype(np.float64).mean()), abs=1e-4)


def test_where_the_masks_come_from_is_noted(model: Path, photos: Path, tmp_path: Path) -> None:
    """A run that makes no mask is not noted, and one of other settings begins anew."""
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    found = read_note(out)
    assert found["model"]["file"] == str(model)
    assert found["model"]["sha256"] == sha256_file(model)
    assert found["model"]["unknown"] == "scores or settings: no dvc.lock beside it"
    assert found["how"].startswith(
        "photos at their own size, test-time scale 1, no flip, no CRF; the model's file does"
    )
    assert [(run["photos"], run["tags"]) for run in found["runs"]] == [(3, "none known, masks may show any class")]
    predict(model, photos, "-o", out)
    assert read_note(out) == found
    (out / "masks" / "Kuh%201.png").unlink()
    predict(model, photos, "-o", out)
    assert [run["photos"] for run in read_note(out)["runs"]] == [3, 1]
    predict(model, photos, "-o", out, "--flip", "--force")
    assert [run["photos"] for run in read_note(out)["runs"]] == [3]
    assert "scale 1, flip, no CRF" in read_note(out)["how"]


def test_rerun_does_only_what_is_missing(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    before = (out / "predictions.csv").read_bytes()
    (out / "masks" / "Kuh%201.png").unlink()
    Image.fromarray(photo(8, 8, 9)).save(photos / "new.png")
    report = json.loads(predict(model, photos, "-o", out, "--json")[1])
    assert (report["done"], report["kept"], report["failed"]) == (["Kuh 1", "new"], ["=sum", "sub/ä"], [])
    (photos / "new.png").unlink()
    assert len(table(out)) == 4
    assert [line for line in before.splitlines() if line not in (out / "predictions.csv").read_bytes()] == []
    Image.fromarray(photo(8, 8, 10)).save(photos / "=sum.png")  # another photo under an old name
    assert json.loads(predict(model, photos, "-o", out, "--json")[1])["done"] == ["=sum"]
    assert json.loads(predict(model, photos, "-o", out, "--json", "--overlays")[1])["kept"] == []
    (out / "page/photos" / "sub%2F%C3%A4.jpg").unlink()
    assert json.loads(predict(model, photos, "-o", out, "--json", "--overlays")[1])["done"] == ["sub/ä"]


def test_other_model_or_settings_are_refused_unless_forced(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(model, photos, "-o", out, "--overlays")
    code, _, text = predict(model, photos, "-o", out, "--scales", "1,2")
    assert code == 2
    assert text == (
        "predict: photos at their own size, test-time scales 1, 2, no flip, no CRF; the model's file does not say how "
        "it was evaluated\n"
        "predict: no tags of these photos are known, so masks may show any class; if you have a table of them: "
        "--tags FILE\n"
        f"error: {out}: holds predictions of another model or other settings (scales: found [1.0], now [1.0, 2.0])\n"
        "fix: choose another -o, or replace them with --force\n"
    )
    other = write_student(tmp_path / "other.pt", seed=1)
    code, _, text = predict(other, photos, "-o", out)
    assert code == 2
    assert "(model: found " in text
    (out / "mine.txt").write_text("stays")
    (photos / "=sum.png").unlink()
    assert predict(other, photos, "-o", out, "--force")[0] == 0
    assert [row["id"] for row in table(out)] == ["Kuh 1", "sub/ä"]
    assert not (out / "masks" / "%3Dsum.png").exists()
    assert not [path for kind in PICTURES for path in (out / kind).iterdir()]
    assert (out / "mine.txt").exists()


def repaint(path: Path) -> bytes:
    """The mask as a person leaves it who has changed one pixel; its bytes."""
    label = load_mask(path, (40, 56), len(CLASSES))
    label[0, 0] = (label[0, 0] + 1) % len(CLASSES)
    save_mask_png(path, label)
    return path.read_bytes()


@pytest.mark.parametrize("damaged", [False, True])
def test_edited_masks_are_replaced_by_no_force(model: Path, photos: Path, tmp_path: Path, damaged: bool) -> None:
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    mask = out / "masks" / "Kuh%201.png"
    before, edited = tree(out), repaint(mask)
    if damaged:
        (out / "settings.json").write_text("{")
    code, _, text = predict(model, photos / "=sum.png", "-o", out, "--flip", "--force")
    assert (code, mask.read_bytes()) == (2, edited)
    what = "1 of its 3 masks was edited since wsss predict wrote it, and --force would replace it: Kuh 1"
    assert f"error: {out}: {what}\nfix: choose another -o; or move it elsewhere first" in text
    mask.unlink()
    for name in (out / "masks").iterdir():  # written again, but not changed
        Image.open(name).convert("RGB").save(name)
    assert predict(model, photos, "-o", out, "--force")[0] == 0
    assert tree(out) == before


def test_edited_masks_are_counted_and_stay(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    mask = out / "masks" / "Kuh%201.png"
    edited = repaint(mask)
    _, text, said = predict(model, photos, "-o", out)
    assert text.startswith("predict: 0 photos, 3 were there (1 edited since, left as it is: Kuh 1) → ")
    assert "warning" not in said
    Image.fromarray(photo(40, 56, 9)).save(photos / "Kuh 1.png")
    for options in ((), ("--overlays",)):
        code, text, said = predict(model, photos, "-o", out, "--json", *options)
        report = json.loads(text)
        assert (code, report["edited"], "Kuh 1" in report["kept"]) == (0, ["Kuh 1"], True)
        assert f"warning: {out}: 1 mask edited by hand, so not made again" in said
        assert mask.read_bytes() == edited
    assert (out / "overlays/%3Dsum.jpg").is_file()
    mask.write_text("no picture")
    assert json.loads(predict(model, photos, "-o", out, "--json")[1])["edited"] == ["Kuh 1"]
    mask.unlink()
    assert json.loads(predict(model, photos, "-o", out, "--json")[1])["done"] == ["Kuh 1"]
    assert json.loads(predict(model, photos, "-o", out, "--json")[1])["edited"] == []


def test_what_is_shown_of_an_edited_mask_is_that_mask(model: Path, photos: Path, tmp_path: Path) -> None:
    out, name = tmp_path / "out", "Kuh%201"
    command = (model, photos, "-o", out, "--overlays", "--tags", tmp_path / "tags.csv")
    (tmp_path / "tags.csv").write_text(f"photo,tags\nKuh 1.png,{CLASSES[2]}|{CLASSES[3]}\n")
    predict(*command)
    whole = tree(out)
    assert table(out)[1]["edited"] == ""
    label = np.full((40, 56), 1, np.uint8)
    label[:10], label[10:15] = 0, 255
    save_mask_png(mask := out / f"masks/{name}.png", label)
    edited = mask.read_bytes()
    (out / f"overlays/{name}.jpg").unlink()  # drawn again, though the mask is not made again
    code, text, said = predict(*command)
    assert (code, "warning" in said, "Kuh 1: " in text) == (0, False, False)
    row = table(out)[1]
    assert mask.read_bytes() == edited
    assert (row["edited"], row["look"], row["tags"]) == ("by hand", "", f"{CLASSES[2]}|{CLASSES[3]}")
    assert [float(row[f"area {each}"]) for each in CLASSES] == [0.25, 0.625, 0, 0]
    shown = np.asarray(Image.open(out / f"page/overlays/{name}.jpg"), np.float64)
    expected = Segmentation(load_image(photos / "Kuh 1.png"), label, np.ones((1, 1)), CLASSES).overlay(1024, False)
    assert np.abs(shown - np.asarray(expected, np.float64)).mean() < 20  # JPEG of noise
    page = (out / "index.html").read_text()
    assert page.count('<span class="fine">edited by hand</span>') == 1
    others = {path: content for path, content in tree(out).items() if name not in str(path)}
    assert {path for path in others if others[path] != whole[path]} == {
        path for path in whole if str(path).endswith(("index.html", "predictions.csv"))
    }
    mask.unlink()  # the network's own mask is wanted back
    assert predict(*command)[0] == 0
    assert tree(out) == whole


def test_an_edited_mask_that_does_not_fit_is_told(model: Path, photos: Path, tmp_path: Path) -> None:
    predict(model, photos, "-o", out := tmp_path / "out")
    save_mask_png(mask := out / "masks/Kuh%201.png", np.zeros((4, 5), np.uint8))
    edited, before = mask.read_bytes(), table(out)
    code, _, text = predict(model, photos, "-o", out)
    assert (code, mask.read_bytes(), table(out)) == (2, edited, before)
    assert (
        f"error: {mask}: mask of 5 × 4 pixels, but its photo is displayed as 56 × 40 pixels\nfix: correct the" in text
    )


def test_a_folder_without_the_column_of_edited_masks_goes_on(model: Path, photos: Path, tmp_path: Path) -> None:
    """As an earlier version left it."""
    predict(model, photos, "-o", out := tmp_path / "out")
    whole = tree(out)
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**settings, "version": 4}))
    rows = list(csv.reader((out / "predictions.csv").read_text().splitlines()))
    (out / "predictions.csv").write_text("".join(",".join([*row[:8], *row[11:]]) + "\n" for row in rows))
    assert json.loads(predict(model, photos, "-o", out, "--json")[1])["done"] == []
    assert tree(out) == whole
    for version, columns in ((5, 9), (6, 10)):  # they had no column of splits, and none of what differs
        (out / "settings.json").write_text(json.dumps({**settings, "version": version}))
        (out / "predictions.csv").write_text("".join(",".join([*row[:columns], *row[11:]]) + "\n" for row in rows))
        assert json.loads(predict(model, photos, "-o", out, "--json")[1])["done"] == []
        assert tree(out) == whole


def test_a_mask_of_a_killed_run_is_not_edited(model: Path, photos: Path, tmp_path: Path) -> None:
    """Killed after the mask of a photo that had changed, before this was noted."""
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    noted = {name: (out / name).read_bytes() for name in ("masks.json", "predictions.csv")}
    Image.fromarray(photo(40, 56, 9)).save(photos / "Kuh 1.png")
    assert predict(model, photos, "-o", out)[0] == 0
    whole = tree(out)
    for name, content in noted.items():
        (out / name).write_bytes(content)
    assert json.loads(predict(model, photos, "-o", out, "--json")[1])["done"] == ["Kuh 1"]
    assert tree(out) == whole


def test_a_folder_without_checksums_goes_on(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(model, photos / "=sum.png", "-o", out)
    (out / "masks.json").unlink()  # as an earlier version left it
    report = json.loads(predict(model, photos, "-o", out, "--json")[1])
    assert (report["kept"], report["edited"], len(report["done"])) == (["=sum"], [], 2)
    assert sorted(read_checksums(out)) == ["Kuh 1", "sub/ä"]
    repaint(out / "masks/%3Dsum.png")
    assert predict(model, photos, "-o", out, "--force")[0] == 0
    assert len(read_checksums(out)) == 3


def test_checksums_of_somebody_stay(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "masks.json").write_text("{}")
    code, _, text = predict(model, photos, "-o", tmp_path, "--force")
    assert (code, "holds files that wsss predict has not written (masks.json)" in text) == (2, True)
    assert (tmp_path / "masks.json").read_text() == "{}"


def test_photos_that_lie_in_the_folder_of_the_results_stay(model: Path, tmp_path: Path) -> None:
    (own := tmp_path / "mine" / "photos").mkdir(parents=True)
    Image.fromarray(photo(40, 56, 0)).save(own / "a.jpg")
    before = (own / "a.jpg").read_bytes()
    for options in ((), ("--force",), ("--force", "--flip")):
        assert predict(model, own, "-o", own.parent, "--overlays", *options)[0] == 0
    assert (own / "a.jpg").read_bytes() == before
    assert (own.parent / "page/photos/a.jpg").is_file()


def test_known_tags_leave_out_other_classes(model: Path, photos: Path, tmp_path: Path) -> None:
    """Where the network is asked for two classes and the background, the more probable of these wins each pixel."""
    segmenter = Segmenter.load(model)
    name = segmenter.classes[2]
    (tags := tmp_path / "tags.csv").write_text(f"photo,tags\nKuh 1.png,{name}\n=sum.png,\ngone.png,{name}\n")
    out = tmp_path / "out"
    code, _, said = predict(model, photos, "-o", out, "--as-is", "--tags", tags)
    assert code == 0
    assert f"predict: tags of 2 of 3 photos are known ({tags}; 1 of them shows no class)\n" in said
    plain = tmp_path / "plain"
    assert predict(model, photos, "-o", plain, "--as-is")[0] == 0
    files = {each.id: (file_name(each.id, ".png"), load_image(each.path)) for each in find_photos([photos])}
    read = {
        key: [load_mask(folder / "masks" / file, (40, 56), len(CLASSES)) for folder in (out, plain)]
        for key, (file, _) in files.items()
    }
    assert not read["=sum"][0].any()
    np.testing.assert_array_equal(*read["sub/ä"])
    views = torch.from_numpy(files["Kuh 1"][1]).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        logits = segmenter.network.run(views)[:, [0, 2]]
        grid = nn.functional.interpolate(logits, (10, 14), mode="bilinear").softmax(1)
        expected = 2 * nn.functional.interpolate(grid, (40, 56), mode="bilinear").argmax(1)[0].numpy()
    np.testing.assert_array_equal(read["Kuh 1"][0], expected)
    assert 0 < (expected == 2).mean() < 1
    assert set(np.unique(read["Kuh 1"][1])) - {0, 2}
    tags.write_text(f"photo,tags\nKuh 1.png,{segmenter.classes[1]}\n")
    assert (
        "holds predictions of another model or other settings (tags:"
        in (predict(model, photos, "-o", out, "--as-is", "--tags", tags)[2])
    )


def corrected(folder: Path, names: tuple[str, ...], by_hand: str, base: str = "artifacts/pseudo") -> np.ndarray:
    """A store of labels, imported over `base`, of which a person has corrected one; its label."""
    label = np.zeros((40, 56), np.uint8)
    label[:8, :8], label[8, :8] = 1, 255
    meta, shard = StoreMeta(PSEUDO_FORMAT, CLASSES, {BY_HAND: 1, "base": base}), Shard("00000.h5", names)
    folder.mkdir(parents=True)
    with shard_writer(folder / shard.name, shard, meta) as file:
        for name in names:
            put_labels(file, name, label, np.ones((40, 56)))
        file[encode_id(by_hand)].attrs[BY_HAND] = True
    write_store_index(folder, meta, [shard])
    return label


def test_masks_that_a_person_has_corrected_are_kept_on_request(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"dataset": {"root": str(photos)}, "distill": {"labels": "artifacts/corrected"}}
    Path("params.yaml").write_text(json.dumps(settings))
    names = ("Kuh 1", "=sum")
    records = tuple(
        Record(each, split, f"{each}.png", None, (1,), 40, 56, "0" * 64)
        for each, split in zip(names, ("train", "val"), strict=True)
    )
    write_index(Path("artifacts/dataset"), Index(CLASSES, records))
    label = corrected(Path("artifacts/corrected"), names, "Kuh 1")
    command = (model, photos, "--overlays")
    text = predict(*command, "-o", "plain")[1]
    has = "1 photo has a mask corrected by hand (artifacts/corrected)"
    assert f"\n{has}, which is not taken here: --keep-corrected takes it\nnext: open plain/index.html; wsss" in text
    plain = {row["id"]: row for row in table(Path("plain"))}
    assert {name.removeprefix("'"): row["split"] for name, row in plain.items()} == {
        "Kuh 1": "train",
        "=sum": "val",
        "sub/ä": "",
    }
    assert "differs from its pseudo-label" not in plain["Kuh 1"]["look"]
    write_index(Path("artifacts/dataset"), Index(CLASSES, tuple(replace(each, split="val") for each in records)))
    predict(*command, "-o", "plain")
    assert [row["split"] for row in table(Path("plain"))] == ["val", "val", ""]  # of the photos that were there, too
    write_index(Path("artifacts/dataset"), Index(CLASSES, records))
    own = own_set(find_photos([photos]), CLASSES)
    sent = pickle.loads(pickle.dumps(corrected_masks(own, kept=True)))  # noqa: S301  to a worker
    np.testing.assert_array_equal(sent.mask("Kuh 1", (40, 56)), label)
    assert sent.mask("Kuh 1", (40, 57)) is sent.mask("=sum", (40, 56)) is None  # another photo now; not corrected
    _, text, said = predict(*command, "-o", "kept", "--keep-corrected")
    assert f"predict: {has}, taken as it is\n" in said
    kept = {row["id"]: row for row in table(Path("kept"))}
    assert [(row["edited"], bool(row["look"])) for name, row in kept.items() if name == "Kuh 1"] == [
        ("corrected by hand", False)
    ]
    np.testing.assert_array_equal(load_mask(Path("kept/masks/Kuh%201.png"), (40, 56), len(CLASSES)), label)
    assert {name: kept[name] == plain[name] for name in kept} == {"Kuh 1": False, "'=sum": True, "sub/ä": True}
    assert '<span class="fine">corrected by hand</span>' in page_of("kept")
    assert "1 photo corrected by hand (artifacts/corrected)" in page_of("kept")
    assert json.loads(predict(*command, "-o", "kept", "--keep-corrected", "--json")[1])["done"] == []
    assert "settings (corrected: found " in predict(*command, "-o", "kept")[2]
    assert cli.main.main(["export", "--to", "voc", "kept", "sent"], standalone_mode=False) is None
    kinds = {name: origin.kind for name, origin in read_origins(Path("sent")).items()}
    assert kinds == {"Kuh 1": HAND, "=sum": NETWORK, "sub/ä": NETWORK}
    assert {name: origin.kind for name, origin in read_exported(Path("kept")).origins.items()} == kinds


def test_corrections_are_found_that_distill_labels_does_not_name(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"dataset": {"root": str(photos)}, "distill": {"labels": "pseudo"}}
    Path("params.yaml").write_text(json.dumps(settings))
    names = ("Kuh 1", "=sum")
    index = Index(CLASSES, tuple(Record(each, "train", f"{each}.png", None, (1,), 40, 56, "0" * 64) for each in names))
    write_index(Path("artifacts/dataset"), index)
    command = (model, photos / "Kuh 1.png", photos / "=sum.png", "--as-is", "-o")
    none = "predict: --keep-corrected: no photo of these has a mask corrected by hand"
    assert none in predict(*command, "none", "--keep-corrected")[2]
    first, second = "artifacts/corrected_b", "artifacts/corrected_a"
    corrected(Path(first), (*names, "gone"), "Kuh 1")  # a photo of it was deleted since
    told = "1 photo has a mask corrected by hand ({})"
    text, said = predict(*command, "plain")[1:]
    assert f"{told.format(first)}, which is not taken here: --keep-corrected takes it" in text
    assert f"predict: {told.format(first)}, taken as it is\n" in predict(*command, "kept", "--keep-corrected")[2]
    corrected(Path(second), names, "=sum", first)  # later, over the first
    for labels in ("pseudo", first, second):
        Path("params.yaml").write_text(json.dumps({**settings, "distill": {"labels": labels}}))
        said = predict(*command, f"kept {Path(labels).name}", "--keep-corrected")[2]
        assert f"predict: {told.format(second)}, taken as it is\n" in said
        assert "warning" not in said
    corrected(Path("artifacts/corrected_c"), names, "=sum")  # beside them, and named by nothing
    said = predict(*command, "two", "--keep-corrected")[2]
    assert f"warning: {second}: corrections in artifacts/corrected_c are not in {second}, and are not taken" in said
    write_index(Path("artifacts/dataset"), replace(index, records=index.records[1:]))  # no store is of these alone
    assert corrected_masks(own_set(find_photos([photos]), CLASSES), kept=True) is not None  # but the named one
    Path("params.yaml").write_text(json.dumps(settings))
    assert corrected_masks(own_set(find_photos([photos]), CLASSES), kept=True) is None


def test_tags_of_the_data_set_in_the_present_folder_are_the_default(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = CLASSES[2]
    Path("params.yaml").write_text(json.dumps({"dataset": {"root": str(photos)}}))
    records = tuple(
        Record(each, "train", image, None, tags, 40, 56, "0" * 64)
        for each, image, tags in (("Kuh 1", "Kuh 1.png", (2,)), ("=sum", "=sum.png", ()))
    )
    write_index(Path("artifacts/dataset"), Index(CLASSES, records))
    Path("tags.csv").write_text(f"photo,tags\nKuh 1.png,{name}\n")
    said = {}
    for out, option in {"index": (), "table": ("--tags", "tags.csv"), "none": ("--tags", "none")}.items():
        code, _, said[out] = predict(model, photos, "-o", out, "--as-is", *option)
        assert code == 0
    assert (
        "predict: tags of 1 of 3 photos are known (artifacts/dataset); --tags none to leave them out\n" in said["index"]
    )
    assert "predict: masks may show any class, though tags of 1 of 3 photos are known" in said["none"]
    masks = {out: [path.read_bytes() for path in sorted(Path(out, "masks").iterdir())] for out in said}
    assert masks["index"] == masks["table"]
    assert [a == b for a, b in zip(masks["index"], masks["none"], strict=True)] == [True, False, True]
    assert "is no tag and covers" in {row["id"]: row["look"] for row in table(Path("none"))}["Kuh 1"]
    assert "is no tag" not in "".join(row["look"] for row in table(Path("index")))
    assert [row["tags"] for row in table(Path("index"))] == ["", name, ""]
    assert predict(model, photos / "=sum.png", photos / "Kuh 1.png", "-o", "index", "--as-is")[0] == 0
    code, _, text = predict(model, photos, "-o", "index", "--as-is", "--tags", "none")
    assert (code, "(tags: found " in text) == (2, True)


def test_a_photo_whose_tags_are_all_dropped_is_not_doubtful(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"dataset": {"root": str(photos), "drop": ["dog"]}}))
    images = {"Kuh 1": "Kuh 1.png", "=sum": "=sum.png", "sub/ä": "sub/ä.jpg"}
    records = tuple(Record(name, "train", image, None, (), 40, 56, "0" * 64) for name, image in images.items())
    write_index(Path("artifacts/dataset"), Index(CLASSES, records, dropped=(9,)))
    code, text, said = predict(model, photos, "-o", "out", "--as-is")
    assert code == 0
    assert "tags of 3 of 3 photos are known (artifacts/dataset; 3 of them show no class); --tags none" in said
    assert "covers" not in text
    assert [(row["tags"], row["area background"]) for row in table(Path("out"))] == [("none", "1")] * 3


def test_masks_unlike_the_pseudo_label_of_the_run_are_looked_at(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the run in the present folder knows the photo: with its tags or without any, not with a table's."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"dataset": {"root": str(photos)}}))
    record = Record("sub/ä", "train", "sub/ä.jpg", None, (2,), 40, 56, "0" * 64)
    write_index(Path("artifacts/dataset"), Index(CLASSES, (record,)))
    Path("tags.csv").write_text(f"photo,tags\nä.jpg,{CLASSES[2]}\n")
    write_labels(Path("artifacts/pseudo"), {"sub/ä": 1}, CLASSES)
    looks = {}
    for out, option in {"index": (), "none": ("--tags", "none"), "table": ("--tags", "tags.csv")}.items():
        assert predict(model, photos / "sub", "-o", out, *option)[0] == 0
        [row] = table(Path(out))
        assert row["id"] == "ä"  # another id than in the index
        looks[out] = row["look"].count("differs from its pseudo-label: ")
    assert looks == {"index": 1, "none": 1, "table": 0}


def test_classes_that_the_verdict_doubts_are_told_and_name_no_photo(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if the network is the student of the run whose verdict that is, or a copy of it."""
    monkeypatch.chdir(tmp_path)
    name, other = CLASSES[1], CLASSES[2]
    write_index(Path("artifacts/dataset"), Index(CLASSES, (Record("a", "train", "a.jpg", None, (1,), 8, 8, ""),)))
    Path("reports").mkdir()
    Path("reports/sources.csv").write_text(f"{','.join(SOURCE_COLUMNS)}\n")
    Path("reports/train_tags.csv").write_text(TAGS)
    disputed = "".join(f"{each},9,0.2,0.2,0.1000,disputed,fine\n" for each in (name, other))
    Path("reports/agreement.csv").write_text(f"{AGREED}{disputed}")
    Path("tags.csv").write_text(f"photo,tags\nKuh 1.png,{name}|{other}\n=sum.png,{other}\nsub/ä.jpg,{other}\n")
    command = (model, photos, "-o", "out", "--overlays", "--tags", "tags.csv")
    assert "verdict" not in predict(*command)[1]  # it is no student of a run
    shutil.copy(model, "artifacts/student.pt")
    told = f"classes that the verdict (reports) calls doubtful: {name}, {other} (look at"
    for path in (model, "artifacts/student.pt"):
        text = predict(path, *command[1:])[1]
        assert text.splitlines()[-2].startswith(told)
        assert f'<p class="soft" id="doubted">{told[0].upper()}{told[1:]}' in page_of("out")
        assert not any("verdict" in row["look"] for row in table(Path("out")))
    assert json.loads(predict(*command, "--json")[1])["doubted"] == dict.fromkeys((name, other), "doubtful")
    Path("reports/agreement.csv").unlink()
    assert "verdict" not in predict(*command)[1]


def page_of(out: str) -> str:
    """What the page shows before its notes."""
    return Path(out, "index.html").read_text(encoding="utf-8").split("<footer")[0]


def test_photos_to_look_at_are_named_at_the_end(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one_class = ("--as-is", "--min-area", "2240")
    small = [photos / f"{name}.png" for name in range(8)]
    for path in small:
        Image.fromarray(photo(8, 8, 0)).save(path)
    _, text, _ = predict(model, *small[:3], photos / "sub", "-o", out, *one_class)
    looks = {row["id"]: row["look"] for row in table(out) if row["look"]}
    first, *lines, last = text.splitlines()[1:]
    assert last == f"next: wsss export --to cvat {out} {out}.zip"
    assert first == "look at these first (3 of 4 photos, column look of the table):"
    assert {line.strip().split(": ", 1)[0]: line.split(": ", 1)[1] for line in lines} == looks
    everything = tmp_path / "everything"
    assert len(predict(model, photos, "-o", everything, *one_class)[1].splitlines()) <= 3 + 5
    look = json.loads(predict(model, photos, "-o", everything, *one_class, "--json")[1])["look"]
    assert look == {row["id"].removeprefix("'"): row["look"].split("; ") for row in table(everything) if row["look"]}
    assert len(look) > 5


def test_small_pieces_become_what_surrounds_them(model: Path, photos: Path, tmp_path: Path) -> None:
    plain, clean = tmp_path / "plain", tmp_path / "clean"
    predict(model, photos, "-o", plain, "--as-is")
    assert predict(model, photos, "-o", clean, "--as-is", "--min-area", "5%")[0] == 0
    changed = 0
    for name in ("%3Dsum.png", "Kuh%201.png", "sub%2F%C3%A4.png"):
        before, after = (load_mask(out / "masks" / name, (40, 56), len(CLASSES)) for out in (plain, clean))
        np.testing.assert_array_equal(after, without_crumbs(before, 112))
        changed += int((before != after).sum())
    assert changed
    code, _, text = predict(model, photos, "-o", plain, "--as-is", "--min-area", "5%")
    assert (code, '(min_area: found "0", now "5%")' in text) == (2, True)


def test_confidence_of_filled_pixels_is_an_upper_limit() -> None:
    label = np.zeros((4, 5), np.uint8)
    label[1, 1] = 1
    sure = np.full((4, 5), 0.875, np.float16)
    found = Segmentation(np.zeros((4, 5, 3), np.uint8), label, sure, CLASSES).without_crumbs(2)
    assert not found.label.any()
    expected = sure.copy()
    expected[1, 1] = 0.125
    np.testing.assert_array_equal(found.confidence, expected)
    assert found.confidence.dtype == np.float16


def test_folder_of_an_earlier_version_is_told(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**settings, "version": 2}))
    code, _, text = predict(model, photos, "-o", out)
    assert (code, "made by an earlier wsss" in text) == (4, True)
    assert predict(model, photos, "-o", out, "--force")[0] == 0


def test_workers_elsewhere_fill_the_same_folder(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever is done first: tasks come back in another order."""
    for number in range(2 * chunks.CHUNK):
        Image.fromarray(photo(8, 8, number)).save(photos / f"{number}.png")
    (photos / "bad.png").write_text("no")
    (photos / "worse.png").write_text("no")
    here, there = tmp_path / "here", tmp_path / "there"
    assert predict(model, photos, "-o", here, "--overlays")[0] == 2

    def run_backwards(workers: None, work: Any, tasks: Any, weights: list[int], progress: Progress) -> Any:
        return [(number, work(*task)) for number, task in reversed(list(enumerate(tasks)))]

    monkeypatch.setattr(command, "elsewhere", lambda: True)
    monkeypatch.setattr(running_photos, "workers_for", nullcontext)
    monkeypatch.setattr(running_photos, "run_counted", run_backwards)
    report = json.loads(predict(model, photos, "-o", there, "--overlays", "--json")[1])
    assert tree(here) == tree(there)
    assert report["done"] == sorted(report["done"])
    assert [Path(failed["photo"]).name for failed in report["failed"]] == ["bad.png", "worse.png"]
    assert len(json.loads(predict(model, photos, "-o", there, "--overlays", "--json")[1])["kept"]) == 19


def test_page_of_somebody_stays(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(model, photos, "-o", out, "--overlays")[0] == 0
    assert predict(model, photos, "-o", out, "--overlays", "--flip", "--force")[0] == 0
    (out / "index.html").write_text("mine")
    code, _, text = predict(model, photos, "-o", out, "--overlays", "--force")
    assert (code, f"error: {out}/index.html: is there already, and wsss predict has not written it\n" in text) == (
        2,
        True,
    )
    assert predict(model, photos, "-o", out, "--no-flip", "--force")[0] == 0
    assert (out / "index.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("photo,tags\nKuh 1.png,Kuhh\n", "unknown class 'Kuhh' (did you mean 'Kuh'?)"),
        ("photo,tags\nother.png,Kuh\n", "names none of these photos"),
        ("a,b\nKuh 1.png,Kuh\n", "no column of file names"),
    ],
)
def test_wrong_tables_of_tags(model: Path, photos: Path, tmp_path: Path, text: str, what: str) -> None:
    (tags := tmp_path / "tags.csv").write_text(text)
    code, _, said = predict(model, photos, "-o", tmp_path / "out", "--tags", tags)
    assert code == 2
    assert what in said
    assert not (tmp_path / "out").exists()


def test_unreadable_photos_are_listed_and_the_others_done(model: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "a.jpg").write_bytes(b"<html>no")
    (photos / "b.png").write_bytes((photos / "Kuh 1.png").read_bytes()[:-40])
    out = tmp_path / "out"
    code, text, errors = predict(model, photos, "-o", out)
    assert code == 2
    assert text.splitlines()[0] == f"predict: 3 photos, 2 cannot be read → {out}/predictions.csv"
    assert errors.splitlines()[2].startswith(
        f"error: {photos}/a.jpg: not an image (found an HTML page, expected JPEG, PNG"
    )
    assert f"error: {photos}/b.png: damaged or truncated PNG" in errors
    assert errors.count("fix: ") == 2
    assert len(table(out)) == 3
    report = json.loads(predict(model, photos, "-o", out, "--json")[1])
    assert [failed["photo"] for failed in report["failed"]] == [f"{photos}/a.jpg", f"{photos}/b.png"]
    assert len(report["kept"]) == 3


@pytest.mark.parametrize("seed", range(30))
def test_fuzzed_photos_never_end_the_run(model: Path, tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    path = tmp_path / f"p{('.jpg', '.png', '.webp', '.bmp', '.tif')[seed % 5]}"
    Image.fromarray(photo(24, 31, seed)).save(path)
    data = bytearray(path.read_bytes())
    for place in generator.integers(0, len(data), generator.integers(1, 20)):
        data[place] = generator.integers(0, 256)
    path.write_bytes(bytes(data[: generator.integers(1, len(data) + 1)]))
    code, _, errors = predict(model, path, "-o", tmp_path / "out", "--max-megapixels", 1)
    assert code in (0, 2)
    assert "this is a bug" not in errors


def test_signal_keeps_finished_work(model: Path, tmp_path: Path) -> None:
    for number in range(300):
        Image.fromarray(photo(64, 64, number)).save(tmp_path / f"{number}.png")
    out = tmp_path / "out"
    with running("-m", "wsss", "predict", str(model), str(tmp_path), "-o", str(out), "--crf", cwd=tmp_path) as process:
        wait_until(lambda: (out / "masks").is_dir() and len(list((out / "masks").iterdir())) > 2, 120)
        os.kill(process.pid, signal.SIGTERM)
        errors = process.communicate()[1]
        assert process.returncode == 75, errors
    assert errors.endswith("stopped (SIGTERM): finished work is kept; the same command goes on from there\n")
    assert len(table(out)) == len(list((out / "masks").iterdir()))


@pytest.mark.parametrize("kind", ["voc", "coco", "cvat"])
def test_export_of_an_interrupted_run_warns(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    out = tmp_path / "out"
    Image.fromarray(photo(8, 8, 9)).save(photos / "unreadable.png")
    (photos / "unreadable.png").write_bytes(b"no picture")

    def export(name: str) -> str:
        result = CliRunner().invoke(cli.main, ["export", "--to", kind, str(out), str(tmp_path / name)])
        assert result.exit_code == 0
        return result.stderr

    with monkeypatch.context() as patched:
        work, seen = running_photos.segment_photo, iter(range(2))

        def interrupted(*arguments: Any) -> Any:
            if next(seen, None) is None:
                raise KeyboardInterrupt
            return work(*arguments)

        patched.setattr(running_photos, "segment_photo", interrupted)
        assert predict(model, photos, "-o", out)[0] == 130
    what = "2 of 4 photos: wsss predict still runs, or was interrupted"
    fix = "wait for it; or, if it does not run, give the same wsss predict again: it goes on"
    assert export("some") == f"warning: {out}: {what}\nfix: {fix}\n"
    assert predict(model, photos, "-o", out)[0] == 2  # to its end, where the photo that cannot be read is told
    assert export("all") == ""
    assert len(table(out)) == 3


def test_second_run_on_one_folder_is_told(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out" / ".lock", "busy"):
        code, _, text = predict(model, photos, "-o", tmp_path / "out")
    assert code == 2
    assert f"{tmp_path}/out/.lock: another wsss predict is writing here (PID {os.getpid()}" in text


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("settings.json", "{", "not the settings of wsss predict, or damaged"),
        ("settings.json", "[1]", "not the settings of wsss predict, or damaged"),
        ("predictions.csv", "a,b\n1,2\n", "not a table of wsss predict, or edited"),
        ("predictions.csv", "", "not a table of wsss predict, or edited"),
    ],
)
def test_damaged_folder(model: Path, photos: Path, tmp_path: Path, file: str, content: str, what: str) -> None:
    out = tmp_path / "out"
    predict(model, photos, "-o", out)
    (out / file).write_text(content)
    code, _, text = predict(model, photos, "-o", out)
    assert code == 4
    assert f"error: {out}/{file}: {what}" in text
    assert predict(model, photos, "-o", out, "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--min-area", "0.1"],
            "error: --min-area: found '0.1', expected whole pixels, or per cent of a photo's pixels\n"
            "fix: for per cent of the photo give 0.1%\n",
        ),
        (
            ["--min-area", "25%"],
            "error: --min-area: found '25%', expected 0 to 5 per cent of a photo's pixels\n"
            "fix: give e.g. 0.1%, or a number of pixels\n",
        ),
        (["--scales", "a"], "error: --scales: found 'a', expected numbers\nfix: give e.g. --scales 0.75,1,1.25\n"),
        (
            ["--scales", "0"],
            "error: scales: found [0.0], expected a list of numbers above 0 and up to 8\n"
            "fix: give e.g. [0.75, 1, 1.25] (on the command line: 0.75,1,1.25)\n",
        ),
    ],
)
def test_wrong_scales(model: Path, photos: Path, tmp_path: Path, arguments: list[str], expected: str) -> None:
    assert predict(model, photos, "-o", tmp_path / "out", *arguments) == (2, "", expected)


def test_output_in_the_way(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    code, _, text = predict(model, photos, "-o", tmp_path / "out")
    assert code == 2
    assert "cannot be written" in text


@pytest.mark.parametrize(("given", "beside"), [("album", "found"), (".", "../found"), ("../my photos", "../found")])
def test_results_go_beside_the_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, beside: str) -> None:
    (tmp_path / "project/album").mkdir(parents=True)
    (tmp_path / "my photos").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    fix = f"choose a folder beside it, e.g. -o {beside}"
    error = f"error: {Path(given)}: is a folder of photos\nfix: {fix}\n"
    assert predict("student.pt", given, "-o", given) == (2, "", error)


def test_photos_that_are_not_there_or_twice(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("")
    for name in ("a/x.jpg", "b/x.png", "b/.hidden/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ErrorList) as caught:
        find_photos([tmp_path / "empty", tmp_path / "none", tmp_path / "a", tmp_path / "b"])
    text = str(caught.value)
    assert f"{tmp_path}/empty: no photos in this folder (1 other files)" in text
    assert f"{tmp_path}/none: no such file or folder" in text
    assert f"{tmp_path}/b/x.png: has the same id as {tmp_path}/a/x.jpg ('x')" in text


def test_what_wsss_wrote_is_never_segmented(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it lies, also below -o; photos beside it stay, and so does a folder with other settings."""
    names = [each.name for each in find_photos([photos])]
    assert capsys.readouterr().err == ""
    for out in (photos / "found", photos / "sub/earlier", photos):
        assert predict(model, photos / "=sum.png", "-o", out, "--overlays")[0] == 0
    with atomic_dir(photos / "gallery") as folder:
        Image.fromarray(photo(8, 8, 0)).save(folder / "shown.png")
    (photos / "other/masks").mkdir(parents=True)
    (photos / "other/settings.json").write_text("{}")
    Image.fromarray(photo(8, 8, 0)).save(photos / "other/masks/x.png")
    assert [each.name for each in find_photos([photos])] == sorted([*names, "other/masks/x.png"])
    assert capsys.readouterr().err == (
        f"left out: what wsss predict wrote in {photos}, {photos / 'found'}, {photos / 'sub/earlier'}\n"
        f"left out: what wsss wrote in {photos / 'gallery'}\n"
    )
    assert [each.name for each in find_photos([photos / "gallery"])] == ["shown.png"]  # a data set may be marked
    with pytest.raises(UserError, match="no photos in this folder"):
        find_photos([photos / "found"])
    for said in ("predict: 1 photo → ", "predict: 0 photos, 1 was there → "):
        assert predict(model, photos / "=sum.png", "-o", tmp_path / "one")[1].startswith(said)
    report = json.loads(predict(model, photos, "-o", photos / "found", "--overlays", "--json")[1])
    assert (len(report["done"]), report["kept"]) == (3, ["=sum"])


def test_pictures_that_cannot_be_read_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x.jpg", "b/y.avif", "b/z.GIF", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [photo.id for photo in find_photos([tmp_path])] == ["x"]
    what = "ignored 2 pictures in formats that are not read (1 .avif, 1 .gif; first 'b/y.avif')"
    assert f"warning: {tmp_path}: {what}\nfix: convert" in capsys.readouterr().err


def test_a_photo_given_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"")
    found = find_photos([tmp_path, tmp_path / "x.jpg"])
    assert [photo.id for photo in found] == ["x"]


def blank(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_masks_of_tools_and_of_the_settings_are_no_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos, edited = tmp_path / "album", tmp_path / "album/edited"
    blank(photos, "a.jpg", "sub/b.png", "masks/a.png", "SegmentationClass/c.png", "voc/JPEGImages/d.jpg")
    blank(photos, "voc/SegmentationClass/d.png")
    blank(edited, "labelmap.txt", "SegmentationClass/sub/b.png", "SegmentationObject/a.png", "JPEGImages/sub/b.jpg")
    blank(edited, "JPEGImages/new.jpg")  # nowhere else
    Path("params.yaml").write_text("dataset: {root: album, masks: masks}\n")
    kept = ["SegmentationClass/c.png", "a.jpg", "edited/JPEGImages/new.jpg", "sub/b.png", "voc/JPEGImages/d.jpg"]
    assert [photo.name for photo in find_photos([photos])] == kept
    folders = (edited / "SegmentationClass", edited / "SegmentationObject", photos / "masks")
    masks = ", ".join(map(str, (*folders, photos / "voc/SegmentationClass")))
    copies = f"left out: copies of photos in {edited / 'JPEGImages'}\n"
    assert capsys.readouterr().err == f"left out: masks in {masks}\n{copies}"
    assert [photo.name for photo in find_photos([edited])] == ["JPEGImages/new.jpg", "JPEGImages/sub/b.jpg"]
    assert [photo.name for photo in find_photos([photos / "masks"])] == ["a.png"]  # they were asked for
