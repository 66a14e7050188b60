"""End to end, as a user runs it: `dvc repro` on a small drawn data set."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from wsss.cli import main as wsss
from wsss.data.images import load_mask
from wsss.data.index import read_index
from wsss.data.size import ReadSizes, fit_label
from wsss.numeric.device import fast_bf16
from wsss.stores.labels import PredictionStore

REPO = Path(__file__).parent.parent
DVC = Path(sys.executable).parent / "dvc"
STAGES = list(YAML(typ="safe").load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def make_project(folder: Path) -> Path:
    """A copy of the pipeline with settings for a run of seconds."""
    folder.mkdir(parents=True)
    for name in ("wsss", "pipeline", "recipes"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(REPO / name, folder / name)
    write_params(folder)
    run(folder, DVC, "init", "--no-scm", "--quiet")
    return folder


def write_params(folder: Path, **changes: object) -> None:
    """Settings for a run of seconds, with one epoch beyond each warm-up: a promise about bytes needs no more."""
    yaml = YAML()
    params = yaml.load((REPO / "params.yaml").read_text(encoding="utf-8"))
    params["demo"].update({"train": 24, "val": 8, "size": 96})
    for section, epochs in (("pretrain", 4), ("train", 2), ("distill", 2)):
        params[section]["augment"]["crop"] = 96
        params[section]["optim"].update({"epochs": epochs, "batch": 4, "warmup_steps": 2})
    for section in ("pretrain", "distill"):
        params[section]["backbone"]["output_stride"] = 16
    params["pretrain"].update({"dropout": 0.0, "verdict": "warn"})
    params["train"]["verdict"] = "warn"
    params["compute"]["threads"] = 1
    params["inference"]["shard_size"] = 5
    params["cams"]["scales"] = [1.0, 1.5]
    params["distill"]["stage1"]["epochs"] = 1
    params["evaluate"].update({"scales": [1.0], "crf": {"iterations": 10}})
    for key, value in changes.items():
        section, name = key.split("__")
        params[section][name] = value
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def run(folder: Path, *command: object, check: bool = True, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "WSSS_WORKERS": "1", "DVC_NO_ANALYTICS": "1", **environment}
    done = subprocess.run([str(part) for part in command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout + done.stderr


def hashes(folder: Path) -> dict[str, dict[str, str]]:
    lock = YAML(typ="safe").load((folder / "dvc.lock").read_text(encoding="utf-8"))
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in lock["stages"].items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One complete run, with a worker process where there may be some.

    That two give the same bytes, the tests of each kind of work say for themselves.
    """
    folder = make_project(tmp_path_factory.mktemp("run") / "a project with 100 %")
    run(folder, DVC, "repro", "--quiet")
    return folder


@pytest.mark.slow
def test_every_stage_writes_what_it_declares(finished: Path) -> None:
    assert list(hashes(finished)) == STAGES
    metrics = json.loads((finished / "reports/metrics.json").read_text())
    assert len(metrics) <= 10
    assert all(0 <= value <= 1 for value in metrics.values())
    assert (finished / "reports/gallery/index.html").stat().st_size > 5000
    assert not list((finished / "data/demo/masks").glob("*train*"))


