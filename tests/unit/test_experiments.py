"""Tables of experiments: rows that are valid, results that are continued and never mixed, a page that shows them."""

import copy
import importlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from experiments import difference, look_first, pages, tag_loss, zoo
from experiments.__main__ import TABLES
from experiments.__main__ import main as experiments_main
from experiments.provenance import precision, provenance
from experiments.run import check_settings, run
from experiments.table import RESULTS, Column, Row, Table, markdown, remarks, result_file
from manual.blocks import commands
from manual.blocks import pages as all_pages
from wsss.core.errors import UserError
from wsss.core.locked_files import content_md5
from wsss.core.params import Settings
from wsss.distill.settings import DistillSettings
from wsss.training.oste import TrainSettings
from wsss.training.pretrain import PretrainSettings

SECTIONS: dict[str, type[Settings]] = {
    "pretrain": PretrainSettings,
    "train": TrainSettings,
    "distill": DistillSettings,
}
RECIPE = Path(__file__).parents[2] / "recipes" / "msrc.yaml"


def table(name: str) -> Table:
    found = importlib.import_module(f"experiments.{name}").TABLE
    assert isinstance(found, Table)
    return found


ROWS = [(name, row) for name in TABLES for row in table(name).rows]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=lambda value: value.name if isinstance(value, Row) else value)
def test_a_row_sets_known_keys_to_valid_values(name: str, row: Row) -> None:
    yaml = YAML(typ="safe")
    recipe = yaml.load(RECIPE)
    changed: Any = copy.deepcopy(recipe)
    for override in row.overrides:
        key, value = override.split("=", 1)
        *way, last = key.split(".")
        section = changed
        for part in way:
            section = section.setdefault(part, {})
        section[last] = yaml.load(value)
    for section_name, settings in SECTIONS.items():
        settings.model_validate_json(json.dumps(changed[section_name]))  # strict: JSON has no tuples
    assert {part for part in recipe if recipe[part] != changed[part]} <= set(SECTIONS)


@pytest.mark.parametrize("name", TABLES)
def test_rows_do_not_share_a_file_and_differ(name: str) -> None:
    found = table(name)
    assert found.name == name
    assert len({result_file(Path(), row, 0) for row in found.rows}) == len(found.rows)
    assert len({row.overrides for row in found.rows}) == len(found.rows)


TOY = Table(
    "alpha",
    rows=(Row("low", ("train.enhance.alpha=0.5",)), Row("low-seed", ("train.enhance.alpha=0.7",), paper=1.5)),
    columns=(Column("val", "oste", "val"), Column("labelled", "oste", "val", "miou_labelled")),
    paper="paper",
)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A folder with the recipe and a `dvc` that scores .01 more in every run. Returns what it was asked for."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(RECIPE, "params.yaml")
    Path("reports").mkdir()
    Path("photos").mkdir()
    asked: list[list[str]] = []

    git = subprocess.run

    def dvc(command: list[str], check: bool, **others: Any) -> subprocess.CompletedProcess[Any]:
        assert not check
        if command[0] == "git":
            return git(command, check=check, **others)
        asked.append(command)
        if "++pretrain.optim.lr=13" in command:
            return subprocess.CompletedProcess(command, 255)
        score = f"oste,val,{0.5 + len(asked) / 100},{0.25}"
        Path("reports/sources.csv").write_text(f"source,split,miou,miou_labelled\noste,train,1,1\n{score}\n")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("experiments.run.subprocess.run", dvc)
    return asked


