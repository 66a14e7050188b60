"""`wsss check`: one report of everything, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from pipeline import index as index_stage
from tests.conftest import RawData
from tests.toy_hub import save_model
from tests.toy_tag import toy_look, two_kinds
from wsss.commands.check import Params, look, main, place
from wsss.commands.slips import CORRECT, MISSPELT, with_lines
from wsss.data.images import save_mask_png
from wsss.formats.problems import Finding
from wsss.formats.settings import DatasetSettings


@pytest.fixture
def herd(raw_data: RawData) -> RawData:
    """24 photos of cows and sheep, and a list of the two."""
    photos = [raw_data.photo(f"p{i:02}.jpg", (64, 80)).name for i in range(24)]
    rows = [f"{photo},{('cow', 'sheep', 'cow|sheep')[i % 3]}" for i, photo in enumerate(photos)]
    raw_data.write(
        "tags.csv",
        "filename,tags,split\n" + "".join(f"{r},{'val' if i > 17 else 'train'}\n" for i, r in enumerate(rows)),
    )
    raw_data.write("classes.txt", "cow\nsheep\n")
    return raw_data


def check(data: RawData, *options: str, **settings: object) -> Result:
    section = {"root": str(data.root), "format": "folder", "classes": "classes.txt", "long_side": 0, **settings}
    YAML().dump({"seed": 0, "dataset": section}, data.out.with_name("params.yaml"))
    return CliRunner().invoke(main, list(options))


def test_masks_added_after_a_training_need_none(herd: RawData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_mask_png(herd.root / "masks/p20.png", np.zeros((64, 80), np.uint8))
    assert check(herd, masks="masks").stdout.endswith("next: dvc repro gallery\n")
    Path("artifacts").mkdir()
    Path("artifacts/student.pt").touch()
    stages = "python -m pipeline.index && python -m pipeline.evaluate && python -m pipeline.gallery"
    again = (
        "next: dvc repro gallery (it trains again where photos, tags or their first masks are new; to score with masks"
    )
    assert check(herd, masks="masks").stdout.endswith(f"{again} alone: {stages})\n")


def test_sound_data_set(herd: RawData) -> None:
    result = check(herd)
    assert result.exit_code == 0
    assert (
        result.stdout
        == f"""\
photos: 24 in ./ (24)
tags.csv: photo = filename; tags = tags; split = split
classes: 2 of classes.txt: cow, sheep
splits: tags.csv (24 photos)
masks: none

class       train  val  alone
-----------------------------
cow            12    4      6
sheep          12    4      6
-----------------------------
all photos     18    6     12