@pytest.mark.slow
def test_photos_that_are_shrunk_are_masked_and_scored_at_their_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way at half of their size; then `wsss predict` of them, and of copies of 4 times the sides."""
    folder = tmp_path
    write_params(folder, dataset__long_side=48)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WSSS_WORKERS", "0")
    for stage in STAGES:
        result = CliRunner().invoke(importlib.import_module(f"pipeline.{stage}").main, [])
        assert result.exit_code == 0, (stage, result.stderr)
    index = read_index(folder / "artifacts/dataset")
    assert index.long_side == 48
    assert {max(record.own_size) for record in index.records} == {96}
    assert {max(record.size) for record in index.records} == {48}
    sizes = ReadSizes(48, 48, 48, 48)
    cards = {name: torch.load(folder / f"artifacts/{name}.pt") for name in ("backbone", "oste", "distilled", "student")}
    assert {name: card["sizes"] for name, card in cards.items()} == dict.fromkeys(cards, sizes.plain())
    assert [name for name, card in cards.items() if card["view"]] == ["student"]
    assert {card["precision"] for card in cards.values()} == {"bf16-mixed" if fast_bf16() else "32-true"}
    val = index.split("val")
    store = PredictionStore(folder / "artifacts/predictions")
    assert {store.label(record.id).shape for record in val} == {record.size for record in val}
    with (folder / "reports/classes.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "student" and row["split"] == "val"]
    assert sum(int(row["pixels"]) for row in rows) >= 0.9 * sum(r.own_height * r.own_width for r in val)
    (folder / "large").mkdir()
    for record in val:
        with Image.open(folder / "data/demo" / record.image) as image:
            large = image.resize((4 * image.width, 4 * image.height), Image.Resampling.BICUBIC)
        large.save(folder / "large" / f"{Path(record.image).stem}.jpg", quality=95)
    for photos, times in (("data/demo/images", 1), ("large", 4)):
        said = CliRunner().invoke(wsss, ["predict", "artifacts/student.pt", photos, "-o", f"out{times}", "--tags=none"])
        assert said.exit_code == 0, said.stderr
        assert "predict: read at 48 pixels, test-time scale 1, flip, CRF, as the model was evaluated" in said.stderr
        for record in val:
            size = times * record.own_height, times * record.own_width
            mask = load_mask(folder / f"out{times}/masks/{Path(record.image).stem}.png", size, len(index.classes))
            assert (mask == fit_label(store.label(record.id), size)).mean() > 0.9


@pytest.mark.slow
def test_second_repro_does_nothing(finished: Path) -> None:
    assert "Data and pipelines are up to date." in run(finished, DVC, "repro")


@pytest.mark.slow
def test_a_changed_evaluation_setting_reruns_evaluate_and_gallery_only(finished: Path) -> None:
    params = finished / "params.yaml"
    before = params.read_text(encoding="utf-8")
    head, tail = before.split("evaluate:\n")
    params.write_text(head + "evaluate:\n" + tail.replace("iterations: 10", "iterations: 5", 1), encoding="utf-8")
    try:
        assert params.read_text(encoding="utf-8") != before
        changed = json.loads(run(finished, DVC, "status", "--json").strip().splitlines()[-1])
        assert set(changed) == {"evaluate", "gallery"}  # the page says which settings are not those of the recipe
        assert set(run(finished, DVC, "repro", "--dry").split("Running stage '")[1:][0].split("'")[0:1]) == {"evaluate"}
    finally:
        params.write_text(before, encoding="utf-8")


ALL_STAGES = """
import importlib, sys
for stage in sys.argv[1:]:
    importlib.import_module(f"pipeline.{stage}").main([], standalone_mode=False)