def test_rows_are_computed_once_and_seeds_averaged(ran: list[list[str]], tmp_path: Path) -> None:
    common = (f"dataset.root={tmp_path}/photos", "cams.scales=[1.0]")
    run(TOY, tmp_path / "toy", (0,), common)
    run(TOY, tmp_path / "toy", (0, 1), common)
    given = ("seed=1", *common, "train.enhance.alpha=0.5")
    options = [part for setting in given for part in ("-S", f"++{setting}")]
    assert ran[2] == ["dvc", "exp", "run", "evaluate", *options]
    assert len(ran) == 4
    # low: .51 and .53; low-seed, whose files begin with the other's name: .52 and .54
    assert markdown(TOY, tmp_path / "toy").splitlines() == [
        "|  | val | labelled | paper |",
        "| --- | --: | --: | --: |",
        "| low (2 seeds) | 52.00 ± 1.41 | 25.00 ± 0.00 |  |",
        "| low-seed (2 seeds) | 53.00 ± 1.41 | 25.00 ± 0.00 | 1.50 |",
    ]


def test_where_only_val_has_masks_the_columns_of_train_are_those_of_val(tmp_path: Path) -> None:
    chain, folder = table("chain"), tmp_path / "mine"
    file = result_file(folder, chain.rows[0], 0)
    folder.mkdir()
    heading = "source,split,miou,miou_labelled,coverage\n"
    val = "cam,val,.3,.3,1\ncam oracle,val,.4,.4,1\npseudo-label,val,.5,.6,.7\nstudent,val,.8,.8,1\n"
    file.write_text(heading + val)
    first, _, row = markdown(chain, folder).splitlines()
    told = dict(zip(first.split(" | "), row.split(" | "), strict=True))
    assert told["CAM, fixed threshold, val"] == "30.00"
    assert told["CAM, best threshold (oracle), val"] == "40.00"
    assert (told["labelled pixels only, val"], told["coverage, val"]) == ("60.00", "70.00")
    assert (told["pseudo-label, val"], told["student, val"]) == ("50.00", "80.00")
    assert not any("train" in title for title in told)
    shutil.copytree(folder, tmp_path / "base")
    assert "| CAM, best threshold (oracle), val | +0.00 | +0.00 |" in difference.markdown(
        chain, tmp_path / "base", folder
    )
    file.write_text(heading + val + "cam,train,.2,.2,1\n")
    assert "CAM, fixed threshold, train" in markdown(chain, folder)
    assert "oracle" not in markdown(chain, folder)


def test_the_table_is_printed_also_where_nothing_is_left_to_compute(ran: list[list[str]], tmp_path: Path) -> None:
    given = ["alpha", "--name", "new", "-S", f"dataset.root={tmp_path}", "--seed", "0", "--seed", "1"]
    first, second = (CliRunner().invoke(experiments_main, given) for _ in range(2))
    assert len(ran) == 2 * len(table("alpha").rows)
    for result in (first, second):
        assert result.exit_code == 0, result.output
        assert result.stdout == markdown(table("alpha"), RESULTS / "new")
        assert "(2 seeds)" in result.stdout


def scores(folder: Path, row: Row, seed: int, *values: float) -> None:
    """Scores of `TOY`'s columns."""
    folder.mkdir(parents=True, exist_ok=True)
    line = ",".join(f"{value}" for value in values)
    result_file(folder, row, seed).write_text(f"source,split,miou,miou_labelled\noste,val,{line}\n")


def test_differences_are_those_of_one_seed(tmp_path: Path) -> None:
    low, high = TOY.rows
    for seed, a, b in ((0, 0.5, 0.51), (1, 0.6, 0.63), (10, 0.7, 0.7)):
        scores(tmp_path / "base", low, seed, a, 0.25)
        scores(tmp_path / "mine", low, seed, b, 0.25)
    scores(tmp_path / "mine", low, 3, 0.9, 0.9)  # base has no such seed
    scores(tmp_path / "mine", high, 0, 0.9, 0.9)  # nor this row
    assert difference.markdown(TOY, tmp_path / "base", tmp_path / "mine").splitlines() == [
        "| mine − base | seed 0 | seed 1 | seed 10 | mean [95 %] |",
        "| --- | --: | --: | --: | --: |",
        "| low: val | +1.00 | +3.00 | +0.00 | +1.33 ± 1.53 [-2.5, +5.1] |",
        "| low: labelled | +0.00 | +0.00 | +0.00 | +0.00 ± 0.00 |",
    ]
    scores(tmp_path / "base", high, 10, 0.5, 0.5)
    assert "| low-seed: val |" not in difference.markdown(TOY, tmp_path / "base", tmp_path / "mine")
    with pytest.raises(UserError, match="no row and seed in both none and mine"):
        difference.markdown(TOY, tmp_path / "none", tmp_path / "mine")


