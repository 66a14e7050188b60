"""The zoo: each set through all stages once, what is finished is kept, and a table of what came out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from experiments import zoo
from experiments.zoo import CLOCK, STAGES, collect, main, markdown
from wsss.core.errors import UserError

TABLES = {
    "pretrain_tags.csv": "class,guess,epoch_0,epoch_4,kept\ncow,0.25,0.5,0.75,0.75\nhat,0.5,1.0,0.25,0.5\nsky,0.9,,,\n",
    "train_tags.csv": "class,guess,epoch_0,kept\ncow,0.25,0.75,1.0\nhat,0.5,0.5,0.5\nsky,0.9,,\n",
    "agreement.csv": "class,agreement\nbackground,0.8\ncow,0.4\nhat,\n",
    "sources.csv": "source,split,miou\ncam oracle,train,0.5\ncam oracle,val,0.1\npseudo-label,train,0.4\n"
    "student,val,0.3\nstudent ms+flip,val,0.35\nstudent ms+flip+crf,val,0.32\noste,val,0.9\n",
}


BOUND = [("wsss", "labels", "import-masks"), ("pipeline.distill",), ("pipeline.evaluate",)]


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a"):
        (tmp_path / "zoo" / name / "ImageSets").mkdir(parents=True)
    (tmp_path / "zoo" / "no set").mkdir()
    return tmp_path / "zoo"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is run; `wsss init` writes settings, and the last stage the tables."""
    calls: list[tuple[str, ...]] = []

    def call(work: Path, module: str, *arguments: str) -> float:
        calls.append((work.name, module, *arguments))
        (work / "log").touch()
        if module == "wsss":
            (work / "params.yaml").write_text("seed: 0\ndistill: {rounds: 2, relabel: {overrule: true}}\n")
        if module == f"pipeline.{STAGES[-1]}":
            (work / "reports").mkdir(exist_ok=True)
            for name, text in TABLES.items():
                (work / "reports" / name).write_text(text)
            (work / "log").write_text("verdict: not usable\nverdict: usable in part\n  why\n")
        if "bound/reports" in arguments:
            (work / "bound" / "reports").mkdir()
            (work / "bound" / "reports" / "sources.csv").write_text("source,split,miou\nstudent,val,0.7\n")
        return 30.0

    monkeypatch.setattr(zoo, "call", call)
    return calls


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says by what the results were made, so that there is no such column."""
    monkeypatch.setattr(zoo, "made_by", lambda: "")


def run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(main, [str(folder), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_set_is_run_once_by_the_way_a_user_goes(sets: Path, called: list[tuple[str, ...]]) -> None:
    table = run(sets)
    expected = [("wsss", "init"), *((f"pipeline.{stage}",) for stage in STAGES), *BOUND]
    assert [call[1 : 1 + len(part)] for call, part in zip(called, expected * 2, strict=True)] == expected * 2
    assert [call[0] for call in called] == ["a"] * 12 + ["b"] * 12
    numbers = "| 0.375 | 0.750 | 0.625 | 0.750 | 50.0 | 40.0 | 32.0 | 35.0 | 70.0 | 0.600 | 4 |"
    assert f"| a {numbers} usable in part |\n" in table
    assert table.splitlines()[-1] == f"| mean {numbers}  |"
    called.clear()
    assert run(sets) == table
    assert called == []


def test_a_stopped_run_goes_on_where_it_was(sets: Path, called: list[tuple[str, ...]]) -> None:
    run(sets, "--only", "a", "--until", "train")
    assert json.loads((zoo.RESULTS / "photos/a.json").read_text())["student"] is None
    assert [call[1] for call in called] == ["wsss", "pipeline.index", "pipeline.pretrain", "pipeline.train"]
    called.clear()
    run(sets, "--only", "a")
    assert [call[1] for call in called] == [*(f"pipeline.{stage}" for stage in STAGES[3:]), *(of[0] for of in BOUND)]
    assert set(json.loads(Path(".zoo/photos/a", CLOCK).read_text())) == {*STAGES, "bound"}


def test_student_of_masks_is_of_the_same_settings_and_disturbs_nothing(
    sets: Path, called: list[tuple[str, ...]]
) -> None:
    run(sets, "--only", "a")
    assert "bound/params.yaml" not in {part for call in called[:-3] for part in call}
    for call in called[-2:]:
        outputs = [part for part in call if "/" in part]
        assert outputs
        assert all(part.startswith("bound/") for part in outputs)
    settings = YAML(typ="safe").load(Path(".zoo/photos/a/bound/params.yaml").read_text())
    assert settings == {"seed": 0, "distill": {"rounds": 2, "labels": "bound/labels", "relabel": {"overrule": False}}}


def test_each_recipe_has_runs_and_results_of_its_own(sets: Path, called: list[tuple[str, ...]]) -> None:
    run(sets, "--only", "a")
    run(sets, "--only", "a", "--recipe", "quick")
    recipes = [call[-1] for call in called if call[1:3] == ("wsss", "init")]
    assert recipes == ["photos", "quick"]
    assert Path(".zoo/quick/a", CLOCK).exists()
    assert (zoo.RESULTS / "quick/a.json").exists()


def test_a_name_of_its_own_computes_anew_beside_what_is_kept(sets: Path, called: list[tuple[str, ...]]) -> None:
    run(sets, "--only", "a")
    kept = (zoo.RESULTS / "photos/a.json").read_bytes()
    called.clear()
    assert "| a |" in run(sets, "--only", "a", "--name", "photos_again")
    assert len(called) == 12
    assert (zoo.RESULTS / "photos_again/a.json").exists()
    assert (zoo.RESULTS / "photos/a.json").read_bytes() == kept
    assert Path(".zoo/photos_again/a", CLOCK).exists()


def test_a_stage_that_fails_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        options["stdout"].write("error: no\n")
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr("experiments.zoo.subprocess.run", failing)
    with pytest.raises(UserError, match=r"pipeline\.train ended with 2"):
        zoo.call(tmp_path, "pipeline.train")
    assert (tmp_path / "log").read_text() == "error: no\n"


def test_results_say_by_what_they_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"verdict": "usable", "measured": "2026-11-29, abc, 32-true"}))
    assert markdown(tmp_path).splitlines()[-1].endswith("| usable | 2026-11-29, abc, 32-true |")


def test_scores_that_are_missing_stay_so(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for name, text in TABLES.items():
        (tmp_path / "reports" / name).write_text(text.splitlines()[0] + "\n")
    (tmp_path / CLOCK).write_text("{}")
    (tmp_path / "log").write_text("")
    found = collect(tmp_path)
    (tmp_path / "results").mkdir()
    for name in ("a", "b"):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(found))
    assert markdown(tmp_path / "results").splitlines()[-1] == "| mean | 0 |"
    assert found["verdict"] == ""
    assert all(
        value is None
        for key, value in found.items()
        if key not in ("stages", "verdict", "measured", "versions", "minutes")
    )
    assert list(found["versions"]) == ["python", "torch", "numpy", "numba"]
    assert markdown(tmp_path / "none").splitlines()[0].startswith("| set | tag AP, guessing |")