"""


@pytest.mark.slow
def test_another_folder_without_workers_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """In one process and with the code elsewhere: neither is a part of what a stage makes."""
    write_params(tmp_path)
    environment = {"WSSS_WORKERS": "0", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    run(tmp_path, sys.executable, "-c", ALL_STAGES, *STAGES, PYTHONPATH=str(REPO), **environment)
    for stage in STAGES:
        for out in hashes(finished)[stage]:
            assert tree_bytes(tmp_path / out) == tree_bytes(finished / out) != {}, out


OWN_FILES = {
    "demo": "wsss/demo/coat.py",
    "index": "wsss/formats/health.py",
    "pretrain": "wsss/training/pretrain.py",
    "train": "wsss/training/oste.py",
    "cams": "wsss/cams/stage.py",
    "correct": "wsss/correct/mixtures.py",
    "distill": "wsss/distill/step.py",
    "evaluate": "wsss/evaluation/tables.py",
    "gallery": "wsss/report/cards.py",
}
"""A file of each stage that no other stage loads, none of them with machine code: compiling is slow."""


@pytest.mark.slow
def test_a_comment_asks_for_its_stage_alone(finished: Path) -> None:
    changes = [(OWN_FILES[stage], "", "# a comment\n") for stage in STAGES]
    assert stages_to_run(finished, changes) == [[stage] for stage in STAGES]


@pytest.mark.slow
def test_a_comment_reruns_its_stage_and_nothing_behind_it(finished: Path) -> None:
    """Equal results are equal bytes, so DVC stops behind the stage whose code has changed."""
    before = hashes(finished)
    with (finished / OWN_FILES["cams"]).open("a", encoding="utf-8") as file:
        file.write("# a comment\n")
    said = run(finished, DVC, "repro", WSSS_WORKERS="0")
    assert [part.split("'")[0] for part in said.split("Running stage '")[1:]] == ["cams"]
    assert hashes(finished) == before


STATUS = """
import json, sys
from pathlib import Path
from dvc.repo import Repo
for name, old, new in json.loads(sys.argv[1]):
    path = Path(name)
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(old, new) if old else before + new, encoding="utf-8")
    with Repo(".") as repo:
        print(json.dumps(sorted(repo.status())))
    path.write_text(before, encoding="utf-8")
"""
"""What `dvc status` says, in one process for all changes: a command of DVC takes longer to begin than to answer."""


def stages_to_run(folder: Path, changes: list[tuple[str, str, str]]) -> list[list[str]]:
    """The stages that are out of date, sorted, while one file has a text in the place of another (or at its end)."""
    return [json.loads(line) for line in run(folder, sys.executable, "-c", STATUS, json.dumps(changes)).splitlines()]


READERS = {
    "wsss/core/log.py": ("PLAIN_SECONDS = 30.0", []),
    "wsss/numeric/compiled.py": ('"contract", "nsz"', ["cams", "correct", "distill", "evaluate", "pretrain", "train"]),
    "wsss/crf/settings.py": ("default=10, ge=1, le=100", ["correct", "distill", "evaluate", "train"]),
    "wsss/data/inference.py": ("default=1, ge=1", ["cams", "correct", "distill", "evaluate"]),
    "wsss/data/transforms.py": ("default=0.2, ge=0", ["distill", "pretrain", "train"]),
    "wsss/training/schedule.py": ("default=0.9, ge=0, lt=1", ["distill", "pretrain", "train"]),
    "wsss/losses/energy.py": ("default=4, ge=1", ["distill", "train"]),
    "wsss/correct/fixed.py": ("default=4.0, gt=0", ["correct", "train"]),
    "wsss/correct/mixtures.py": ("default=250", ["correct"]),
    "wsss/cams/stage.py": ("default=(0.5, 1.0, 1.5, 2.0)", ["cams"]),
    "wsss/distill/losses/features.py": ("default=0.2", ["distill"]),
    "wsss/evaluation/sources.py": ("default=0.27, ge=0", ["evaluate"]),
}
"""A default in the code, and the stages that read it."""


@pytest.fixture(scope="module")
def rerun(finished: Path) -> dict[str, list[str]]:
    """The stages that run again for a changed default, by its file."""
    # What DVC compares is the text: that it is no default any more does not matter here.
    changes = [(file, old, f"{old}  # changed\n") for file, (old, _) in READERS.items()]
    return dict(zip(READERS, stages_to_run(finished, changes), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("file", READERS)
def test_a_changed_default_reruns_the_stages_that_read_it(
    finished: Path, rerun: dict[str, list[str]], file: str
) -> None:
    old, stages = READERS[file]
    assert (finished / file).read_text(encoding="utf-8").count(old) == 1
    assert rerun[file] == stages


SIGNS = {
    "pretrain": [("*/*/training.pt", signal.SIGKILL)],
    "train": [("*/*/training.pt", signal.SIGTERM)],
    "cams": [("*/*/store/0*.h5", signal.SIGKILL)],
    "distill": [
        ("*/*/first/training.pt", signal.SIGUSR1),
        ("*/*/relabelled/0*.h5", signal.SIGKILL),
        ("*/*/second/training.pt", signal.SIGKILL),
    ],
}
"""The work by which a stage is seen to have begun, and the signal that it gets then; once for each part of it."""


@pytest.mark.slow
@pytest.mark.parametrize("stage", SIGNS)
def test_a_killed_stage_continues_and_ends_with_the_same_bytes(finished: Path, tmp_path: Path, stage: str) -> None:
    """The stage alone, killed as soon as it has kept some work, then run again."""
    folder = tmp_path / "killed"
    copy_results(finished, folder)
    outs = hashes(finished)[stage]
    for out in outs:
        path = folder / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    command = [sys.executable, "-m", f"pipeline.{stage}"]
    env = {**alone(tmp_path / "scratch"), "WSSS_CHECKPOINT_SECONDS": "0"}
    for sign, signal_number in SIGNS[stage]:
        process = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 180  # a busy machine needs a minute to import torch and to compile
            while process.poll() is None and not list((tmp_path / "scratch").glob(sign)):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            killed_at_work = process.poll() is None
            process.send_signal(signal_number)
            code = process.wait(timeout=10)
        finally:
            process.kill()
            process.communicate()
        if killed_at_work:
            assert code == (-signal.SIGKILL if signal_number == signal.SIGKILL else 75)
            assert not any((folder / out).exists() for out in outs)
    again = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    for out in outs:
        assert tree_bytes(folder / out) == tree_bytes(finished / out), out


KILLED_AT_PUBLISH = """
import os, runpy, signal
from wsss.core import folders

