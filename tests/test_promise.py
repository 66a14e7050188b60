"""Weak supervision is a promise: training and labels are the same to the byte where masks are gone, or lie.

First a small configuration, stage by stage; then recipes at toy size, whole, with what they switch on.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.helpers import REPO
from tests.test_golden import TINY, merge
from tests.torture.finished import STAGES, Run, before, digests, finish, start
from wsss.cams.stuff import choose
from wsss.commands.sections import Sections
from wsss.core.params import flat, load
from wsss.data.images import save_mask_png
from wsss.data.index import read_index

pytestmark = pytest.mark.slow
UNSUPERVISED = STAGES[STAGES.index("pretrain") : STAGES.index("evaluate")]
MASKS = Path("data/demo/masks")
RECIPES = ("photos", "quick")
"""What `wsss init` gives people. Of `msrc` its first student is another, which they get here, and `probe: false`, which
the small run has."""
SMALL: dict[str, Any] = {
    "demo": {"train": 40, "val": 4, "size": 64},
    "dataset": {"root": "data/demo", "format": "folder", "masks": "masks", "classes": "classes.txt", "long_side": 0},
    "inference": {"shard_size": 14},
    "correct": {"gmm": {"min_scores": 4, "min_separation": 0.5}},
    "distill": {"optim": {"epochs": 2}},
}
WATCHED = """
import importlib, os, sys
import numba, scipy, sklearn.linear_model, sklearn.metrics, torch  # once for all
folder, *stages = sys.argv[1:]
for stage in stages:
    importlib.import_module(f"pipeline.{stage}")

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        opened = os.path.abspath(os.fsdecode(arguments[0]))
        if opened.startswith(os.path.abspath("data/demo/masks")) or opened.endswith("masks.csv"):
            print(f"a mask was opened: {opened}", file=sys.stderr)
            os._exit(3)

os.chdir(folder)
for stage in stages:
    if not os.fork():
        if stage not in ("demo", "index"):
            sys.addaudithook(watch)
        importlib.import_module(f"pipeline.{stage}").main([], standalone_mode=False)
        sys.stderr.flush()
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{stage} failed")
"""
"""Runs stages in `folder`, each in a process of its own, which ends where one that learns or labels opens a mask."""
SWITCHES: dict[str, set[Any]] = {
    "pretrain.probe": {True},
    "pretrain.tune": {False},
    "train.enabled": {True},
    "cams.walk": {2},
    "cams.stuff": {True},
    "cams.floor": {1.5},
    "correct.method": {"gmm"},
    "distill.rounds": {2},
    "distill.head": {"linear"},
    "distill.tags.enabled": {True},
    "distill.relabel.overrule": {True},
    "distill.relabel.agree": {True},
}
"""What recipes switch on, and the values that count."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("promise") / "run")


def test_stages_up_to_the_student_never_open_a_mask(run: Run, tmp_path: Path) -> None:
    work = run.copied(tmp_path / "without")
    assert len(list((work / MASKS).iterdir())) > 0
    shutil.rmtree(work / MASKS)
    same_bytes(run, Run(work, run.seconds), tmp_path)


def test_masks_of_training_photos_that_lie_change_nothing(run: Run, tmp_path: Path) -> None:
    """The demo draws none for training photos; here each of them is class 1 all over."""
    work = run.copied(tmp_path / "lying")
    for row in rows(work, "train"):
        assert not row["mask"]
        shape = int(row["own_height"]), int(row["own_width"])
        save_mask_png(work / MASKS / f"{Path(row['id']).name}.png", np.ones(shape, np.uint8))
    shutil.rmtree(work / "artifacts/dataset")
    (work / "artifacts/masks.csv").unlink()
    ended(work, "index")
    assert all(row["mask"] for row in rows(work, "train"))
    same_bytes(run, Run(work, run.seconds), tmp_path)


@pytest.fixture(scope="module", params=RECIPES)
def honest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe at toy size, from its photos to its student."""
    folder = tmp_path_factory.mktemp(request.param)
    yaml = YAML()
    params = yaml.load((REPO / f"recipes/{request.param}.yaml").read_text(encoding="utf-8"))
    merge(params, TINY)
    merge(params, SMALL)
    if params["distill"].get("head") != "linear":  # else it has no stages
        # The first student of `msrc`; one like the second is in the small run.
        merge(params, {"distill": {"stage1": {"epochs": 1}, "first": {"head": "linear"}}})
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    ended_all(folder, "demo", "index", *UNSUPERVISED)
    return folder


def test_a_recipe_opens_no_mask_and_heeds_none(honest: Path, tmp_path: Path) -> None:
    """Every photo has a mask that lies, and a stage that learns or makes labels may not open one."""
    work = tmp_path / "lying"
    (work / "data").mkdir(parents=True)
    shutil.copy(honest / "params.yaml", work)
    shutil.copytree(honest / "data/demo", work / "data/demo")
    for row in rows(honest, "train") + rows(honest, "val"):
        shape = int(row["own_height"]), int(row["own_width"])
        save_mask_png(work / MASKS / f"{Path(row['id']).name}.png", np.ones(shape, np.uint8))
    ended_all(work, "index", *UNSUPERVISED)
    assert all(row["mask"] for row in rows(work, "train") + rows(work, "val"))
    if load(work / "params.yaml", Sections).cams.stuff:  # else the search ends before it begins
        index = read_index(work / "artifacts/dataset")
        assert choose(index.split("train"), index.foreground), "too few photos to look for classes that fill them"
    for stage in UNSUPERVISED:
        assert digests(work, stage) == digests(honest, stage)


def test_these_runs_switch_on_what_a_recipe_can() -> None:
    """A recipe that changes takes its part of the promise with it."""
    found = [flat(load(REPO / f"recipes/{recipe}.yaml", Sections)) for recipe in RECIPES]
    seen = {key: {settings[key] for settings in found} for key in SWITCHES}
    assert {key: wanted for key, wanted in SWITCHES.items() if not wanted & seen[key]} == {}


def same_bytes(run: Run, other: Run, folder: Path) -> None:
    """Each stage that learns or makes labels gives in `other` what it gave in `run`."""
    for stage in UNSUPERVISED:
        work = before(other, folder / stage, stage)
        ended(work, stage)
        assert digests(work, stage) == digests(run.folder, stage)


def ended(work: Path, stage: str) -> None:
    with start(work, stage) as process:
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def ended_all(work: Path, *stages: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "WSSS_WORKERS": "0"}
    command = [sys.executable, "-c", WATCHED, str(work), *stages]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def rows(work: Path, split: str) -> list[dict[str, str]]:
    """Those of the index."""
    with (work / "artifacts/dataset/index.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]
