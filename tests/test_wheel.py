"""The wheel, away from any checkout: a project folder, and what another version of the code runs again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.test_smoke import write_params
from wsss.core.atomic import sha256_file

REPO = Path(__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "dvc.yaml", "docs/params.schema.json")
CLASSES = ("cow", "sheep")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the wheel in it, and nothing else."""
    base = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        (base / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, base / "source" / name)
    for name in ("wsss", "pipeline", "recipes"):
        shutil.copytree(REPO / name, base / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(base), "."]
    subprocess.run([sys.executable, *command], cwd=base / "source", check=True, capture_output=True)
    with zipfile.ZipFile(next(base.glob("*.whl"))) as wheel:
        wheel.extractall(base / "site")
    return base / "site"


def run(site: Path, folder: Path, *arguments: object) -> tuple[int, str]:
    """Python with these arguments, in `folder`, where `wsss` is that of `site`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(site), "DVC_NO_ANALYTICS": "1", "WSSS_WORKERS": "0"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def photos(folder: Path, count: int, side: int = 64) -> Path:
    """A data set of noise, a quarter of it for validation."""
    folder.mkdir(parents=True)
    rows = ["filename,tags,split"]
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{CLASSES[number % 2]},{'val' if number % 8 > 5 else 'train'}")
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def project(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a .gitignore of its own, whose stage `index` has run."""
    folder = tmp_path_factory.mktemp("a project")
    data = {"root": str(photos(folder / "photos", 8)), "format": "folder", "tags": "tags.csv", "masks": ""}
    (folder / ".gitignore").write_text("mine\n")
    assert run(site, folder, "-m", "wsss", "init", "--project")[0] == 0
    assert (folder / ".gitignore").read_text() == "mine\n"
    write_params(folder, **{f"dataset__{name}": value for name, value in data.items()}, dataset__classes="")
    code, said = run(site, folder, "-m", "dvc", "repro", "index")
    assert code == 0, said
    assert (folder / "artifacts/dataset/index.csv").is_file()
    return folder


def load(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def test_the_wheel_has_stages_and_recipes(site: Path, project: Path) -> None:
    for folder, inside in (("pipeline", "pipeline"), ("recipes", "project/recipes")):
        files = [file for file in (REPO / folder).iterdir() if file.suffix in (".py", ".yaml")]
        assert files
        assert all((site / "wsss" / inside / file.name).read_bytes() == file.read_bytes() for file in files)
    code, said = run(site, project, "-m", "wsss", "recipe", "list")
    assert code == 0
    assert "photos" in said


def test_a_project_differs_from_a_checkout_in_its_code_alone(project: Path) -> None:
    ours, theirs = load(project / "dvc.yaml"), load(REPO / "dvc.yaml")
    del theirs["stages"]["demo"], ours["stages"]["code"]
    assert list(ours["stages"]) == list(theirs["stages"])
    for name, stage in ours["stages"].items():
        checkout = theirs["stages"][name]
        code = [dep for dep in checkout["deps"] if dep.startswith(("wsss/", "pipeline/"))]
        data = [dep for dep in checkout["deps"] if dep not in code]
        assert stage == {**checkout, "cmd": f"python -m wsss.pipeline.{name}", "deps": [*data, f".code/{name}.txt"]}
        listed = dict(line.split("  ")[::-1] for line in (project / f".code/{name}.txt").read_text().splitlines())
        files = {file for dep in code for file in [REPO / dep, *(REPO / dep).rglob("*")] if file.is_file()}
        wanted = {file.relative_to(REPO).as_posix(): sha256_file(file) for file in files if file.suffix != ".pyc"}
        assert listed == {name.replace("pipeline/", "wsss/pipeline/"): each for name, each in wanted.items()}
    assert ours["plots"] == theirs["plots"]


def test_code_that_changed_runs_its_stages_again_and_no_other(site: Path, project: Path) -> None:
    for name, again in (("report/page.py", False), ("core/log.py", False), ("formats/folder.py", True)):
        file = site / "wsss" / name
        before = file.read_text(encoding="utf-8")
        file.write_text(f"{before}# another version\n", encoding="utf-8")
        code, said = run(site, project, "-m", "dvc", "repro", "index")
        file.write_text(before, encoding="utf-8")
        assert code == 0, said
        assert ("Running stage 'index'" in said) is again, said


def test_a_dvc_yaml_of_another_version_is_an_error(site: Path, project: Path) -> None:
    file = project / "dvc.yaml"
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace("- artifacts/masks.csv\n", "- artifacts/masks.tsv\n", 1), encoding="utf-8")
    code, said = run(site, project, "-m", "wsss.core.project")
    file.write_text(before, encoding="utf-8")
    assert code == 2
    assert said.startswith("error: dvc.yaml: stage index: is not as wsss ")
    assert "fix: move dvc.yaml away, then: wsss init --project" in said


def test_what_is_there_is_not_replaced(site: Path, project: Path, tmp_path: Path) -> None:
    before = (project / "dvc.yaml").read_bytes()
    code, said = run(site, project, "-m", "wsss", "init", "--project")
    assert (code, (project / "dvc.yaml").read_bytes()) == (2, before)
    assert "dvc.yaml: exists: this folder has a pipeline" in said
    (project / "dvc.yaml").rename(project / "kept.yaml")
    assert run(site, project, "-m", "wsss", "init", "--project")[0] == 0  # the lists of code are its own
    assert (project / "dvc.yaml").read_bytes() == before
    (project / "dvc.yaml").unlink()
    (project / ".code/mine.txt").write_text("mine")
    code, said = run(site, project, "-m", "wsss", "init", "--project")
    assert (code, (project / ".code/mine.txt").read_text()) == (2, "mine")
    (project / ".code/mine.txt").unlink()
    (project / "kept.yaml").rename(project / "dvc.yaml")
    code, said = run(site, photos(tmp_path / "mine", 4), "-m", "wsss", "init", ".", "--project")
    assert code == 2
    assert "fix: move photos and tags into a folder of their own" in said
    assert not list((tmp_path / "mine").glob("*.yaml"))


@pytest.mark.skipif("WSSS_TEST_WHEEL" not in os.environ, reason="takes minutes: make test-wheel")
def test_the_whole_pipeline_runs_from_the_wheel(site: Path, project: Path) -> None:
    code, said = run(site, project, "-m", "dvc", "repro")
    assert code == 0, said
    assert (project / "reports/gallery/index.html").stat().st_size > 5000
    assert "Running stage 'distill'" in said
    assert [line for line in run(site, project, "-m", "dvc", "repro")[1].splitlines() if "Running" in line] == [
        "Running stage 'code':"
    ]
