"""`wsss compare` of revisions: a real git and DVC repository, whose runs are toys."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.toy_runs import Toy, columns, write_run
from wsss.commands import compare as command
from wsss.report.sides import revision_title

DVC_YAML = """
stages:
  all:
    cmd: "true"
    params: [seed, dataset, correct]
    outs: [artifacts/dataset, artifacts/pseudo, artifacts/predictions, reports/sources.csv]
"""
TOYS = (Toy("a", columns(0, 1), columns(0, 1)), Toy("b", columns(0, 0), columns(0, 1)))


def shell(folder: Path, *command: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    who = {f"GIT_{role}_{part}": f"toy@{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    env = {**os.environ, **who, "PATH": path, "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit `empty` has no dvc.lock; branch `first`, tag `second` and experiment `third` are three runs."""
    folder = tmp_path_factory.mktemp("revisions") / "a project"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / ".gitignore").write_text("/data\n/artifacts\n/reports\n")
    shell(folder, "git", "init", "-q", "-b", "main")
    shell(folder, "dvc", "init", "-q")
    shell(folder, "git", "add", "-A")
    shell(folder, "git", "commit", "-q", "-m", "empty")
    shell(folder, "git", "tag", "empty")
    for name, toys, alpha in (
        ("first", TOYS, 0.5),
        ("second", (TOYS[0], replace(TOYS[1], prediction=columns(0, 1))), 0.6),
        ("third", (replace(TOYS[0], prediction=columns(2, 2)), TOYS[1]), 0.7),
    ):
        for old in ("artifacts", "reports"):
            shutil.rmtree(folder / old, ignore_errors=True)
        write_run(folder, toys, alpha=alpha)
        shell(folder, "dvc", "commit", "-q", "-f")
        if name == "third":
            shell(folder, "dvc", "exp", "save", "-f", "-n", name)
            break
        shell(folder, "git", "add", "-A")
        shell(folder, "git", "commit", "-q", "-m", name)
        shell(folder, "git", *(("tag", name) if name == "second" else ("branch", name)))
    for old in ("artifacts", "reports"):
        shutil.rmtree(folder / old)
    return folder


@pytest.fixture
def here(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    return repository


def run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command.main, [*arguments, "-o", str(tmp_path / "out"), "--json"])


def test_branch_tag_and_experiment(here: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "first", "second")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["shown"] == {"most improved": ["b"], "most worsened": []}
    assert values["settings"] == [{"key": "correct.fixed.alpha", "a": "0.5", "b": "0.6"}]
    values = json.loads(run(tmp_path, "first", "third").stdout)
    assert values["shown"] == {"most improved": [], "most worsened": ["a"]}
    assert [photo["delta"] for photo in values["photos"]] == [-1.0, 0.0]
    assert (tmp_path / "out/index.html").is_file()
    assert not (here / "artifacts").exists()


def test_a_folder_against_a_revision(here: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "mine", TOYS, alpha=0.5)
    values = json.loads(run(tmp_path, str(tmp_path / "mine"), "HEAD").stdout)
    assert values["shown"]["most improved"] == ["b"]
    html = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert re.search(r"B is commit HEAD \([0-9a-f]{7}\)\.", html)


def test_revisions_in_words() -> None:
    commit = "cc045571" + 32 * "0"
    titles = [revision_title(name, commit) for name in ("HEAD", "HEAD~1", "main", commit, "cc04")]
    assert titles == ["commit HEAD (cc04557)", "commit HEAD~1 (cc04557)", "main (cc04557)", *2 * ["commit cc04557"]]


def test_unknown_revision(here: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "first", "thrid")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: thrid: neither a folder nor a branch, tag, commit or experiment (did you mean 'third'?)\n"
        "fix: see git branch, git tag, git log, dvc exp list\n"
    )


def test_revision_that_never_ran(here: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "empty", "first")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: empty: has no dvc.lock: the pipeline had not run when it was committed\n")
    assert "git checkout empty (an experiment: dvc exp apply empty), dvc repro" in result.stderr


def test_revision_whose_files_left_the_cache(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(repository, folder)
    monkeypatch.chdir(folder)
    for file in (folder / ".dvc/cache/files/md5").rglob("*"):
        if file.is_file() and b"wsss.predictions" in file.read_bytes():
            file.unlink()
    result = run(tmp_path, "first", "second")
    assert result.exit_code == 2
    assert "error: first: artifacts/predictions of this revision is not in DVC's cache (" in result.stderr
    fix = (
        "fix: after a fresh make repro commit your own run first; against the scores of first: dvc metrics diff first;"
    )
    assert fix in result.stderr