def test_two_results_and_the_settings_that_differ(ran: list[list[str]], tmp_path: Path) -> None:
    place = f"dataset.root={tmp_path}"
    for name, settings in (("base", ()), ("mine", ("distill.rounds=1",))):
        run(table("chain"), RESULTS / name, (0, 1), (place, *settings))
    result = CliRunner().invoke(difference.main, ["base", "mine"])
    assert "| OSTE's branch, val | +2.00 | +2.00 | +2.00 ± 0.00 |\n" in result.stdout
    assert "\nsettings that differ: distill.rounds (base 2, mine 1)\ncode: base " in result.stdout
    assert result.stdout.endswith("; mine the same; no stage's code differs\nno library's version differs\n")
    assert "\nno setting differs\n" in CliRunner().invoke(difference.main, ["base", "base"]).stdout


def test_a_result_says_when_and_by_which_code_each_row_was_computed(
    ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter([{"date": "2026-11-29", "commit": name, "precision": "32-true"} for name in ("a1", "b2")])
    monkeypatch.setattr("experiments.run.provenance", lambda _: next(made))
    for seed in (0, 1):
        run(table("chain"), RESULTS / "base", (seed,), (f"dataset.root={tmp_path}",))
    kept = json.loads((RESULTS / "base/settings.json").read_text())
    assert {name: row["commit"] for name, row in kept["rows"].items()} == {
        "recipe-seed0.csv": "a1",
        "recipe-seed1.csv": "b2",
    }
    said = "on 2026-11-29 (commit `a1`, trainings in `32-true`), on 2026-11-29 (commit `b2`, trainings in `32-true`)"
    block = pages.block(RESULTS / "base")
    assert said in block
    assert "\n| recipe as of 2026-11-29 (2 seeds) |" in block
    monkeypatch.undo()
    found = provenance({"train.optim.precision": "32-true", "pretrain.optim.precision": "16"})
    assert found["precision"] == f"16 and 32-true{' and bf16-mixed' if precision() == 'bf16-mixed' else ''}"
    assert len(found["commit"].split()[0]) >= 7


def test_results_that_kept_no_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPE.parents[1])
    said = CliRunner().invoke(difference.main, ["chain_eight", "chain"]).stdout
    assert "| student, val | +1.85 | +0.40 | +0.25 | +0.83 ± 0.88 [-1.4, +3.0] |\n" in said
    assert said.endswith(
        "\nsettings: base and mine kept no list, only what the command set; in that differs distill.optim.epochs (base "
        '"16", mine not written), distill.stage1.epochs (base "8", mine not written)\n'
        "code: base 29162cd (2026-11-23, 32-true); mine the same\n"
        "versions of the libraries: unknown of base and mine\n"
        "chain_eight: 'recipe': unknown by which settings in effect, code and libraries: seeds 0, 1, 2 by 29162cd "
        "(2026-11-23, 32-true)\n"
        "chain: 'recipe': unknown by which settings in effect, code and libraries: seeds 0, 1, 2 by 29162cd "
        "(2026-11-23, 32-true)\n"
    )
    assert "| recipe (3 seeds) |" in markdown(table("chain"), RESULTS / "chain")


