"""`wsss recipe`: settings of the repository, listed and put in place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import ConfigDict
from ruamel.yaml import YAML

from tests.helpers import CLASSES, REPO
from wsss.commands.recipe import NEXT, main
from wsss.commands.sections import Sections
from wsss.core import recipes
from wsss.core.errors import UserError
from wsss.core.params import Settings, load
from wsss.core.recipes import SCHEMA, dataset_section, read_recipe, recipe_names, recipes_folder, with_dataset
from wsss.distill.settings import DistillSettings
from wsss.evaluation.correction import EDITED
from wsss.stores.labels import PSEUDO_FORMAT
from wsss.stores.shards import StoreMeta, write_store_index

PARAMS = Path("params.yaml")


class Distilled(Settings):
    """The section that names labels."""

    model_config = ConfigDict(extra="ignore")

    distill: DistillSettings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def recipe(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_list_names_each_recipe_with_its_header() -> None:
    result = recipe("list")
    assert result.exit_code == 0
    for path in (REPO / "recipes").glob("*.yaml"):
        schema, first, *_ = path.read_text(encoding="utf-8").splitlines()
        assert schema == SCHEMA
        first = first.removeprefix("# ")
        assert any(line.split()[0] == path.stem and line.endswith(first) for line in result.stdout.splitlines() if line)
    assert result.stdout.endswith(f"\n{NEXT}\n")


def test_those_for_photos_of_one_s_own_come_first_with_their_minutes() -> None:
    own, others, _ = recipe("list").stdout.split("\n\n")
    heading, quick, time, photos, longer = own.splitlines()
    assert heading == "your own photos:"
    assert quick.startswith("quick ")
    assert photos.startswith("photos ")
    assert all("60 photos: " in line and " minutes " in line for line in (time, longer))
    names = [line.split()[0] for line in others.splitlines()[1:] if line[0] != " "]
    assert names == sorted({*recipe_names()} - {"quick", "photos"})
    assert "Keys that are not written here" not in own


@pytest.mark.parametrize("name", ["quick", "msrc"])
def test_show_prints_the_file(name: str) -> None:
    assert recipe("show", name).stdout == (REPO / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", recipe_names())
def test_dvc_reads_the_recipe_after_its_backbones_were_set(name: str) -> None:
    """As `dvc exp run -S` sets them. In braces, DVC writes a name with a colon without quotes, and reads it no more."""
    serialize = pytest.importorskip("dvc.utils.serialize")
    PARAMS.write_text(read_recipe(name), encoding="utf-8")
    for section in ("pretrain", "distill"):
        with serialize.modify_yaml(PARAMS) as written:
            written[section]["backbone"] |= {"name": "hf:facebook/dinov2-small", "weights": "C:/weights/a.pth"}
    written = serialize.load_yaml(PARAMS)
    assert all(written[section]["backbone"]["name"].startswith("hf:") for section in ("pretrain", "distill"))


def test_cost_of_the_demo_is_the_same_everywhere() -> None:
    said = {
        name: re.findall(rf"{before}(\d+) minutes\s+of\s+processor\s+time", (REPO / name).read_text(encoding="utf-8"))
        for name, before in (
            ("README.md", "about "),
            ("docs/faq.md", "installation "),
            ("recipes/demo.yaml", "installation "),
        )
    }
    assert all(len(found) == 1 for found in said.values()), said
    assert len({found[0] for found in said.values()}) == 1, said


CREDITS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "location expansion, multilevel fusion, enhancement": (
        "train",
        lambda its: its.enabled and its.expansion.enabled and its.fusion.enabled and its.enhance.crf is not None,
    ),
    "`pretrain.probe`": ("pretrain", lambda its: its.probe),
    "Gaussian mixture": ("correct", lambda its: its.method == "gmm"),
    "`ecr`": ("train", lambda its: its.enabled and its.fusion.enabled and its.fusion.loss == "ecr"),
    "stage 1": ("distill", lambda its: its.stage1.enabled),
    "stage 2": ("distill", lambda its: its.stage2.enabled),
    "two rounds": ("distill", lambda its: its.rounds == 2 and its.tags.enabled),
    "`distill.first.head: linear`": ("distill", lambda its: its.linear_first),
    "`cams.walk`": ("cams", lambda its: its.walk > 0),
    "`cams.stuff`": ("cams", lambda its: its.stuff),
    "`cams.floor`": ("cams", lambda its: its.floor > 0),
}
"""Rows of the table of credits, by words of their first cell: the section that says whether a recipe has the part."""


@pytest.mark.parametrize("words", CREDITS)
def test_credits_say_which_recipes_have_the_part(words: str) -> None:
    page = (REPO / "docs/method/index.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    ((_, _, told),) = (row for row in rows if len(row) == 3 and words in row[0])
    section, has = CREDITS[words]
    values = {name: getattr(load(recipes.recipe_path(name), Sections), section) for name in ("msrc", "photos", "quick")}
    assert told.startswith("yes" if has(values["msrc"]) else "no"), told
    others = [name for name in ("photos", "quick") if f"`{name}`" in told]
    assert not others or others == [name for name in ("photos", "quick") if has(values[name])]


def test_list_as_json() -> None:
    found = json.loads(recipe("list", "--json").stdout)
    assert sorted(each["name"] for each in found) == recipe_names()
    for each in found:
        text = (REPO / "recipes" / f"{each['name']}.yaml").read_text(encoding="utf-8")
        assert text.startswith(f"{SCHEMA}\n# {each['about'].split()[0]}")


def test_use_puts_the_file_in_place() -> None:
    assert recipe("use", "demo").stdout == "recipe: params.yaml is recipes/demo.yaml\n"
    assert PARAMS.read_bytes() == (REPO / "recipes/demo.yaml").read_bytes()
    assert recipe("use", "demo").stdout == "recipe: params.yaml is recipes/demo.yaml\n"
    assert sorted(path.name for path in Path().iterdir()) == ["params.yaml"]


def test_use_keeps_what_differs_and_never_overwrites_a_copy() -> None:
    PARAMS.write_text("mine\n")
    assert recipe("use", "demo").stdout == "recipe: params.yaml is recipes/demo.yaml; the old file is params.yaml.bak\n"
    PARAMS.write_text("mine too\n")
    assert recipe("use", "msrc").stdout.endswith("; the old file is params.yaml.bak1\n")
    PARAMS.write_text("mine\n")
    assert recipe("use", "msrc").stdout.endswith("; the old file is params.yaml.bak\n")  # the same copy once
    assert [Path(name).read_text() for name in ("params.yaml.bak", "params.yaml.bak1")] == ["mine\n", "mine too\n"]


def test_use_can_keep_the_data_set() -> None:
    recipe("use", "msrc")
    section = dataset_section(PARAMS.read_text(encoding="utf-8"), PARAMS)
    result = recipe("use", "demo", "--keep-dataset")
    kept = "nothing else of the old one; the old file is params.yaml.bak"
    assert result.stdout == f"recipe: params.yaml is recipes/demo.yaml with your data set and {kept}\n"
    text = PARAMS.read_text(encoding="utf-8")
    assert dataset_section(text, PARAMS) == section
    demo = (REPO / "recipes/demo.yaml").read_text(encoding="utf-8")
    assert text == with_dataset(demo, section, PARAMS)


def labels_in(folder: Path, **attributes: str | int) -> None:
    """A store of labels, of no photo."""
    write_store_index(folder, StoreMeta(PSEUDO_FORMAT, CLASSES, {EDITED: "0" * 64, **attributes}), [])


@pytest.mark.parametrize("mended", [False, True], ids=["pseudo", "relabelled"])
def test_labels_corrected_by_hand_are_kept_with_the_data_set(mended: bool) -> None:
    recipe("use", "quick")
    labels_in(Path("mine"), **{"corrected_by_hand": 4} | ({"overrule": False} if mended else {}))
    text = PARAMS.read_text(encoding="utf-8")
    PARAMS.write_text(text.replace("  rounds: 2", f"  rounds: {1 if mended else 2}\n  labels: mine"), encoding="utf-8")
    result = recipe("use", "photos", "--keep-dataset")
    also = "distill.rounds: 1, " if mended else ""
    words = f"distill.labels: mine, {also}distill.relabel.overrule: false (4 photos corrected by hand)"
    assert f"is recipes/photos.yaml with your data set, {words} and nothing else of the old one" in result.stdout
    settings = load(PARAMS, Distilled).distill
    assert (settings.labels, settings.rounds, settings.relabel.overrule) == ("mine", 1 if mended else 2, False)
    assert settings.relabel.agree  # as in the recipe
    lines = {*PARAMS.read_text(encoding="utf-8").splitlines()} - {*read_recipe("photos").splitlines()}
    assert {line.strip().partition(":")[0] for line in lines} - {"rounds", "labels", "relabel"} <= {"root", "long_side"}


def test_labels_that_are_gone_are_not_kept_unsaid() -> None:
    recipe("use", "quick")
    PARAMS.write_text(PARAMS.read_text(encoding="utf-8").replace("  rounds: 2", "  rounds: 2\n  labels: mine"))
    told = "nothing else of the old one, not even distill.labels: no labels are in mine; the old file is"
    assert told in recipe("use", "photos", "--keep-dataset").stdout
    assert load(PARAMS, Distilled).distill.labels == "pseudo"


def test_keep_dataset_needs_one() -> None:
    result = recipe("use", "demo", "--keep-dataset")
    assert (result.exit_code, result.stderr) == (2, "error: params.yaml: no such file\nfix: leave out --keep-dataset\n")
    PARAMS.write_text("seed: 1\n")
    assert "found 0 sections 'dataset' that begin a line, expected 1" in recipe("use", "demo", "--keep-dataset").stderr


def test_every_recipe_names_itself_in_the_gallery() -> None:
    for name in recipe_names():
        assert YAML(typ="safe").load(read_recipe(name))["gallery"]["recipe"] == name


def test_unknown_recipe() -> None:
    result = recipe("use", "dmo")
    assert result.exit_code == 2
    names = ", ".join(recipe_names())
    assert result.stderr == f"error: recipe: unknown recipe 'dmo' (did you mean 'demo'?)\nfix: choose one of {names}\n"


def test_outside_a_checkout_they_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/mine.yaml").write_text("# Mine.\nseed: 1\n")
    monkeypatch.setattr(recipes, "carried", lambda: tmp_path)
    assert recipes_folder() == tmp_path / "recipes"
    assert recipe("list").stdout.startswith("mine  Mine.\n")


def test_section_is_replaced_alone() -> None:
    text = "# a\nseed: 0\ndataset:   # mine\n  root: x\n\n  tags: t\n\ndemo:\n  dataset: 1\n"
    assert dataset_section(text, PARAMS) == "dataset:   # mine\n  root: x\n\n  tags: t\n\n"
    assert (
        with_dataset(text, "dataset:\n  root: y\n", PARAMS)
        == "# a\nseed: 0\ndataset:\n  root: y\n\ndemo:\n  dataset: 1\n"
    )
    with pytest.raises(UserError, match="found 0 sections"):
        dataset_section("dataset: {root: x}", PARAMS)
