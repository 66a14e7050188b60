"""Faults 41 and 42: bits that flip, shards that are cut, and artifacts edited in place behind DVC's back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.helpers import write_toy_store
from wsss.commands.verify import main
from wsss.core.stage import Stage
from wsss.models.canonical import canonical_bytes
from wsss.stores.verify import verify_folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of seven shards and a network's file."""
    root = tmp_path_factory.mktemp("made")
    (root / "scratch").mkdir()
    os.environ["WSSS_WORKERS"], before = "0", os.environ.get("WSSS_WORKERS")
    write_toy_store(Stage("correct", "f" * 16, root / "scratch"), root / "artifacts/pseudo", root / "log")
    os.environ.pop("WSSS_WORKERS") if before is None else os.environ.update(WSSS_WORKERS=before)
    (root / "artifacts/oste.pt").write_bytes(canonical_bytes({"state": {"w": torch.arange(99.0)}}))
    return root / "artifacts"


@pytest.fixture
def artifacts(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "artifacts"))


def test_fault_41_no_flipped_bit_of_a_store_is_accepted(artifacts: Path) -> None:
    assert verify_folder(artifacts) == (2, [])
    generator = np.random.default_rng(0)
    for path in sorted((artifacts / "pseudo").iterdir()):
        whole = path.read_bytes()
        for bit in generator.choice(8 * len(whole), 30, replace=False).tolist():
            data = bytearray(whole)
            data[bit // 8] ^= 1 << (bit % 8)
            path.write_bytes(data)
            _, errors = verify_folder(artifacts)
            assert [error.where for error in errors] == [str(path)], bit
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["pseudo/00000.h5", "pseudo/index.json", "oste.pt"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_fault_41_cut_files(artifacts: Path, name: str, share: float) -> None:
    path = artifacts / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    result = CliRunner().invoke(main, [str(artifacts.parent)])
    assert result.exit_code == 4
    assert result.stdout.startswith(f"error: {path}: ")
    owner = path if name == "oste.pt" else artifacts / "pseudo"
    assert f"\nfix: delete {owner}, and make it again: dvc repro\n" in result.stdout


def test_fault_41_flipped_bits_of_a_network(artifacts: Path) -> None:
    path = artifacts / "oste.pt"
    whole = path.read_bytes()
    start = whole.index(np.arange(99.0, dtype=np.float32).tobytes())
    for bit in (8 * start, 8 * start + 1000):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(data)
        _, errors = verify_folder(artifacts)
        assert [error.what for error in errors] == ["checksum of archive/data/0 differs (damaged or edited)"]


def test_fault_41_shard_that_is_missing_or_of_another_store(artifacts: Path) -> None:
    (artifacts / "pseudo/00003.h5").rename(artifacts / "pseudo/00009.h5")
    _, errors = verify_folder(artifacts)
    photos = "3 photos: set/b 9%, set/ä 0%, set/ä 1%"
    missing = f"is missing, but index.json lists it ({photos})"
    assert [error.what for error in errors] == [missing, "is not in index.json"]
    shutil.copy(artifacts / "pseudo/00001.h5", artifacts / "pseudo/00003.h5")
    _, errors = verify_folder(artifacts)
    assert errors[0].what == f"differs from its checksum in index.json (damaged, cut or edited; {photos})"


def dvc(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_fault_42_edit_in_place_that_dvc_does_not_see(tmp_path: Path, link: str) -> None:
    (tmp_path / "stage.py").write_text(
        "from pathlib import Path\nPath('out').mkdir()\nPath('out/a.txt').write_text('1')\n"
    )
    command = f'"{sys.executable}" stage.py'
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  s:\n    cmd: {command!r}\n    outs: [out]\n")
    dvc(tmp_path, "init", "--no-scm", "-q")
    dvc(tmp_path, "config", "cache.type", link)
    dvc(tmp_path, "repro", "-q")
    assert CliRunner().invoke(main, [str(tmp_path)]).exit_code == 0
    path = tmp_path / "out/a.txt"
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+") as file:
        file.write("2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a repair tool, rsync or a failing disk leaves it
    assert "up to date" in dvc(tmp_path, "status")
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 4
    assert f"error: {path}: differs from dvc.lock (edited in place, or damaged)\n" in result.stdout
    assert "fix: make it again: dvc repro -f -s s\n" in result.stdout
    assert f"cached copy of {path} differs from its name" in result.stdout