def test_the_chain_shows_labels_and_branch_on_val_photos_where_they_were_scored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(RECIPE.parents[1])

    def shown(folder: Path) -> dict[str, str]:
        heads, _, cells = (line[2:-2].split(" | ") for line in markdown(table("chain"), folder).splitlines())
        return dict(zip(heads[-6:], cells[-6:], strict=True))

    found = shown(RESULTS / "chain")
    assert found["pseudo-label, val"] == "70.03 ± 0.39"
    assert found["OSTE's branch, ms + flip + CRF, val"] == "64.76 ± 3.54"
    scores(tmp_path, table("chain").rows[0], 0, 0.5, 0.5)  # OSTE's branch at one scale, and nothing else
    assert list(shown(tmp_path).values()) == ["", "50.00", "", "", "", ""]


def test_what_cannot_be_compared_is_said(ran: list[list[str]], tmp_path: Path) -> None:
    for name in ("chain", "alpha"):
        run(table(name), RESULTS / name, (0,), (f"dataset.root={tmp_path}",))
    for other, what in (("alpha", "is of table alpha, chain of chain"), ("nothing", "nothing: no results")):
        result = CliRunner().invoke(difference.main, ["chain", other])
        assert isinstance(result.exception, UserError)
        assert what in str(result.exception)


def test_rows_of_other_settings_are_not_mixed(ran: list[list[str]], tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    run(TOY, folder, (0,), (f"dataset.root={tmp_path}/photos", "cams.scales=[1.0]", "correct.gmm.crf=off"))
    # What rows, seeds and the place of the data leave in params.yaml makes no difference, nor does the gallery.
    text = RECIPE.read_text().replace("alpha: 0.5}   #", "alpha: 0.7}   #").replace("seed: 0", "seed: 3")
    text = text.replace("root: data/msrc_v2", f"root: {tmp_path}").replace("images: 60", "images: 6")
    Path("params.yaml").write_text(text.replace("gmm: {crf: {bilateral_xy: 160, bilateral_rgb: 5}}", "gmm: {crf: off}"))
    run(TOY, folder, (1,), ("cams.scales=[1.0]",))
    assert len(ran) == 4
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("energy: {stride: 6}", "energy: {}"))
    with pytest.raises(UserError) as raised:
        run(TOY, folder, (2,), ("cams.scales=[2.0]", "compute.threads=1"))
    assert str(raised.value) == (
        f"error: {folder}: holds rows of other settings: cams.scales (then [1.0], now [2.0]), "
        "compute.threads (then 2, now 1), train.energy.stride (then 6, now 4)\n"
        "fix: compute these under a name of their own: --name NEW"
    )
    assert len(ran) == 4


def edited(name: str) -> Callable[[Path], str]:
    """md5s of a checkout where the files whose path contains `name` are others."""
    return lambda path: f"{content_md5(path)}{' edited' if name in path.as_posix() else ''}"


