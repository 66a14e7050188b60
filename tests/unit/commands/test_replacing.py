"""`wsss init` over settings that are there: what is kept elsewhere is replaced, what a person wrote is not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import RawData
from wsss.commands.init import main
from wsss.commands.replacing import SEAL, kept_elsewhere, sealed
from wsss.core.recipes import read_recipe, recipe_names

PARAMS = Path("params.yaml")


@pytest.fixture(autouse=True)
def photos(raw_data: RawData) -> None:
    """A photo whose tag nobody wrote: settings are written all the same, and nothing is planned, which takes time."""
    raw_data.photo("a.jpg")
    raw_data.write("tags.csv", "filename,tags\na.jpg,\n")


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["raw", *arguments])


def git(*arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def refused() -> bool:
    before = PARAMS.read_bytes()
    said = init().stderr
    told = said.startswith("error: params.yaml: exists") and said.endswith(
        "add --force: the old file is kept as params.yaml.bak\n"
    )
    return told and PARAMS.read_bytes() == before


@pytest.mark.parametrize("name", ["demo", "photos"])
def test_a_recipe_is_replaced_and_the_command_that_brings_it_back_is_named(name: str) -> None:
    assert name in recipe_names()
    PARAMS.write_text(read_recipe(name), encoding="utf-8")
    said = init().stderr
    old = f"(in place of recipes/{name}.yaml; to have it back: wsss recipe use {name})"
    assert f"params.yaml {old} is written as far as the data set could be read" in said
    assert not Path("params.yaml.bak").exists()
    other = Path("my settings.yaml")
    other.write_text(read_recipe(name), encoding="utf-8")
    assert f"recipe use {name} --params 'my settings.yaml')" in init("--params", str(other)).stderr
    PARAMS.write_text(read_recipe(name) + "# mine\n", encoding="utf-8")
    assert refused()


def test_what_the_last_commit_has_is_replaced() -> None:
    git("init", "--quiet")
    PARAMS.write_text("seed: 1\n")
    assert refused()
    git("add", "params.yaml")
    assert refused()  # not yet in a commit
    git("commit", "--quiet", "--message", "mine")
    PARAMS.write_text("seed: 2\n")
    git("add", "params.yaml")
    assert refused()
    PARAMS.write_text("seed: 1\n")
    old = "(in place of the committed one; to have it back: git checkout HEAD -- params.yaml)"
    assert f"params.yaml {old} is written" in init().stderr
    git("checkout", "HEAD", "--", "params.yaml")
    assert PARAMS.read_text() == "seed: 1\n"
    Path("sub dir").mkdir()
    inner = Path("sub dir/params.yaml")
    inner.write_text("seed: 1\n")
    assert kept_elsewhere(inner) is None
    git("add", "--all")
    git("commit", "--quiet", "--message", "another")
    assert kept_elsewhere(inner) == (
        "the committed one; to have it back: git -C 'sub dir' checkout HEAD -- params.yaml"
    )


def test_what_init_wrote_is_replaced_until_somebody_edits_it(raw_data: RawData) -> None:
    assert "in place of" not in init().stderr
    assert "in place of" not in init().stderr  # the same again
    raw_data.write("classes.txt", "cow\n")
    again = init().stderr
    assert "params.yaml (in place of what wsss init wrote last, unedited) is written" in again
    whole = PARAMS.read_text(encoding="utf-8")
    for old, new in (("val_fraction: 0.2", "val_fraction: 0.3"), ("\n\n", "\n# mine\n\n"), (f"{SEAL}", f"{SEAL}0")):
        assert old in whole
        PARAMS.write_text(whole.replace(old, new, 1), encoding="utf-8")
        assert refused()
    PARAMS.write_text(whole + "".join(line for line in whole.splitlines(True) if line.startswith(SEAL)))
    assert refused()


def test_force_keeps_a_backup_whatever_is_replaced(raw_data: RawData) -> None:
    raw_data.write("tags.csv", "filename,tags,split\na.jpg,cow,train\n")
    PARAMS.write_text(read_recipe("demo"), encoding="utf-8")
    Path("params.yaml.bak").write_text("older\n")
    found = json.loads(init("--force", "--json").stdout)
    assert (found["backup"], found["replaced"]) == ("params.yaml.bak1", "the old one is params.yaml.bak1")
    assert Path("params.yaml.bak").read_text() == "older\n"
    assert Path("params.yaml.bak1").read_text(encoding="utf-8") == read_recipe("demo")
    found = json.loads(init("--recipe", "quick", "--json").stdout)
    assert (found["backup"], found["replaced"]) == (None, "in place of what wsss init wrote last, unedited")


def test_the_seal_stands_below_the_comments_at_the_top() -> None:
    assert sealed("# a\n# b\n\nseed: 1\n# c\n").splitlines()[2].startswith(SEAL)
    assert sealed("# a\n").splitlines()[1].startswith(SEAL)


def test_without_git_nothing_is_taken_for_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    PARAMS.write_text("seed: 1\n")
    monkeypatch.setenv("PATH", "")
    assert kept_elsewhere(PARAMS) is None
    assert kept_elsewhere(Path("raw")) is None