check: 24 sound photos in {herd.root}; 0 errors, 0 warnings; next: dvc repro gallery
"""
    )


def test_what_wsss_wrote_among_the_photos_is_told(herd: RawData) -> None:
    for name in ("found/masks/p00.jpg", "found/overlays/p00.jpg", "all/JPEGImages/p00.jpg", "other/masks/p00.jpg"):
        herd.photo(name, (64, 80))
    herd.write("found/settings.json", '{"format": "wsss.predict"}')
    herd.write("all/.wsss", "")
    herd.write("other/settings.json", "{}")
    herd.write(".wsss", "")  # a data set may be marked
    result = check(herd, allow_untagged=True)
    places = "all/ (1), found/masks/ (1), found/overlays/ (1)"
    assert (
        f"warning: {herd.root}: 3 of 28 photos are none, but pictures that wsss has written: {places}\n"
        "fix: move these out of the folder of the photos, and give wsss a folder beside it: "
        f"-o {herd.root.parent / 'found'}\n"
    ) in result.stdout


def test_mask_of_no_photo_is_counted(herd: RawData) -> None:
    herd.write("gt/elsewhere.png", b"x")
    result = check(herd, masks="gt")
    assert "gt: 1 masks belong to no photo (first elsewhere.png)" in result.stdout
    assert "0 errors, 1 warning;" in result.stdout


def test_every_error_is_told_at_once_in_the_order_of_files_and_lines(herd: RawData) -> None:
    lines = (herd.root / "tags.csv").read_text().splitlines()
    lines[3], lines[11] = "p02.jpg,cow|shep,train", "p10.jpg,cow,trian"
    herd.write("tags.csv", "\n".join([*lines, "p99.jpg,cow,val"]))
    herd.write("p05.jpg", (herd.root / "p05.jpg").read_bytes()[:200])
    herd.write("p06.jpg", "<!doctype html>")
    result = check(herd)
    assert result.exit_code == 2
    found = [line for line in result.stdout.splitlines() if line.startswith("error: ")]
    root = herd.root
    assert [line.partition(" (")[0] for line in found] == [
        f"error: {root}/p05.jpg: damaged or truncated JPEG",
        f"error: {root}/p06.jpg: not an image",
        f"error: {root}/tags.csv:4: unknown class 'shep'",
        f"error: {root}/tags.csv:12: unknown split 'trian'",
        f"error: {root}/tags.csv:26: no photo 'p99.jpg' below {root}",
    ]
    assert result.stdout.count("\nfix: ") == 5
    assert result.stdout.endswith(f"check: 22 sound photos in {root}; 5 errors, 0 warnings\n")


def test_model_that_a_stage_would_download_is_a_warning(herd: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, local_files_only: bool = False, **__: object) -> str:
        assert local_files_only, "a download"
        raise OSError("no cache")

    monkeypatch.setattr(pytest.importorskip("huggingface_hub"), "snapshot_download", offline)
    check(herd)
    params = herd.out.with_name("params.yaml")
    params.write_text(
        params.read_text() + "distill:\n  rounds: 1\n  optim: {lr: 0.003}\n  backbone:\n    name: hf:far/model\n"
    )
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.output
    line = len(params.read_text().splitlines())
    assert f"warning: params.yaml:{line}: distill.backbone.name: hf:far/model is neither a folder" in result.stdout
    assert "\nfix: fetch it before: hf download far/model; for a node without this cache: " in result.stdout
    assert "; 0 errors, 1 warning;" in result.stdout
    (told,) = json.loads(CliRunner().invoke(main, ["--json"]).stdout)["warnings"]
    assert told["what"].startswith(f"params.yaml:{line}: distill.backbone.name: ")


def test_tags_that_a_classifier_contradicts_are_named_on_request(
    raw_data: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsss.tag.suggest.backbone_look", toy_look)
    two_kinds(raw_data, 40)
    raw_data.write("classes.txt", "cow\nsheep\n")
    slips = {"c004": "sheep", "s009": "cow"}
    honest = {f"{'cs'[number % 2]}{number:03}": ("cow", "sheep")[number % 2] for number in range(40)}
    for tags, named in ((honest, []), (honest | slips, ["c004 (sheep 0.", "s009 (cow 0."])):
        raw_data.write("tags.csv", "\n".join(["filename,tags", *map(",".join, tags.items())]))
        result = check(raw_data, "--tags-too")
        assert result.exit_code == 0
        told = [line for line in result.stdout.splitlines() if "tags that a classifier contradicts" in line]
        assert len(told) == bool(named)
        assert all(each in told[0] for each in named)
        assert told == [] or told[0].count("(") == 2
        assert ("check: the classifier contradicts no tag\n" in result.stderr) is not bool(named)
        assert "contradicts" not in check(raw_data).output


def test_few_photos_are_not_asked_about_their_tags(herd: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.tag.suggest.backbone_look", toy_look)
    assert "was not asked: there are 24 photos, expected 30" in check(herd, "--tags-too").stdout


def test_copies_and_rare_classes_are_warnings(herd: RawData) -> None:
    herd.write("p18.jpg", (herd.root / "p00.jpg").read_bytes())
    herd.write("tags.csv", (herd.root / "tags.csv").read_text().replace("p01.jpg,sheep", "p01.jpg,shep"))
    herd.write("classes.txt", "cow\nsheep\nshep\n")
    result = check(herd)
    assert result.exit_code == 0
    root = herd.root
    for what in (
        "classes with fewer than 5 training photos: shep (1)\nfix: add photos, or drop the class",
        "rare classes whose names resemble frequent ones: shep (1, p01) = sheep (15)?\n"
        "fix: correct these tags (tags.csv: shep in line 3); or ",
        "identical photos under several names: p00 = p18\nfix: delete the copies",
        "identical photos in several splits: p00 (train) = p18 (val); scores will be too good\nfix: delete the copies",
    ):
        assert f"warning: {root}: {what}" in result.stdout
    assert "0 errors, 4 warnings" in result.stdout


def test_the_lines_of_misspelt_tags_are_told_where_a_table_has_them(herd: RawData) -> None:
    rows = (herd.root / "tags.csv").read_text().splitlines()
    for line, tags in ((4, "Shep"), (6, "cow|shep"), (9, "cwo")):
        photo, _, split = rows[line - 1].split(",")
        rows[line - 1] = f"{photo},{tags},{split}"
    herd.write("tags.csv", "\n".join(rows))
    herd.write("classes.txt", "cow\ncwo\nsheep\nshep\n")
    fix = "fix: correct these tags (tags.csv: cwo in line 9, shep in lines 4, 6); or list the names"
    assert fix in check(herd).stdout
    folders = DatasetSettings(root=str(herd.root), format="folder", tags="folders")
    found = [Finding(f"{MISSPELT}shep (2, p01) = sheep (15)?", f"{CORRECT}; or list")]
    survey = look(Params(seed=0, dataset=folders.model_copy(update={"tags": "tags.csv"})))[0]
    assert survey is not None
    for other in (folders, folders.model_copy(update={"tags": "none.csv"})):
        assert with_lines(found, survey, other) == found
    herd.write("wide.csv", "filename,sheep,shep\np00.jpg,1,0\n")
    wide = with_lines(found, survey, folders.model_copy(update={"tags": "wide.csv"}))
    assert wide[0].fix == "correct these tags (wide.csv: headings of line 1); or list"


def test_tags_that_are_separated_by_blanks_are_told(herd: RawData) -> None:
    herd.write("tags.csv", (herd.root / "tags.csv").read_text().replace("cow|sheep", "Cow sheep"))
    herd.write("classes.txt", "cow\nsheep\nCow sheep\nsea cow\n")
    what = "classes whose names are made of other classes': Cow sheep\nfix: if these are several tags, write | between"
    assert f"warning: {herd.root}: {what}" in check(herd).stdout


@pytest.mark.parametrize(("width", "read"), [(400, 400), (440, 440), (640, 400), (2016, 400), (200, 320)])
def test_what_long_side_does_is_told(herd: RawData, width: int, read: int) -> None:
    """Not as a warning: nothing has to be done about it."""
    for number in range(24):
        herd.photo(f"p{number:02}.jpg", size=(width // 2, width))
    many = len(list(herd.root.glob("*.jpg")))
    told = (
        f"check: photos are read at a longer side of about {read} pixels (dataset.long_side; their own: {width} in the "
        f"middle): {many} {'smaller' if read < width else 'larger'} than they are, of {many}; masks are scored and "
        "predicted at the photos' own size"
    )
    found = check(herd, long_side="auto")
    assert (told in found.stdout.splitlines()) is (read != width)
    assert "0 errors, 0 warnings" in found.stdout
    assert json.loads(check(herd, "--json", long_side="auto").stdout)["long_side"] == (read if read != width else 0)


def test_json_report(herd: RawData) -> None:
    herd.write("p05.jpg", b"")
    herd.write("tags.csv", (herd.root / "tags.csv").read_text().replace("p02.jpg,cow|", "p02.jpg,caw|"))
    result = check(herd, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["photos"] == {"train": 17, "val": 6}
    assert report["classes"]["sheep"] == {"train": 11, "val": 4}
    assert [(error["file"], error["line"]) for error in report["errors"]] == [
        (f"{herd.root}/p05.jpg", None),
        (f"{herd.root}/tags.csv", 4),
    ]
    assert report["errors"][1]["what"] == "unknown class 'caw' (did you mean 'cow'?)"
    assert report["errors"][1]["fix"] == "edit line 4"


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_nothing_to_read_is_an_error_in_the_report(herd: RawData, option: list[str]) -> None:
    result = check(herd, *option, root="nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stdout
    assert "no such folder" in result.stdout


def test_settings_are_checked_first(herd: RawData) -> None:
    result = check(herd, formt="voc")
    assert result.exit_code == 2
    assert "dataset.formt: unknown key (did you mean 'format'?)" in result.stderr


def test_place_of_an_error() -> None:
    assert place("a:b/tags.csv:12") == {"file": "a:b/tags.csv", "line": 12}
    assert place("list.json: image 9") == {"file": "list.json: image 9", "line": None}


def test_what_later_stages_would_refuse_is_told_now(herd: RawData) -> None:
    def told(**sections: object) -> Result:
        dataset = {"root": str(herd.root), "format": "folder", "classes": "classes.txt", "long_side": 0}
        YAML().dump({"seed": 0, "dataset": dataset, **sections}, herd.out.with_name("params.yaml"))
        return CliRunner().invoke(main, [])

    assert told(cams={"scales": [1.0]}, gallery={"images": 4}).exit_code == 0
    result = told(cams={"scales": [-1.0]}, correct={"method": "gmm", "gmm": {"tau": 1}}, evaluate={"flipp": True})
    assert result.exit_code == 2
    for said in ("cams.scales.0: found -1.0", "correct.gmm.tau: unknown key", "evaluate.flipp: unknown key (did you"):
        assert said in result.stdout, result.stdout
    distill = {"rounds": 2, "stage1": {"epochs": 4}, "optim": {"epochs": 4, "batch": 8, "lr": 0.01}}
    result = told(distill=distill)
    assert result.exit_code == 2
    assert "distill.stage1.epochs: found 4 of 4 epochs" in result.stdout
    told(evaluate={"flipp": True}, gallry={})
    params = herd.out.with_name("params.yaml")
    params.write_text(params.read_text().replace("long_side:", "long_sid:"))
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    for key in ("dataset.long_sid", "evaluate.flipp", "gallry"):
        assert f"{key}: unknown " in result.stderr, result.stderr
    named = {"labels": "artifacts/mine", "rounds": 1, "stage1": {"epochs": 1}, "optim": {"epochs": 4, "lr": 0.01}}
    what = "distill.labels: there are no labels in 'artifacts/mine'"
    assert what in told(distill=named).stdout
    store = herd.out.with_name("artifacts") / "mine"
    store.mkdir(parents=True)
    (store / "index.json").touch()
    assert "distill" not in told(distill=named).stdout
    result = told(pretrain={"backbone": {"name": "resnet38d", "weights": "gone.params"}}, cams={"scales": [-1.0]})
    assert result.exit_code == 2
    assert ": pretrain.backbone.weights: the weights are missing: no file 'gone.params'\nfix: " in result.stdout
    assert "2 errors" in result.stdout
    result = told(pretrain={}, train={"fusion": {"levels": ["c4", "c9"]}})
    assert result.exit_code == 2
    assert "train.fusion.levels: the backbone has no level 'c9'" in result.stdout
    dino = {"name": save_model(herd.out.with_name("model"), "dinov2"), "output_stride": 16}
    result = told(pretrain={"backbone": dino}, train={"output_stride": 16, "fusion": {"levels": ["c4"]}})
    assert result.exit_code == 2
    assert "train.fusion.levels: the backbone has no level 'c4'" in result.stdout
    wrong = {"backbone": dino | {"output_stride": 32}}
    once = {"rounds": 1, "optim": {"epochs": 4, "lr": 0.01}, "stage1": {"epochs": 1}}
    for section, written in {"pretrain": wrong, "distill": wrong | once}.items():
        result = told(**{section: written})
        assert result.exit_code == 2
        assert f"{section}.backbone.output_stride: found 32, expected 16" in result.stdout
    other = {"backbone": {"name": "efficientnet_lite2", "weights": "random"}}
    result = told(pretrain=other, distill=once)
    assert result.exit_code == 2
    assert "distill.init: found oste, but pretrain.backbone is efficientnet_lite2 of width 1" in result.stdout
    assert "distill.init" not in told(pretrain=other, distill=once | {"init": "pretrained"}).stdout


def test_labels_of_an_earlier_data_set_are_told_before_any_training(herd: RawData) -> None:
    """By `wsss check`, and by the first stage."""
    store, params = herd.out.with_name("labels"), herd.out.with_name("params.yaml")
    store.mkdir()
    dataset = {"root": str(herd.root), "format": "folder", "classes": "classes.txt", "long_side": 0}
    once = {"labels": str(store), "rounds": 1, "optim": {"epochs": 4, "lr": 0.01}, "stage1": {"epochs": 1}}
    YAML().dump({"seed": 0, "dataset": dataset, "distill": once}, params)

    def told(classes: list[str], ids: list[str]) -> tuple[Result, str]:
        index = {"classes": ["background", *classes], "shards": [{"ids": ids}], "edited_sha256": ""}
        (store / "index.json").write_text(json.dumps(index))
        done = CliRunner().invoke(index_stage.main, ["--params", str(params), "--out", str(herd.out)])
        assert done.exit_code == 0, done.stderr
        return CliRunner().invoke(main, [str(params)]), done.stderr

    ids = [f"p{i:02}" for i in range(24)]
    result, first = told(["cow", "sheep"], [*ids[1:], "gone"])
    words = "1 of 24 photos has no labels there, artifacts/pseudo stands in (p00); 1 photo with labels is gone"
    assert f"distill.labels: {store}: {words}" in result.stdout
    assert f"newest labels of all other photos, too: python -m pipeline.index && wsss labels import {store}" in (
        result.stdout
    )
    assert words in first
    result, first = told(["cow", "tree"], ids)
    assert result.exit_code == 2
    assert (
        "labels: has other classes than the data set: without sheep, with tree\nfix: python -m pipeline"
        in result.stdout
    )
    assert "stage distill will stop (distill.labels)\nfix: wsss labels import" in first
    result, first = told(["cow", "sheep"], ids)
    assert "distill.labels" not in result.stdout + first


def test_photos_without_a_tag_are_always_told(herd: RawData) -> None:
    for number in range(7):
        herd.photo(f"q{number}.jpg")
        named = f"{'1 photo' if number == 0 else f'{number + 1} photos'} without a tag (q0.jpg"
        meaning = 'trained on as "none of these classes"'
        found = check(herd, allow_untagged=True).stdout
        assert named in found
        assert meaning in found
        # From six on, of 24 tagged ones, it is a warning, and no row of the table is missed one by one.
        assert (f"warning: {herd.root}: {named}" in found) is (number >= 5)
        assert (f"check: {named}" in found) is (number < 5)
    assert "fix: if some were forgotten, tag them (wsss tag)" in found
    assert "without a tag" not in check(herd).stdout  # they are errors


def test_photos_that_are_read_as_they_are_are_not_told(herd: RawData) -> None:
    herd.photo("p00.jpg", size=(400, 500))
    found = check(herd, long_side=80)
    assert "): 1 smaller than they are, of 24; " in found.stdout
    herd.photo("p00.jpg", size=(64, 80))
    assert "than they are" not in check(herd, long_side=80).stdout
