"""`wsss init`: params.yaml for one's own photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from pipeline.distill import Params as DistillParams
from pipeline.train import Params as TrainParams
from tests.conftest import RawData
from tests.helpers import CLASSES
from tests.toy_probe import steady_probe
from wsss.commands import project_folder
from wsss.commands.check import Params as CheckParams
from wsss.commands.check import look
from wsss.commands.check import main as check
from wsss.commands.init import main, with_choices
from wsss.commands.standing import recipe_of
from wsss.core.minutes import Span, foretold, work_of
from wsss.core.params import load
from wsss.core.recipes import read_recipe, recipe_names
from wsss.data.index import Record
from wsss.formats.guess import RARE, dataset_yaml, guess_dataset
from wsss.formats.settings import DatasetSettings
from wsss.plan.settings import Params as PlanParams
from wsss.stores.labels import PSEUDO_FORMAT
from wsss.stores.shards import StoreMeta, write_store_index

PARAMS = Path("params.yaml")
WRITTEN = "params.yaml is written as far as the data set could be read: wsss check params.yaml lists all errors\n"
SPLITS = ("train", "train", "train", "train", "val", "val")


@pytest.fixture
def photos(raw_data: RawData) -> RawData:
    """Six photos in a folder, their tags, and two of them for validation."""
    rows = [f"{raw_data.photo(f'p{i}.jpg').name},{'cow' if i % 2 else 'sheep'},{SPLITS[i]}\n" for i in range(6)]
    raw_data.write("tags.csv", "filename,tags,split\n" + "".join(rows))
    return raw_data


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network runs; that is what tests/unit/plan is for. The machine has bf16."""
    monkeypatch.setattr("wsss.plan.work.probe", lambda *ignored: steady_probe())
    monkeypatch.setattr("wsss.numeric.device.fast_bf16", lambda: True)


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
    assert result.stdout.endswith("init: nothing to correct, 2 warnings; next: dvc repro gallery\n")
    assert result.stdout.count("warning: ") == 2
    assert "tags.csv: photo = filename; tags = tags; split = split\nclasses: 2 of tags.csv: cow, sheep" in result.stdout
    assert "made by `wsss init` from recipes/photos.yaml" in PARAMS.read_text(encoding="utf-8")
    load(PARAMS, TrainParams)  # all other settings are those of a whole recipe


