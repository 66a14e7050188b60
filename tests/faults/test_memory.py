"""Row 46: out of memory ends in the name of the setting to lower, not in a traceback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from tests.toy_evaluation import Project, run_stage
from tests.toy_oste import train_toy_oste, without_crf
from tests.toy_training import ToyTask, train_toy
from wsss.cams.stage import CamsSettings, dump_cams
from wsss.core.errors import EnvError
from wsss.core.stage import Stage
from wsss.data.inference import InferenceSettings
from wsss.models.checkpoint import read_checkpoint
from wsss.training import loop, resume


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))


def allocate_400_terabytes() -> NoReturn:
    """What torch itself says on a CPU."""
    torch.empty(10**14)
    raise AssertionError("this machine has them")


def raising(error: BaseException) -> Any:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


FAILURES = {
    "cpu": lambda *_: allocate_400_terabytes(),
    "gpu": raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    "numpy": raising(MemoryError("Unable to allocate 3.00 GiB for an array")),
}


@pytest.mark.parametrize("where", FAILURES)
def test_46_step_that_does_not_fit_names_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In the third step; the checkpoint of the second is kept."""
    real, done = loop.update, []

    def update(*arguments: Any) -> Any:
        if len(done) == 2:
            return FAILURES[where]()
        done.append(real(*arguments))
        return done[-1]

    monkeypatch.setattr(loop, "update", update)
    with pytest.raises(EnvError) as caught:
        train_toy(ToyTask(), tmp_path)
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "error: distill: out of memory in a step of 4 crops of 32×32 pixels\n"
        "fix: lower distill.optim.batch or distill.augment.crop"
    )
    assert read_checkpoint(tmp_path / resume.FILE, resume.FORMAT, resume.VERSION)["step"] == 2


def test_46_thread_that_makes_labels_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.training.enhance.fixed_pseudo_label", FAILURES["numpy"])
    with pytest.raises(EnvError) as caught:
        train_toy_oste(tmp_path, without_crf())
    assert str(caught.value) == (
        "error: train: out of memory in a step of 4 crops of 64×64 pixels\n"
        "fix: lower train.optim.batch or train.augment.crop"
    )


def test_46_photos_that_do_not_fit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project()
    monkeypatch.setattr("wsss.evaluation.predictions.predict_oste", FAILURES["cpu"])
    result = run_stage()
    first, *_ = (record for record in project.index.records if record.split == "val")
    assert result.exit_code == 3
    assert f"error: evaluate: out of memory on {first.width}×{first.height} pixels ({first.id}" in result.stderr
    assert re.search(
        r"\nfix: lower (inference\.batch|the largest of evaluate\.scales, or dataset\.long_side)\n",
        result.stderr,
    )
    monkeypatch.setattr("wsss.cams.stage.compute_cams", FAILURES["gpu"])
    settings, stage = CamsSettings(scales=(1.0,), flip=False), Stage("cams", "f" * 16, tmp_path)
    with pytest.raises(EnvError) as caught:
        dump_cams(stage, project.index, project.photos, Path("oste.pt"), settings, InferenceSettings(batch=1))
    assert str(caught.value).startswith("error: cams: out of memory on ")
    assert str(caught.value).endswith("\nfix: lower the largest of cams.scales, or dataset.long_side")


def test_46_other_errors_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "update", raising(RuntimeError("The size of tensor a (3) must match")))
    with pytest.raises(RuntimeError, match="must match"):
        train_toy(ToyTask(), tmp_path)
