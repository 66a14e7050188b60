"""`wsss init`: params.yaml for one's own photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from pipeline.train import Params as TrainParams
from tests.conftest import RawData
from wsss.commands.init import main
from wsss.core.params import load
from wsss.core.recipes import read_recipe, recipe_names, times_longer, with_longer_distillation
from wsss.formats.guess import dataset_yaml, guess_dataset
from wsss.formats.settings import DatasetSettings

PARAMS = Path("params.yaml")


@pytest.fixture
def photos(raw_data: RawData) -> RawData:
    """Six photos in a folder, and their tags."""
    rows = [f"{raw_data.photo(f'p{i}.jpg').name},{'cow' if i % 2 else 'sheep'}\n" for i in range(6)]
    raw_data.write("tags.csv", "filename,tags\n" + "".join(rows))
    return raw_data


def init(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def section() -> dict[str, object]:
    return dict(YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))["dataset"])


def test_folder_and_table(photos: RawData) -> None:
    result = init("raw", "--tags", "tags.csv")
    assert result.exit_code == 0, result.output
    assert section() == {
        "root": str(photos.root),
        "format": "folder",
        "tags": "tags.csv",
        "masks": "",
        "classes": "",
        "val_fraction": 0.2,
        "allow_untagged": False,
        "max_megapixels": 120,
        "long_side": "auto",
    }
    assert "class       train" in result.stdout
    assert result.stdout.endswith(
        "init: nothing to correct; next: wsss check params.yaml (what would limit the result), then dvc repro gallery\n"
    )
    assert "training photos are few: the student has 8 times the recipe's epochs\n" in result.stdout
    load(PARAMS, TrainParams)  # all other settings are those of a whole recipe


def test_a_folder_beside_the_checkout_is_written_without_dots(
    photos: RawData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere" / "checkout").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "checkout")
    (tmp_path / "elsewhere" / "photos").symlink_to(photos.root)
    for folder, given, expected in (
        ("elsewhere", "../raw", photos.root),
        (".", "link/../photos", photos.root),
        ("elsewhere", "photos", tmp_path / "elsewhere" / "photos"),
    ):
        monkeypatch.chdir(tmp_path / folder)
        assert init(given, "--force").exit_code == 0
        assert section()["root"] == str(expected)


def test_other_lines_are_those_of_the_recipe(photos: RawData) -> None:
    init("raw", "--recipe", "demo")
    recipe = with_longer_distillation(read_recipe("demo"), 8)  # the most: six photos are very few
    ours, theirs = (text.splitlines() for text in (PARAMS.read_text(encoding="utf-8"), recipe))
    new = [line for line in ours if line not in theirs]
    assert new[0] == "# Settings for raw, made by `wsss init` from recipes/demo.yaml."
    assert {line.split(":")[0].strip() for line in new[1:]} <= set(DatasetSettings.model_fields)
    assert ours[-30:] == theirs[-30:]


@pytest.mark.parametrize("name", recipe_names())
def test_a_longer_distillation_changes_its_epochs_alone(name: str) -> None:
    def leaves(node: object, way: str = "") -> dict[str, object]:
        if not isinstance(node, dict):
            return {way: node}
        return {place: leaf for key, each in node.items() for place, leaf in leaves(each, f"{way}.{key}").items()}

    text = read_recipe(name)
    before, after = (leaves(YAML(typ="safe").load(each)) for each in (text, with_longer_distillation(text, 7)))
    epochs = {".distill.optim.epochs", ".distill.stage1.epochs"}
    assert {place for place in before if before[place] != after[place]} <= epochs
    written = [place for place in sorted(epochs) if place in before]  # one round has no epochs of stage 1
    assert [after[place] for place in written] == [7 * int(str(before[place])) for place in written]
    assert ".distill.optim.epochs" in written


@pytest.mark.parametrize(
    ("photos", "times"), [(0, 19), (5, 8), (48, 3), (100, 2), (155, 2), (156, 1), (350, 1), (9000, 1)]
)
def test_few_photos_are_seen_more_often(photos: int, times: int) -> None:
    assert times_longer(photos) == times


def test_enough_photos_leave_the_epochs_as_they_are(raw_data: RawData) -> None:
    photo = raw_data.photo("p0.jpg")
    rows = []
    for number in range(170):
        (raw_data.root / f"p{number}.jpg").write_bytes(photo.read_bytes())
        rows.append(f"p{number}.jpg,cow,{'val' if number < 4 else 'train'}\n")
    raw_data.write("tags.csv", "filename,tags,split\n" + "".join(rows))
    result = init("raw")
    assert "are few" not in result.stdout
    assert "epochs: 32, lr" in PARAMS.read_text(encoding="utf-8")


def test_problems_are_counted_and_left_to_check(photos: RawData) -> None:
    photos.write("p1.jpg", b"")
    photos.write("p2.jpg", b"")
    result = init("raw")
    assert result.exit_code == 0
    assert result.stdout.endswith("init: 2 problems to correct; next: wsss check params.yaml\n")


def test_masks_that_predict_has_written_are_no_ground_truth(photos: RawData) -> None:
    photos.write("masks/p1.png", b"")
    photos.write("predictions.csv", "id\n")
    init("raw")
    assert section()["masks"] == ""


def test_masks_and_class_names_are_found(photos: RawData) -> None:
    photos.write("masks/deep/p1.png", b"")
    photos.write("classes.txt", "cow\nsheep\n")
    init("raw")
    assert (section()["masks"], section()["classes"]) == ("masks", "classes.txt")


def test_voc_layout_also_from_above(raw_data: RawData) -> None:
    for name in (
        "JPEGImages/a.jpg",
        "ImageSets/Segmentation/train.txt",
        "Annotations/a.xml",
        "SegmentationClass/a.png",
    ):
        raw_data.write(f"VOCdevkit/VOC2012/{name}", b"")
    found = guess_dataset(raw_data.root, None)
    assert (found.format, found.tags, found.masks, found.classes) == ("voc", "xml", "SegmentationClass", "")
    assert found.root == str(raw_data.root / "VOCdevkit/VOC2012")
    raw_data.write("VOCdevkit/VOC2012/tags.csv", b"")
    assert guess_dataset(raw_data.root / "VOCdevkit/VOC2012", None).tags == "tags.csv"


def test_coco_layout(raw_data: RawData) -> None:
    path = raw_data.write("annotations/instances_train2014.json", json.dumps({}))
    found = guess_dataset(raw_data.root, None)
    assert (found.format, found.tags) == ("coco", "annotations")
    found = guess_dataset(raw_data.root, path)
    assert (found.format, found.tags) == ("coco", "annotations/instances_train2014.json")


def test_an_existing_file_is_never_overwritten_unasked(photos: RawData) -> None:
    PARAMS.write_text("seed: 1\n")
    result = init("raw")
    assert result.exit_code == 2
    assert result.stderr == "error: params.yaml: exists\nfix: add --force: the old file is kept as params.yaml.bak\n"
    assert PARAMS.read_text() == "seed: 1\n"
    PARAMS.write_text(read_recipe("demo"), encoding="utf-8")
    assert "params.yaml: exists (it is recipes/demo.yaml, unchanged)\n" in init("raw").stderr
    result = init("raw", "--force")
    assert "(the old one is params.yaml.bak)" in result.stdout
    assert Path("params.yaml.bak").read_text(encoding="utf-8") == read_recipe("demo")
    PARAMS.write_text("seed: 2\n")
    assert "(the old one is params.yaml.bak1)" in init("raw", "--force").stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nowhere"], "error: nowhere: no such folder\nfix: give the folder of the photos\n"),
        (["raw", "--tags", "tag.csv"], "error: tag.csv: no such file, here or in "),
        (
            ["raw", "--recipe", "mrsc"],
            "error: recipe: unknown recipe 'mrsc' (did you mean 'msrc'?)\nfix: choose one of ",
        ),
    ],
)
def test_what_cannot_be_found_is_named(photos: RawData, arguments: list[str], what: str) -> None:
    result = init(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(what)
    assert not PARAMS.exists()


def test_table_outside_the_folder(photos: RawData, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("filename,tags\n")
    result = init("raw", "--tags", "mine.csv")
    what = f"mine.csv: lies outside {photos.root}: DVC watches the data set's folder only, and would miss its changes"
    assert result.stderr == f"error: {what}\nfix: move it into {photos.root}\n"


def test_folder_without_tags(raw_data: RawData) -> None:
    raw_data.photo("a.jpg")
    result = init("raw")
    assert result.exit_code == 2
    assert "raw: no table of tags (looked for tags.csv, annotations of VOC, lists of COCO)" in result.stderr
    assert "fix: write tags.csv: filename,tags in the first line, then a line a photo; or give --tags" in result.stderr


@pytest.mark.parametrize(
    "name", ["50 % : no #1", "- list", "yes", "1e5", "ünï", "{a: b}", 'quo"te', "*x", "~", "a: b", "x "]
)
def test_any_name_of_a_folder_survives_yaml(name: str) -> None:
    settings = DatasetSettings(root=name, format="folder", tags=name)
    read = YAML(typ="safe").load(dataset_yaml(settings))["dataset"]
    assert (read["root"], read["tags"]) == (name, name)