publish = folders.publish

def killed(source, path):
    if {published}:
        publish(source, path)
    os.kill(os.getpid(), signal.SIGKILL)

folders.publish = killed
runpy.run_module("pipeline.{stage}", run_name="__main__", alter_sys=True)
"""
"""Runs a stage that kills itself where it publishes its store: just before, or just after."""


@pytest.mark.slow
def test_a_finished_store_outlives_a_kill_at_the_very_end(finished: Path, tmp_path: Path) -> None:
    """Killed when the store is whole, and again when it is published: no shard is made twice."""
    stage, out = "correct", "artifacts/pseudo"
    folder, scratch = tmp_path / "killed", tmp_path / "scratch"
    copy_results(finished, folder)
    env = alone(scratch)

    def inodes(store: Path) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in store.glob("0*.h5")}

    made: dict[str, int] = {}
    for published in (False, True):
        shutil.rmtree(folder / out, ignore_errors=True)
        command = [sys.executable, "-c", KILLED_AT_PUBLISH.format(stage=stage, published=published)]
        assert subprocess.run(command, cwd=folder, env=env).returncode == -signal.SIGKILL
        assert (folder / out / "index.json").exists() == published
        (store,) = (path.parent for path in scratch.glob("*/*/store/index.json"))
        made = made or inodes(store)
        assert inodes(store) == made != {}
    subprocess.run([sys.executable, "-m", f"pipeline.{stage}"], cwd=folder, env=env, check=True)
    assert inodes(folder / out) == made
    assert tree_bytes(folder / out) == tree_bytes(finished / out)


def copy_results(finished: Path, folder: Path) -> None:
    """All but the code, which the stage alone takes from where it is compiled already."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".dvc", ".scratch", "wsss", "pipeline"))


def alone(scratch: Path) -> dict[str, str]:
    """The environment of a stage that runs by itself."""
    return {**os.environ, "PYTHONPATH": str(REPO), "WSSS_WORKERS": "0", "WSSS_SCRATCH": str(scratch)}


def tree_bytes(path: Path) -> dict[str, bytes]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.is_file()}
