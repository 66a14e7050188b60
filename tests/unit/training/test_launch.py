"""A stage that trains, over processes that it starts itself."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import click
import pytest
import torch

from tests.helpers import alive, children, running, wait_until
from tests.toy_training import OPTIM, ToyTask, train_toy
from wsss.core.errors import IntegrityError, UserError
from wsss.data.index import Index, Record, write_index
from wsss.models.checkpoint import read_checkpoint
from wsss.training import launch, resume
from wsss.training.launch import gpus, training_command

PROGRAM = """
import json
from pathlib import Path
import click, torch
from wsss.core.ranks import begin_as_rank
begin_as_rank()
from tests.toy_training import OPTIM, ToyTask, train_toy
from wsss.core.environment import world
from wsss.core.errors import UserError
from wsss.core.stage import open_stage
from wsss.numeric.device import set_threads
from wsss.training.launch import training_command

@training_command
@click.option("--epochs", type=int, default=7)
@click.option("--fail-at", type=int, default=-1)
def main(params: Path, epochs: int, fail_at: int) -> str:
    with open_stage("distill", {}, [], files=[Path("out.json")]) as stage:
        set_threads(1)
        task, here = ToyTask(dropout=0.0), world()
        task.network.unused = torch.nn.Linear(2, 2)  # as the ImageNet head of a backbone is to a student
        optim = OPTIM.model_copy(update={"epochs": epochs, "lr": 0.0005})
        if here.rank == fail_at:
            def fail(*_):
                raise UserError(f"rank {here.rank}", "is bad", "take another")
            task.terms = fail
        history = train_toy(task, stage.scratch, optim)
        torch.save(task.network.state_dict(), f"{here.rank}.pt")
        Path(f"{here.rank}.json").write_text(json.dumps([here.size, str(params), history]))
    return f"toy: {epochs} epochs"

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("SLURM_", "MASTER_", "WSSS_", "DVC_")) or name.endswith(("RANK", "WORLD_SIZE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setenv("WSSS_PROCESSES", "2")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # torch's, of strides that cost a little time
    (tmp_path / "training.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.slow
def test_two_processes_that_the_stage_starts_equal_one(folder: Path) -> None:
    with running("-m", "training", "--params", "own.yaml", cwd=folder) as run:
        _, errors = run.communicate(timeout=300)
    assert (run.returncode, errors) == (0, "toy: 7 epochs\n")
    whole = ToyTask(dropout=0.0)
    whole.network.unused = torch.nn.Linear(2, 2)
    history = train_toy(whole, folder / "one", OPTIM.model_copy(update={"epochs": 7, "lr": 0.0005}))
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in "01")
    for name, tensor in whole.network.state_dict().items():
        if name.startswith("unused"):
            continue
        assert torch.equal(first[name], second[name]), name
        assert (first[name] - tensor).abs().max() <= 1e-6, name
    size, params, rows = json.loads((folder / "0.json").read_text())
    assert (size, params) == (2, "own.yaml")
    for ours, theirs in zip(rows, history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
def test_the_second_process_says_why_it_failed(folder: Path) -> None:
    with running("-m", "training", "--fail-at", "1", cwd=folder) as run:
        _, errors = run.communicate(timeout=300)
    assert (run.returncode, errors) == (2, "error: rank 1: is bad\nfix: take another\n")


OPENS_A_MASK = """
from pathlib import Path
from wsss.core.ranks import begin_as_rank
begin_as_rank()
from wsss.core.environment import world
from wsss.core.stage import open_stage
from wsss.training.launch import training_command

@training_command
def main(params: Path) -> str:
    with open_stage("train", {}, [Path("index")]):
        if world().rank == 1:
            Path("7.png").read_bytes()
    return "trained"

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_no_process_of_a_training_can_open_a_mask(folder: Path) -> None:
    (folder / "training.py").write_text(OPENS_A_MASK)
    (folder / "params.yaml").write_text("dataset: {root: .}\n")
    (folder / "7.png").touch()
    write_index(folder / "index", Index(("a", "b"), (Record("7", "train", "7.jpg", "7.png", (1,), 8, 8, "0"),)))
    with running("-m", "training", cwd=folder) as run:
        _, errors = run.communicate(timeout=300)
    assert run.returncode == IntegrityError.exit_code
    assert "error: 7.png: stage train opened a mask; training and label-making must not read masks\n" in errors


@pytest.mark.slow
def test_no_process_outlives_a_stage_that_is_killed(folder: Path) -> None:
    """They stop as by SIGTERM, with a checkpoint."""
    scratch = folder / ".scratch" / "distill"
    with running("-m", "training", "--epochs", "100000", cwd=folder, WSSS_CHECKPOINT_SECONDS="0") as run:
        wait_until(lambda: list(scratch.glob("*/training.pt")) or run.poll() is not None, 120)
        below = children(run.pid)
        run.kill()
        wait_until(lambda: not any(alive(pid) for pid in below), 30)
        _, errors = run.communicate(timeout=30)
    assert len(below) >= 2
    assert run.returncode == -signal.SIGKILL, errors
    assert errors == "stopped (SIGTERM): finished work is kept; the same command goes on from there\n"
    (checkpoint,) = scratch.glob("*/training.pt")
    assert read_checkpoint(checkpoint, resume.FORMAT, resume.VERSION)["step"] > 0
    assert not list(scratch.glob("*.lock"))


def test_a_training_alone_stays_in_its_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_PROCESSES", "gpus")  # and there is none
    seen: list[int] = []

    @training_command
    def main(params: Path) -> str:
        """Train."""
        seen.append(os.getpid())
        return ""

    main(["--params", "x.yaml"], standalone_mode=False)
    assert seen == [os.getpid()]
    assert main.help == "Train."


def test_processes_get_the_options_of_the_stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], int]] = []
    monkeypatch.setattr(launch, "run_ranks", lambda command, count: started.append((command, count)))

    @training_command
    @click.option("--out", type=click.Path(path_type=Path), default="a b.pt")
    @click.option("--other", type=click.Path(path_type=Path))
    def main(params: Path, out: Path, other: Path | None) -> str:
        raise AssertionError

    main(["--params", "x.yaml", "--debug"], standalone_mode=False)
    ((command, count),) = started
    assert (command[:2], count) == (["-m", __name__], 2)
    assert sorted(command[2:]) == sorted(["--debug", "--out", "a b.pt", "--params", "x.yaml"])


@pytest.mark.parametrize(("name", "count"), [("cuda", 4), ("cuda:0", 1), ("cpu", 0), ("auto", 4)])
def test_gpus_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> None:
    monkeypatch.setenv("WSSS_DEVICE", name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert gpus() == count


def test_wrong_device_is_told_before_any_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "gpu")
    with pytest.raises(UserError, match="WSSS_DEVICE"):
        gpus()