def test_few_photos_without_a_gpu_are_offered_the_quick_recipe(
    photos: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    offered = init("raw", "--tags", "tags.csv").stdout.splitlines()[-3]
    assert offered.startswith("recipes: quick (")
    assert offered.endswith("This is photos; for the other: wsss init raw --tags tags.csv --recipe quick")
    for arguments in (("--recipe", "photos"), ("--recipe", "quick")):
        said = init("raw", "--force", *arguments)
        assert said.exit_code == 0, said.output
        assert "recipes:" not in said.stdout
    assert section()["long_side"] == 320
    load(PARAMS, PlanParams)
    found = json.loads(init("raw", "--force", "--json").stdout)
    both = found["quick"]["estimate"], found["plan"]["estimate"]
    names, seconds = ([[each[key] for each in plan] for plan in both] for key in ("stage", "high"))
    assert names[0] == names[1]
    assert sum(seconds[0]) < sum(seconds[1])
    monkeypatch.setattr("wsss.commands.init.FEW", 3)
    assert json.loads(init("raw", "--force", "--json").stdout)["quick"] is None


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
    ours, theirs = (text.splitlines() for text in (PARAMS.read_text(encoding="utf-8"), read_recipe("demo")))
    new = [line for line in ours if line not in theirs]
    assert new[0] == "# Settings for raw, made by `wsss init` from recipes/demo.yaml."
    assert new[1].startswith("# Unedited: ")
    assert {line.split(":")[0].strip() for line in new[2:]} <= set(DatasetSettings.model_fields)
    assert ours[-30:] == theirs[-30:]


def test_problems_are_counted_and_left_to_check(photos: RawData) -> None:
    photos.write("p1.jpg", b"")
    photos.write("p2.jpg", b"")
    result = init("raw")
    assert result.exit_code == 0
    last = "init: 2 problems to correct, 2 warnings; stages will stop until all are corrected; next: wsss check"
    assert result.stdout.endswith(f"\n{last} params.yaml\n")


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


def test_a_project_is_offered_where_wsss_is_an_installed_package(
    photos: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    made: list[Path] = []
    monkeypatch.setattr(project_folder, "carried", lambda: Path("somewhere"))
    monkeypatch.setattr(project_folder, "refuse_project", lambda folder: None)
    monkeypatch.setattr("wsss.commands.init.make_project", lambda folder: (made.append(folder), [Path("dvc.yaml")])[1])
    assert init("raw").stdout.endswith("next: wsss init --project, dvc repro gallery\n")
    last = CliRunner().invoke(check, []).stdout
    assert last.endswith("next: wsss init --project, dvc repro gallery\n"), last
    monkeypatch.setattr(project_folder, "sys", Terminal)
    for answer in (False, True):
        monkeypatch.setattr("click.confirm", lambda text, answer=answer, **how: (asked.append(text), answer)[1])
        result = init("raw", "--force")
        assert made == [Path()] * answer
    assert asked == [f"no dvc.yaml in {Path.cwd()}: make it a project, with dvc.yaml and .dvc?"] * 2
    assert result.stdout.startswith("project: dvc.yaml\n")
    assert init(photos.root.parent, "--project").stderr.splitlines()[0].endswith("take for parts of the data set")
    assert init("raw", "--params", "other.yaml", "--project").exit_code == 2
    Path("dvc.yaml").write_text("stages: {}\n")
    init("raw", "--force")
    assert len(asked) == 2


def test_problems_and_no_project_are_both_named_at_the_end(photos: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_folder, "carried", lambda: Path("somewhere"))
    photos.write("p1.jpg", b"")
    assert init("raw").stdout.endswith("next: wsss init --project, wsss check params.yaml\n")
    assert init("raw", "--params", "other.yaml").stdout.endswith("next: wsss check other.yaml\n")


def test_a_folder_one_too_high_is_told_of_the_table_below(raw_data: RawData) -> None:
    for number in range(8):
        raw_data.photo(f"photos/{('Spring 2024', 'Summer')[number % 2]}/p{number}.jpg")
    none = init("raw")
    assert "table of tags in" not in none.stdout + none.stderr
    raw_data.write("photos/tags.csv", "photo,tags\nSummer/p1.jpg,cow\n")
    done = init("raw", "--recipe", "quick", "--force")
    what = "raw: there is a table of tags in photos/tags.csv, which is not read here"
    assert what in done.stdout, done.output
    assert "did you mean wsss init raw/photos --recipe quick --force?" in done.stdout


def test_a_checkout_is_no_place_to_make_a_project_from(photos: RawData) -> None:
    result = init("raw", "--project")
    assert result.exit_code == 3
    assert "wsss runs from a checkout" in result.stderr
    assert not PARAMS.exists()
    assert init().stderr.startswith("error: FOLDER: is missing\n")


def test_an_existing_file_is_never_overwritten_unasked(photos: RawData) -> None:
    PARAMS.write_text("seed: 1\n")
    result = init("raw")
    assert result.exit_code == 2
    assert result.stderr == "error: params.yaml: exists\nfix: add --force: the old file is kept as params.yaml.bak\n"
    assert PARAMS.read_text() == "seed: 1\n"
    result = init("raw", "--force")
    assert "(the old one is params.yaml.bak)" in result.stdout
    assert Path("params.yaml.bak").read_text() == "seed: 1\n"
    PARAMS.write_text("seed: 2\n")
    assert "(the old one is params.yaml.bak1)" in init("raw", "--force").stdout


SWITCH = (
    "to change to recipe photos, and keep the section dataset: wsss recipe use photos --keep-dataset (no other setting "
    "is kept; the old file is, as a .bak); or "
)


def test_a_copy_of_a_recipe_says_which_it_is(photos: RawData) -> None:
    for name in recipe_names():
        text = read_recipe(name)
        PARAMS.write_text(text.replace("\nseed: 0", "\nseed: 7"))
        assert recipe_of(PARAMS) == name
    PARAMS.write_text("seed: 7\n")
    assert recipe_of(PARAMS) is None


def test_settings_in_the_way_are_told_where_they_are_others(photos: RawData) -> None:
    """The photos are not looked at, and nothing is written, also not a copy of a table."""
    assert init("raw", "--recipe", "quick").exit_code == 0
    made = PARAMS.read_text()
    assert init("raw", "--recipe", "quick").exit_code == 0  # nobody has edited it
    mine = made.replace("seed: 0", "seed: 7").replace("  format:", "  drop: [cow]\n  format:") + "# mine\n"
    PARAMS.write_text(mine.replace("allow_untagged: false", "allow_untagged: true"))
    result = init("raw")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: params.yaml: exists; 2 settings are others than wsss init would write now (recipe quick):\n"
        "  seed          7      wsss init: 0\n"
        "  dataset.drop  [cow]  wsss init: []\n"
        "fix: keep it, and set what is wrong; or add --force: the old file is kept as params.yaml.bak\n"
    )
    told = init("raw", "--untagged", "error", "--drop", "cow").stderr
    assert "exists; 2 settings are others" in told
    assert "dataset.allow_untagged  true  wsss init: false\n" in told
    told = init("raw", "--recipe", "photos").stderr
    assert told == result.stderr.replace("quick):", "quick), where recipe photos is asked for:").replace(
        "keep it, and set what is wrong; or ", SWITCH
    )
    mine = made.replace("  rounds: 2", "  rounds: 2\n  labels: mine")
    PARAMS.write_text(mine)
    write_store_index(Path("mine"), StoreMeta(PSEUDO_FORMAT, CLASSES, {"corrected_by_hand": 4}), [])
    told = init("raw", "--recipe", "photos").stderr
    named = "distill.labels (4 photos corrected by hand)"
    assert f"keep the section dataset and {named}: wsss recipe use photos --keep-dataset" in told
    assert told.endswith(f"the old file is kept as params.yaml.bak, but {named} would be lost\n")
    told = init("raw", "--recipe", "photos", "--force").stderr
    assert (
        f"warning: params.yaml: is written anew, without {named}\nfix: to train on these labels again, set dist" in told
    )
    assert "is written anew" not in init("raw", "--recipe", "photos", "--force").stderr
    PARAMS.write_text(made + "# mine\n")
    result = init("raw")
    assert result.stderr == (
        "error: params.yaml: exists, with the settings that wsss init would write now (recipe quick)\n"
        "fix: keep it: wsss check params.yaml; or add --force: the old file is kept as params.yaml.bak\n"
    )
    told = init("raw", "--recipe", "photos").stderr
    assert f"would write now (recipe quick), where recipe photos is asked for\nfix: {SWITCH}add --force" in told
    for arguments in (["nowhere"], ["raw", "--tags", "elsewhere.csv"]):
        assert init(*arguments).stderr.startswith("error: params.yaml: exists\n")
    assert PARAMS.read_text() == made + "# mine\n"


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


def test_a_table_outside_the_folder_is_copied_into_it(photos: RawData, tmp_path: Path) -> None:
    table = (photos.root / "tags.csv").rename(tmp_path / "mine.csv").read_bytes()
    result = init("raw", "--tags", "mine.csv")
    assert result.exit_code == 0, result.output
    copy = photos.root / "mine.csv"
    line = "init: mine.csv lies outside of the photos' folder, and DVC watches that alone: "
    assert result.stderr.startswith(f"{line}copied to {copy}, which is read\n")
    assert copy.read_bytes() == table == (tmp_path / "mine.csv").read_bytes()
    assert section()["tags"] == "mine.csv"
    again = init("raw", "--tags", "mine.csv")
    assert (again.exit_code, "mine.csv lies outside" in again.stderr) == (0, False)


def test_a_table_outside_the_folder_replaces_none_there(photos: RawData, tmp_path: Path) -> None:
    before = (photos.root / "tags.csv").read_bytes()
    (tmp_path / "tags.csv").write_text("filename,tags\np0.jpg,cow\n")
    result = init("raw", "--tags", "tags.csv")
    assert result.exit_code == 2
    copy = photos.root / "tags.csv"
    what = "is to become a copy of tags.csv, which lies outside of the photos' folder, and is another file"
    assert result.stderr.startswith(f"error: {copy}: {what}\nfix: to read it as it is: wsss init raw --tags {copy}; ")
    assert copy.read_bytes() == before
    assert not PARAMS.exists()


def test_a_link_in_the_folder_is_a_table_there(photos: RawData, tmp_path: Path) -> None:
    (photos.root / "tags.csv").rename(tmp_path / "mine.csv")
    (photos.root / "linked.csv").symlink_to(tmp_path / "mine.csv")
    result = init("raw", "--tags", photos.root / "linked.csv")
    assert result.exit_code == 0, result.output
    assert section()["tags"] == "linked.csv"


def test_a_folder_of_lists_outside_is_not_copied(photos: RawData, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    result = init("raw", "--tags", "lists")
    what = f"lists: lies outside {photos.root}: DVC watches the data set's folder only, and would miss its changes"
    assert result.stderr == f"error: {what}\nfix: move it into {photos.root}\n"


def test_folder_without_photos_and_one_that_is_not_there(raw_data: RawData) -> None:
    raw_data.root.mkdir(exist_ok=True)
    raw_data.write("notes.csv", "photo,tags\n")
    result = init("raw")
    assert result.exit_code == 2
    assert "raw: no photo in this folder (expected JPEG, PNG, WEBP, BMP or TIFF)\nfix: give the folder" in result.stderr
    assert "rew: no such folder (did you mean 'raw'?)\nfix: give the folder of the photos" in init("rew").stderr


def test_folder_without_tags(raw_data: RawData) -> None:
    raw_data.photo("a.jpg")
    result = init("raw")
    assert result.exit_code == 2
    assert "raw: no table of tags (looked for tags.csv, annotations of VOC, lists of COCO)" in result.stderr
    assert "fix: write tags.csv: filename,tags in the first line, then a line a photo, or use wsss tag" in result.stderr


@pytest.mark.parametrize(
    "name", ["50 % : no #1", "- list", "yes", "1e5", "ünï", "{a: b}", 'quo"te', "*x", "~", "a: b", "x "]
)
def test_any_name_of_a_folder_survives_yaml(name: str) -> None:
    settings = DatasetSettings(root=name, format="folder", tags=name)
    read = YAML(typ="safe").load(dataset_yaml(settings))["dataset"]
    assert (read["root"], read["tags"]) == (name, name)


def test_the_plan_is_printed_with_the_numbers_that_the_stages_get(photos: RawData) -> None:
    result = init("raw")
    records = guess_index(photos)
    settings = load(PARAMS, DistillParams).distill.planned(records, 2)
    assert f"{settings.optim.epochs} epochs" in result.stdout
    assert "photos   6 (4 train, 2 val), 0 without a tag\n" in result.stdout
    assert "inference shards   4 photos" in result.stdout
    assert "all stages" in result.stdout
    assert "(measured in 9 s on 2 cores)" in result.stdout


def guess_index(photos: RawData) -> list[Record]:
    survey, problems = look(load(PARAMS, CheckParams))
    assert survey is not None
    assert not problems
    return list(survey.index.split("train"))


@pytest.mark.parametrize(("name", "noted"), [("params.yaml", True), ("other.yaml", False)])
def test_the_estimate_is_noted_for_the_stages_that_will_read_it(
    photos: RawData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, noted: bool
) -> None:
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    result = init("raw", "--tags", "tags.csv", "--params", name, "--json")
    notes = tmp_path / "scratch" / "minutes.json"
    assert notes.exists() == noted
    if noted:
        plan = json.loads(result.stdout)["plan"]["estimate"]
        whole = [sum(each[end] for each in plan) for end in ("low", "high")]
        noted = json.loads(notes.read_text())
        spans = {each["stage"]: [each["low"], each["high"]] for each in plan}
        assert {name: note["seconds"] for name, note in noted["estimate"].items()} == spans
        assert {note["photos"] for note in noted["estimate"].values()} == {6}
        assert noted["whole"] == {work_of("photos", "raw", 6): whole}
        # The last words of a quick run tell what the other recipe would take.
        init("raw", "--tags", "tags.csv", "--recipe", "quick", "--force")
        assert foretold(work_of("photos", "raw", 6)) == Span(*whole)


def test_json_has_everything(photos: RawData) -> None:
    result = init("raw", "--json")
    found = json.loads(result.stdout)
    assert found["dataset"] == section() | {"drop": []} | dict.fromkeys(RARE[:2], "")
    assert found["plan"]["fingerprint"]["photos"] == {"train": 4, "val": 2}
    assert [each["stage"] for each in found["plan"]["estimate"]] == [
        *("index", "pretrain", "train", "cams", "correct", "distill", "evaluate", "gallery")
    ]
    assert found["untagged"] == found["errors"] == []


@pytest.fixture
def negatives(photos: RawData) -> RawData:
    """Six photos more, without a tag."""
    for number in range(6):
        photos.photo(f"q{number}.jpg")
    return photos


NAMES = "6 photos without a tag (q0.jpg, q1.jpg, q2.jpg, q3.jpg, q4.jpg and 1 more)"


def test_untagged_photos_are_negatives_where_nobody_can_be_asked(negatives: RawData) -> None:
    result = init("raw")
    warning = f"warning: {negatives.root}: {NAMES}: kept as photos of no class (allow_untagged: true), as nobody could"
    assert warning in result.stdout
    assert "fix: tag those that were forgotten; --untagged keep or error answers in advance\n" in result.stdout
    assert section()["allow_untagged"] is True
    assert "init: nothing to correct, 3 warnings" in result.stdout
    assert "photos   12 (" in result.stdout
    assert "), 6 without a tag\n" in result.stdout


@pytest.mark.parametrize(("answer", "kept"), [("", True), ("y", True), ("n", False)])
def test_on_a_terminal_one_is_asked(
    negatives: RawData, monkeypatch: pytest.MonkeyPatch, answer: str, kept: bool
) -> None:
    asked = []
    monkeypatch.setattr("wsss.commands.untagged.sys", Terminal)
    monkeypatch.setattr(
        "wsss.commands.untagged.click.confirm",
        lambda text, default, err: (asked.append(text), default if answer == "" else answer == "y")[1],
    )
    result = init("raw")
    assert asked == [f"{NAMES}: keep as negatives, photos of no class?"]
    assert section()["allow_untagged"] is kept
    assert "nobody could be asked" not in result.stdout
    assert ("init: 1 problem to correct" in result.stdout) is not kept


class Terminal:
    """A person sits at both ends."""

    class stdin:  # noqa: N801
        isatty = staticmethod(lambda: True)

    stderr = stdin


@pytest.mark.parametrize(("answer", "kept"), [("keep", True), ("error", False)])
def test_the_answer_may_be_given_in_advance(negatives: RawData, answer: str, kept: bool) -> None:
    result = init("raw", "--untagged", answer)
    assert "without a tag (" not in result.stderr
    assert section()["allow_untagged"] is kept
    assert ("init: 1 problem to correct" in result.stdout) is not kept


def test_most_photos_of_a_set_are_no_negatives(negatives: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    negatives.photo("q6.jpg")
    result = init("raw")  # nobody can be asked
    assert section()["allow_untagged"] is False
    assert "init: 1 problem to correct" in result.stdout
    asked = []
    monkeypatch.setattr("wsss.commands.untagged.sys", Terminal)
    monkeypatch.setattr(
        "wsss.commands.untagged.click.confirm", lambda text, default, err: (asked.append(text), default)[1]
    )
    init("raw", "--force")
    assert "7 photos without a tag (" in asked[0]
    assert "which are most of your 13: all of these would be learnt as showing none of the classes: keep" in asked[0]
    assert section()["allow_untagged"] is False
    negatives.write("tags.csv", "filename,tags,split\np0,cow,train\np1,dog,val\n")
    kept = init("raw", "--force", "--untagged", "keep")
    error = "no training photo shows dog, and 11 of 13 photos have no tag (p2.jpg, "
    assert error in kept.stdout
    assert "init: 1 problem to correct" in kept.stdout
    assert CliRunner().invoke(check, []).exit_code == 2


def test_columns_are_named_with_options_which_the_offer_repeats(
    photos: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    lines = (photos.root / "tags.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [f"{number},{line},seen" for number, line in enumerate(lines)]
    photos.write("tags.csv", "\n".join(["id,image,class name,split,label", *rows]) + "\n")
    refused = init("raw").stderr
    assert "2 columns may name the photos: 'id' and 'image'" in refused
    assert "fix: name the right one: wsss init raw --photo-column id\n" in refused
    refused = init("raw", "--tags", "raw/tags.csv", "--photo-column", "image", "--recipe", "quick").stderr
    assert "2 columns may hold the tags: 'class name' and 'label'\n" in refused
    command = "wsss init raw --tags raw/tags.csv --photo-column image --tag-column 'class name' --recipe quick"
    assert f"fix: name the right one: {command}\n" in refused
    refused = init("raw", "--photo-column", "image", "--tag-column", "class nam").stderr
    assert "fix: name the right one: wsss init raw --photo-column image --tag-column 'class name'\n" in refused
    refused = init("raw", "--photo-column", "image", "--tag-column", "xyz").stderr
    assert "fix: name the right one: wsss init raw --photo-column image --tag-column NAME\n" in refused
    result = init("raw", "--photo-column", "image", "--tag-column", "class name")
    assert result.exit_code == 0, result.stderr
    assert "photo = image; tags = class name; split = split; not read: id, label" in result.stdout
    assert "wsss init raw --photo-column image --tag-column 'class name' --recipe quick\n" in result.stdout
    assert (section()["photo_column"], section()["tag_column"]) == ("image", "class name")
    assert CliRunner().invoke(check, []).exit_code == 0


def test_a_class_is_dropped(photos: RawData) -> None:
    photos.photo("p6.jpg")
    with (photos.root / "tags.csv").open("a") as file:
        file.write("p6.jpg,the hat,train\n")
    assert "fix: add photos, or drop the class: dataset.drop (wsss init --drop NAME)" in init("raw").stdout
    result = init("raw", "--drop", "the hat")
    assert result.exit_code == 0, result.stderr
    assert "  drop: [the hat]\n" in result.stdout
    assert "classes  2;" in result.stdout
    assert "dropped (dataset.drop): the hat; their tags" in result.stdout
    assert "nobody could be asked" not in result.stdout  # that it shows no class was said
    result = init("raw", "--drop", "the hat", "--drop", "hut")
    assert result.exit_code == 2
    assert "error: dataset.drop: unknown class 'hut'\nfix: choose among cow, sheep, the hat\n" in result.stderr
    assert section()["drop"] == ["the hat"]  # as before
    PARAMS.unlink()
    for names in (["hut"], ["cow", "sheep", "the hat"]):
        result = init("raw", *(part for name in names for part in ("--drop", name)))
        assert (result.exit_code, result.stderr[:20], PARAMS.exists()) == (2, "error: dataset.drop:", False)


def test_a_recipe_s_own_choices_hold_for_its_layout() -> None:
    recipe = DatasetSettings(
        root="data/x", format="voc", masks="M", classes="classes.txt", allow_untagged=True, val_fraction=0.3
    )
    mine = DatasetSettings(root="/mine", format="voc", masks="SegmentationClass", classes="classes.txt")
    found = with_choices(mine, recipe)
    assert (found.root, found.masks, found.allow_untagged, found.val_fraction) == (
        *("/mine", "SegmentationClass"),
        *(True, 0.3),
    )
    assert with_choices(mine.model_copy(update={"tag_column": "kind"}), recipe).tag_column == "kind"
    other = mine.model_copy(update={"format": "folder"})
    assert with_choices(other, recipe) == other


def test_the_recipe_of_a_shared_set_brings_no_problem(shared_data: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    result = init(shared_data / "msrc_v2", "--recipe", "msrc", "--params", params)
    assert "init: nothing to correct" in result.stdout
    assert "--untagged" not in result.stderr
    assert load(params, CheckParams).dataset.allow_untagged


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_is_what_the_machine_has(
    photos: RawData, monkeypatch: pytest.MonkeyPatch, fast: bool, precision: str
) -> None:
    monkeypatch.setattr("wsss.numeric.half.fast_bf16", lambda: fast)
    init("raw")
    assert "precision:" not in PARAMS.read_text(encoding="utf-8")
    read = load(PARAMS, PlanParams)
    assert read.cams.precision == read.pretrain.optim.precision == read.distill.optim.precision == precision


@pytest.mark.parametrize(
    ("size", "rows", "told"),
    [
        ((60, 90), lambda i: "rare" if i == 0 else "ab"[i % 2], "classes with fewer than 5 training photos: rare (1)"),
        ((60, 90), lambda i: "a|b" if i % 2 else "a", "classes in every training photo: a; tags cannot tell them from"),
        ((60, 90), lambda i: "" if i % 4 == 3 else "ab"[i // 2 % 2], "no photo in split val has a tag: whether"),
        ((20, 20), lambda i: "ab"[i % 2], "training photos are tiny (median longer side 20 px): maps of 2 cells"),
        (
            (60, 900),
            lambda i: "ab"[i % 2],
            "training photos more than 3 times as long as wide: p00, p01, p02, p04, p05",
        ),
    ],
    ids=["one photo", "every photo", "no val tag", "tiny", "panoramas"],
)
def test_odd_data_sets_are_planned_and_told(
    raw_data: RawData, size: tuple[int, int], rows: Callable[[int], str], told: str
) -> None:
    lines = [f"p{i:02}.jpg,{rows(i)},{'val' if i % 4 == 3 else 'train'}\n" for i in range(24)]
    for number in range(24):
        raw_data.photo(f"p{number:02}.jpg", size=size)
    raw_data.write("tags.csv", "filename,tags,split\n" + "".join(lines))
    result = init("raw")
    assert result.exit_code == 0, result.stderr
    assert "warning" in result.stdout.splitlines()[-1]
    assert "all stages" in result.stdout
    checked = CliRunner().invoke(check, [])
    assert checked.exit_code == 0, checked.stdout
    assert told in checked.stdout


def test_photos_that_cannot_be_read_leave_nothing_to_plan(photos: RawData) -> None:
    for number in range(7):
        photos.write(f"p{number}.jpg", b"x")
    result = init("raw")
    assert result.exit_code == 0
    assert "init: 7 problems to correct" in result.stdout
    assert "derived" not in result.stdout
    checked = CliRunner().invoke(check, [])
    assert checked.exit_code == 2
    assert checked.stdout.count("error: ") == 6  # five, and one that counts
    assert "2 more errors like this one\nfix: see all with: wsss check --json" in checked.stdout
    everything = json.loads(CliRunner().invoke(check, ["--json"]).stdout)
    assert len(everything["errors"]) == 7


def test_a_table_without_a_single_tag_is_told_at_once(raw_data: RawData) -> None:
    raw_data.photo("a.jpg")
    raw_data.write("tags.csv", "filename,tags\na.jpg,\n")
    result = init("raw")
    assert (result.exit_code, result.stdout) == (2, "")
    said = "tags.csv: no row has a tag\nfix: write the names of classes into its cells\n" + WRITTEN
    assert result.stderr.endswith(said)
    assert load(PARAMS, CheckParams).dataset.root.endswith("raw")  # for wsss check


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("filename,animal\np0,Cat\np1,Cat\n", "tags.csv:2: column 'animal': found 'Cat', expected 1 or 0"),
        ("filename,cow\np0,0\np1,0\n", "tags.csv: no photo has a tag\n"),
        ("filename,tags\nx0,cow\nx1,cow\n", "tags.csv:2: none of 2 names is that of a photo"),
    ],
    ids=["column taken for a class", "no everywhere", "other photos"],
)
def test_where_no_tag_can_be_read_nothing_is_planned(photos: RawData, table: str, what: str) -> None:
    photos.write("tags.csv", table)
    result = init("raw", "--untagged", "keep")
    assert (result.exit_code, result.stdout) == (2, "")
    assert what in result.stderr
    assert result.stderr.count("error: ") == 1
    assert "tags.csv: photo = filename; " in result.stderr
    assert result.stderr.endswith(WRITTEN)
    assert load(PARAMS, CheckParams).dataset.root.endswith("raw")  # for wsss check


def test_a_table_of_another_name_is_named_with_the_command(photos: RawData) -> None:
    (photos.root / "tags.csv").rename(photos.root / "my animals.csv")
    for name, text in (("notes.csv", "a,b\n1,2\n"), ("README.txt", "photo, tags, and more\n"), ("list.csv", "a\n")):
        photos.write(name, text)
    result = init("raw", "--recipe", "quick", "--force")
    command = "wsss init raw --tags 'my animals.csv' --recipe quick --force"
    assert "raw: no table of tags (looked for tags.csv" in result.stderr
    assert result.stderr.endswith(
        "fix: found README.txt, my animals.csv: wsss init raw --tags NAME --recipe quick --force\n"
    )
    (photos.root / "README.txt").unlink()
    result = init("raw", "--recipe", "quick", "--force")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, f"fix: found my animals.csv: {command}")
    (photos.root / "my animals.csv").unlink()
    assert init("raw").stderr.endswith("fix: found notes.csv: wsss init raw --tags notes.csv\n")


def test_a_few_photos_without_a_row_may_have_been_forgotten(raw_data: RawData) -> None:
    names = [raw_data.photo(f"p{number:02}.jpg").name for number in range(24)]
    rows = [f"{name},{'cow' if number % 2 else 'sheep'}" for number, name in enumerate(names)]
    rows[23] = "p23.jpg,"  # one that was meant
    raw_data.write("tags.csv", "\n".join(["filename,tags", *rows[2:]]))
    what = "2 photos have no row in the table of tags: p00.jpg, p01.jpg; trained on as photos of no class"
    assert what in init("raw", "--untagged", "keep").stdout
    checked = CliRunner().invoke(check, [])
    assert checked.exit_code == 0
    assert f"warning: {raw_data.root}: {what}\nfix: add the rows" in checked.stdout
    error = init("raw", "--untagged", "error", "--force").stdout
    assert what not in error
    assert "3 photos have no tag (p00.jpg, p01.jpg, p23.jpg)" in error
    raw_data.write("tags.csv", "\n".join(["filename,tags", *rows[3:]]))  # more than one in ten: as it was meant
    assert "no row in the table" not in init("raw", "--untagged", "keep", "--force").stdout