def kept(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what is kept beside the scores in `folder`."""
    found = json.loads((folder / "settings.json").read_text())
    change(found)
    (folder / "settings.json").write_text(json.dumps(found))


def change_effective(folder: Path, **values: Any) -> None:
    """Other values in all lists of settings in effect, of keys that have a `_` for each dot; None: no such key."""
    changes = {name.replace("_", "."): value for name, value in values.items()}

    def change(found: dict[str, Any]) -> None:
        for name, settings in found["effective"].items():
            kept_keys = {key: value for key, value in settings.items() if key not in changes}
            found["effective"][name] = kept_keys | {key: value for key, value in changes.items() if value is not None}

    kept(folder, change)


def test_seeds_of_another_default_are_not_mixed(ran: list[list[str]], tmp_path: Path) -> None:
    """The default of a key that params.yaml does not write was another one."""
    key, folder, place = "distill.stage1.feature.weight", RESULTS / "base", (f"dataset.root={tmp_path}",)
    run(table("chain"), folder, (0,), place)
    change_effective(folder, distill_stage1_feature_weight=20.0)
    for settings in ((), ("distill.stage1.feature.weight=0.2",)):
        with pytest.raises(UserError, match=rf"other settings: {key} \(then 20.0, now 0.2\)\n.*--name NEW"):
            run(table("chain"), folder, (1,), (*place, *settings))
    change_effective(folder, distill_stage1_feature_weight=0.2)
    # One that is written as it is by default is the same setting.
    run(table("chain"), folder, (1,), (*place, f"{key}=0.2"))
    assert len(ran) == 2


def test_a_key_that_is_new_in_code_counts_where_it_is_written(ran: list[list[str]], tmp_path: Path) -> None:
    folder, place = RESULTS / "base", (f"dataset.root={tmp_path}",)
    run(table("chain"), folder, (0,), place)
    change_effective(folder, distill_stage1_feature_weight=None)
    with pytest.raises(UserError, match=r"distill.stage1.feature.weight \(then no such key, now 0.3\)"):
        run(table("chain"), folder, (1,), (*place, "distill.stage1.feature.weight=0.3"))
    run(table("chain"), folder, (1,), place)
    assert "(2 seeds) |" in markdown(table("chain"), folder)
    # Now it is known; and a CRF that is off has other keys than one that is on.
    change_effective(folder, distill_stage1_feature_weight=0.3)
    with pytest.raises(UserError, match=r"distill.stage1.feature.weight \(then 0.3, now 0.2\)"):
        run(table("chain"), folder, (2,), place)
    change_effective(folder, distill_stage1_feature_weight=0.2)
    with pytest.raises(
        UserError, match=r"evaluate.crf \(then no such key, now null\), evaluate.crf.bilateral_rgb \(then"
    ):
        run(table("chain"), folder, (2,), (*place, "evaluate.crf=off"))
    assert len(ran) == 2


def test_scores_of_elsewhere_get_no_mean(ran: list[list[str]], tmp_path: Path) -> None:
    folder, place = RESULTS / "base", f"dataset.root={tmp_path}"
    run(table("chain"), folder, (0, 1), (place,))

    def from_elsewhere(found: dict[str, Any]) -> None:
        (settings,) = found["effective"].values()
        found["effective"]["other"] = settings | {"distill.rounds": 1}
        found["rows"]["recipe-seed1.csv"]["settings"] = "other"

    kept(folder, from_elsewhere)
    said = "row 'recipe' has seeds of different settings: distill.rounds (seed 0 2, seed 1 1)\n"
    with pytest.raises(UserError, match=re.escape(said)):
        markdown(table("chain"), folder)
    assert said in str(CliRunner().invoke(difference.main, ["base", "base"]).exception)
    kept(folder, lambda found: found["effective"].pop("other"))
    result = CliRunner().invoke(experiments_main, ["chain", "--name", "base", "-S", place])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "settings.json does not list the settings of seed 1\n" in result.stderr


def test_seeds_of_different_code_are_flagged(
    ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["chain", "--name", "base", "-S", f"dataset.root={tmp_path}"]
    made = {"date": "2026-11-30", "precision": "32-true"}
    monkeypatch.setattr("experiments.run.provenance", lambda _: made | {"commit": "a1"})
    assert CliRunner().invoke(experiments_main, [*given, "--seed", "0", "--seed", "3"]).stdout.count("\n") == 3
    monkeypatch.setattr("experiments.made.content_md5", edited("wsss/distill"))
    monkeypatch.setattr("experiments.run.provenance", lambda _: made | {"commit": "b2 with changes"})
    result = CliRunner().invoke(experiments_main, [*given, "--seed", "1"])
    assert "| recipe (3 seeds, OF DIFFERENT CODE) |" in result.stdout
    said = (
        "recipe: SEEDS OF DIFFERENT CODE: seeds 0, 3 by a1 (2026-11-30, 32-true); "
        "seed 1 by b2 with changes (2026-11-30, 32-true); code differs in distill; "
        "for a mean of one kind compute all seeds anew under a name of their own: --name NEW\n"
    )
    assert result.stdout.endswith(f"\n\n{said}")
    run(table("chain"), RESULTS / "mine", (0, 1), (f"dataset.root={tmp_path}",))
    compared = CliRunner().invoke(difference.main, ["base", "mine"]).stdout
    assert compared.endswith(f"; code differs in: distill\nno library's version differs\nbase: {said}")


def test_what_was_not_kept_is_unknown(ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"date": "2026-11-30", "commit": "b2", "precision": "32-true"}  # whatever is edited in this checkout
    monkeypatch.setattr("experiments.run.provenance", lambda _: made)
    folder, place = RESULTS / "base", (f"dataset.root={tmp_path}",)
    run(table("chain"), folder, (0, 1), place)

    def as_it_was(found: dict[str, Any]) -> None:
        del found["effective"]
        for record in found["rows"].values():
            for key in ("settings", "code", "versions"):
                del record[key]
        found["rows"]["recipe-seed0.csv"]["commit"] = "a1"

    kept(folder, as_it_was)
    run(table("chain"), folder, (2,), place)
    assert "| recipe (3 seeds, PERHAPS OF DIFFERENT CODE) |" in markdown(table("chain"), folder)
    first, second = remarks(table("chain"), folder)
    assert first.startswith("recipe: PERHAPS SEEDS OF DIFFERENT CODE: seed 0 by a1 (")
    assert second.startswith("'recipe': unknown by which settings in effect, code and libraries: seed 0 by a1 (")
    assert "; seed 1 by " in second
    with pytest.raises(UserError, match=r"distill.rounds \(then 2, now 1\)"):
        run(table("chain"), folder, (3,), (*place, "distill.rounds=1"))
    said = CliRunner().invoke(difference.main, ["base", "base"]).stdout
    assert "of the settings that are written, no setting differs; their defaults were not kept: unknown\n" in said
    assert "; mine the same\nversions of the libraries: unknown of base and mine\n" in said


def test_versions_of_libraries_are_kept_and_compared(
    ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(table("chain"), RESULTS / "base", (0,), (f"dataset.root={tmp_path}",))
    found = json.loads((RESULTS / "base/settings.json").read_text())["rows"]["recipe-seed0.csv"]["versions"]
    assert list(found) == ["python", "torch", "numpy", "numba"]
    monkeypatch.setattr("experiments.run.versions", lambda: found | {"torch": "0.4"})
    run(table("chain"), RESULTS / "mine", (0,), (f"dataset.root={tmp_path}",))
    said = CliRunner().invoke(difference.main, ["base", "mine"]).stdout
    assert f"\nversions of the libraries that differ: torch (0.4 and {found['torch']})\n" in said
    run(table("chain"), RESULTS / "base", (1,), (f"dataset.root={tmp_path}",))
    assert remarks(table("chain"), RESULTS / "base")[0].startswith(
        f"recipe: seeds of different libraries: torch 0.4 and {found['torch']}; "
    )


def test_the_demo_says_that_seeds_draw_its_scenes(ran: list[list[str]], tmp_path: Path) -> None:
    Path("data/demo").mkdir(parents=True)
    given = ["chain", "--name", "base", "-S", "dataset.root=data/demo", "--seed"]
    assert "drawn" not in CliRunner().invoke(experiments_main, [*given, "0"]).stdout
    said = "\nthe demo's scenes are drawn by the seed: ± is of other data and another training together\n"
    assert CliRunner().invoke(experiments_main, [*given, "1"]).stdout.endswith(said)


@pytest.mark.parametrize("what", ["code of distill", r"settings: distill.rounds \(then 2, now 1\)"])
def test_what_changes_while_a_row_is_computed_is_not_kept(
    ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    dvc = subprocess.run

    def meanwhile(command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        done = dvc(command, **options)
        if command[0] == "dvc" and "code" in what:
            monkeypatch.setattr("experiments.made.content_md5", edited("wsss/distill"))
        elif command[0] == "dvc":
            Path("params.yaml").write_text(Path("params.yaml").read_text().replace("rounds: 2", "rounds: 1"))
        return done

    monkeypatch.setattr("experiments.run.subprocess.run", meanwhile)
    with pytest.raises(UserError, match=rf"changed while row 'low', seed 0 was computed, which is not kept: {what}"):
        run(TOY, tmp_path / "toy", (0,), (f"dataset.root={tmp_path}",))
    assert not list((tmp_path / "toy").glob("*.csv"))


def test_rows_of_another_arithmetic_are_not_mixed(
    ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fast in (True, False):
        monkeypatch.setattr("experiments.provenance.fast_bf16", lambda fast=fast: fast)
        if fast:
            run(TOY, tmp_path / "toy", (0,), (f"dataset.root={tmp_path}",))
    with pytest.raises(UserError, match=r'precision auto \(then "bf16-mixed", now "32-true"\)'):
        run(TOY, tmp_path / "toy", (1,), (f"dataset.root={tmp_path}",))
    assert len(ran) == 2


def test_a_wrong_place_and_a_run_that_fails_are_said_in_two_lines(ran: list[list[str]], tmp_path: Path) -> None:
    missing = CliRunner().invoke(experiments_main, ["alpha", "-S", "dataset.root=/no/where"])
    assert missing.exit_code == 2
    assert missing.stderr == (
        "error: /no/where: no such folder\nfix: give the photos' own: -S dataset.root=/absolute/path\n"
    )
    assert not Path(RESULTS, "alpha").exists()
    with pytest.raises(UserError, match=r"row 'low', seed 0: dvc exp run ended with 255"):
        run(TOY, tmp_path / "toy", (0,), (f"dataset.root={tmp_path}", "pretrain.optim.lr=13"))
    assert len(ran) == 1
    with pytest.raises(UserError, match=r"params.yaml: pretrain.optim.lr: Input should be greater than 0"):
        run(TOY, tmp_path / "other", (0,), (f"dataset.root={tmp_path}/photos", "pretrain.optim.lr=-1"))
    assert len(ran) == 1


def test_photos_of_the_demo_are_drawn_by_the_run(ran: list[list[str]], tmp_path: Path) -> None:
    """In a fresh clone they are not there yet."""
    shutil.copyfile(RECIPE.with_name("demo.yaml"), "params.yaml")
    assert not Path("data/demo").exists()
    run(TOY, tmp_path / "toy", (0,), ("demo.train=20",))
    assert len(ran) == 2


PAGES = [page for page in all_pages(RECIPE.parents[1]) if "python -m experiments " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_printed_command_gets_past_the_check_of_settings(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the recipe of today, beside the results that are kept; no row is computed."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(RECIPE, "params.yaml")
    kept = RECIPE.parents[1] / RESULTS
    for file in kept.rglob("settings.json"):
        target = RESULTS / file.relative_to(kept)
        target.parent.mkdir(parents=True)
        shutil.copyfile(file, target)
    checked = []

    def check(table: Table, folder: Path, seeds: tuple[int, ...], common: tuple[str, ...]) -> None:
        check_settings(table, folder, common)
        checked.append(folder)

    monkeypatch.setattr("experiments.__main__.run", check)
    for line in commands(page.name, page.read_text(encoding="utf-8")):
        words = shlex.split(line.command, comments=True) if line.command.startswith("python -m experiments ") else []
        if words[3:4] and words[3] in TABLES:
            result = CliRunner().invoke(experiments_main, words[3:])
            assert result.exit_code == 0, f"{line.command}: {result.output}"
    assert checked or page.name not in ("README.md", "results.md", "experiments.md")


def test_the_pages_show_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers in results, advice and notebook are those in experiments/results: `make tables`."""
    monkeypatch.chdir(RECIPE.parents[1])
    texts = {page.stem: page.read_text(encoding="utf-8") for page in pages.PAGES}
    assert set(texts) == {"results", "choosing", "experiments"}
    for text in texts.values():
        assert pages.filled(text) == text
    shown = [found["name"] for text in texts.values() for found in pages.BLOCK.finditer(text)]
    # Each once; the zoo and the lab have places of their own.
    kept = {folder.name for folder in pages.RESULTS.iterdir() if not folder.name.endswith("_again")}
    assert sorted(shown) == sorted(kept - {zoo.RESULTS.name, pages.lab.RESULTS.name})
    zoos = [found["recipe"] for text in texts.values() for found in pages.ZOO.finditer(text)]
    assert sorted(zoos) == sorted(f.name for f in zoo.RESULTS.iterdir() if not f.name.endswith("_again"))


def test_every_page_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(RECIPE.parents[1])
    chosen = []
    for page in pages.PAGES:
        text = page.read_text(encoding="utf-8")
        chosen.append(tmp_path / page.name)
        without = pages.BLOCK.sub(r"\g<begin>stale\n\g<end>", text)
        chosen[-1].write_text(pages.TAGS.sub(r"\g<begin>stale\n\g<end>", without), encoding="utf-8")
    assert (tmp_path / "results.md").read_text(encoding="utf-8") != pages.PAGES[0].read_text(encoding="utf-8")
    result = CliRunner().invoke(pages.main, [str(page) for page in chosen])
    assert result.exit_code == 0, result.output
    for page in pages.PAGES:
        assert (tmp_path / page.name).read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_commands_of_zoo_and_lab_compute_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPE.parents[1])
    assert "zoo /absolute/path/of/zoo --recipe quick --name quick_again\n" in pages.zoo_block("quick")
    assert " --name photos_again --until gallery\n" in pages.zoo_block("photos")
    assert " --again\n" in pages.lab_block()


def test_the_command_of_a_table_names_its_seeds(tmp_path: Path) -> None:
    for seed, shown in ((0, ""), (2, " --seed 0 --seed 2"), (10, " --seed 0 --seed 2 --seed 10")):
        result_file(tmp_path, TOY.rows[0], seed).touch()
        assert pages.command(TOY, tmp_path, ["a=[1]"]) == (
            f"python -m experiments alpha --name {tmp_path.name}_again -S 'a=[1]'{shown}"
        )


def test_a_table_without_results_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nothing: no results"):
        pages.filled("<!-- table nothing -->\n<!-- end -->\n")


def test_what_train_costs_is_told_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    tags = rng.random((200, 3)) < 0.4
    good = tags + rng.normal(0, 0.3, tags.shape)
    assert tag_loss.interval(tags, good, good, rng, 50) == (0, 0)
    low, high = tag_loss.interval(tags, good, rng.normal(size=tags.shape), rng, 200)
    assert -0.7 < low < high < -0.4
    low, high = tag_loss.interval(tags, good, tags + rng.normal(0, 0.3, tags.shape), rng, 200)  # as good, by chance
    assert low < 0 < high


def test_results_hold_no_place_of_a_machine() -> None:
    for file in (RECIPE.parents[1] / "experiments/results").rglob("settings.json"):
        for setting in json.loads(file.read_text())["settings"]:
            assert "=/" not in setting or setting.startswith("dataset.root=/absolute/path/of/")


def test_orders_of_masks_to_look_at_are_judged_by_their_first_tenth() -> None:
    photos = [look_first.Photo(n / 20, (), (), n / 20, {1: 0.2 + n / 100}, {1: 0.9}) for n in range(19)]
    photos.append(look_first.Photo(0.0, ("cow is tagged and covers nothing",), (), 0.99, {1: 0.9}, {}))
    assert look_first.first_tenth(photos, [len(photo.known) for photo in photos]) == 0.0
    assert look_first.first_tenth(photos, [photo.confidence for photo in photos]) == pytest.approx(0.45)
    odd = look_first.unusual(photos, look_first.log_odds)
    assert odd.index(max(odd)) == 19
    assert max(look_first.unusual(photos, look_first.log_odds, -1)) < max(odd)
    assert look_first.before(("cow covers 96 %", "cat is no tag and covers 3 %")) == 4
