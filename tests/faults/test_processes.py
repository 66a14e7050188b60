"""Rows 35, 36, 37, 38, 40: killed, stopped, orphaned, started twice, and in front of a closed door."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers import REPO, alive, children, computed, running, toy_label, tree, two_processes, wait_until
from tests.toy_stage import main as toy_stage
from wsss.models.checkpoint import read_checkpoint
from wsss.stores.labels import PseudoStore
from wsss.training import resume

SCRIPT = str(REPO / "tests" / "toy_stage.py")
SLOW, FAST = "0.1", "0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = tmp_path / "run 100 %"
    made.mkdir()
    monkeypatch.chdir(made)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv("WSSS_SCRATCH", str(made / "scratch"))
    monkeypatch.setenv("WSSS_WORKERS", "0")
    return made


def in_process(*arguments: str) -> Result:
    return CliRunner().invoke(toy_stage, arguments)


def run_again(folder: Path, **environment: str) -> tuple[int, str]:
    """A process of its own: the code that a process has loaded is part of what it may continue from."""
    with running(SCRIPT, "out", "log", FAST, cwd=folder, **environment) as run:
        _, errors = run.communicate(timeout=60)
    return run.returncode, errors


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run_again(folder, WSSS_WORKERS="0") == (0, "toy: done → out\n")
    return tree(folder / "out")


def finished(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("scratch/correct/*/store/[0-9]*.h5"))


def in_mid_shard(log: Path) -> bool:
    begun = {path.name.removeprefix("begun-") for path in log.glob("begun-*")}
    done = set(computed(log)) if log.exists() else set()
    return bool(done) and bool(begun - done)


def test_35_sigkill_in_mid_shard_loses_that_shard_alone(folder: Path, undisturbed: dict[str, bytes]) -> None:
    with running(SCRIPT, "out", "log", SLOW, cwd=folder, WSSS_WORKERS="2") as run:
        wait_until(lambda: in_mid_shard(folder / "log") or run.poll() is not None, 60)
        below = children(run.pid)
        run.kill()
        # A worker that is still importing goes as soon as it begins.
        wait_until(lambda: not any(alive(pid) for pid in below), 30)
    assert len(below) >= 2
    kept = finished(folder)
    assert 1 <= len(kept) < 7
    assert run_again(folder) == (0, "toy: done → out\n")
    assert tree(folder / "out") == undisturbed
    assert max(Counter(computed(folder / "log")).values()) == 1  # none of them twice
    assert not list(folder.glob("scratch/correct/*"))


TRAINING = """
import sys
from wsss.core.stage import open_stage, stage_command
if __name__ == "__main__":
    from tests.toy_training import OPTIM, ToyTask, train_toy
    @stage_command
    def main(params):
        with open_stage("distill", {}, []) as stage:
            train_toy(ToyTask(), stage.scratch, OPTIM.model_copy(update={"epochs": 100000}))
    main()
"""


@pytest.mark.slow
def test_36_sigterm_ends_training_in_75_with_a_checkpoint(folder: Path) -> None:
    """Also when it reaches the whole process group, loader and all, as from `timeout`; and Ctrl-C beside it."""
    (folder / "training.py").write_text(TRAINING)
    scratch = folder / "scratch" / "distill"
    with running("training.py", cwd=folder, WSSS_WORKERS="1", WSSS_CHECKPOINT_SECONDS="0") as run:
        wait_until(lambda: list(scratch.glob("*/training.pt")) or run.poll() is not None, 60)
        below = children(run.pid)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.killpg(run.pid, number)
        begun = time.monotonic()
        _, errors = run.communicate(timeout=30)
    assert run.returncode == 75, errors
    assert time.monotonic() - begun < 10
    assert "stopped (SIG" in errors
    assert errors.endswith("): finished work is kept; the same command goes on from there\n")
    assert "error" not in errors
    assert "Traceback" not in errors
    assert len(below) >= 2  # the process that loads, and the resource tracker of multiprocessing
    (checkpoint,) = scratch.glob("*/training.pt")
    assert read_checkpoint(checkpoint, resume.FORMAT, resume.VERSION)["step"] > 0
    assert not list(scratch.glob("*.lock"))


OF_TWO = """
import click
from tests.toy_training import OPTIM, ToyTask, train_toy
from wsss.core.stage import open_stage, stage_command
@stage_command
@click.argument("rank")
def main(params, rank):
    with open_stage("distill", {}, []) as stage:
        train_toy(ToyTask(), stage.scratch, OPTIM.model_copy(update={"epochs": 100000}))
main()
"""


@pytest.mark.slow
def test_35_death_of_one_of_two_processes_ends_the_other_too(folder: Path) -> None:
    scratch = folder / "scratch" / "distill"
    with two_processes(OF_TWO, folder, WSSS_CHECKPOINT_SECONDS="0") as (first, second):
        both = (first, second)
        wait_until(lambda: list(scratch.glob("*/training.pt")) or any(run.poll() is not None for run in both), 120)
        second.kill()
        _, errors = first.communicate(timeout=60)
    assert first.returncode == 2, errors
    assert errors.endswith(
        "error: process 1 of 2: another process of this training ended\n"
        "fix: look at its message above, mend what it says, and run the same command again to continue\n"
    )
    assert "Traceback" not in errors
    (checkpoint,) = scratch.glob("*/training.pt")
    assert read_checkpoint(checkpoint, resume.FORMAT, resume.VERSION)["step"] > 0
    assert not list(scratch.glob("*.lock"))


def test_36_sigusr1_ends_a_store_stage_between_two_photos(folder: Path, undisturbed: dict[str, bytes]) -> None:
    with running(SCRIPT, "out", "log", SLOW, cwd=folder) as run:
        wait_until(lambda: in_mid_shard(folder / "log") or run.poll() is not None, 60)
        run.send_signal(signal.SIGUSR1)
        begun = time.monotonic()
        _, errors = run.communicate(timeout=30)
    assert run.returncode == 75, errors
    assert time.monotonic() - begun < 2
    assert "stopped (SIGUSR1): finished work is kept" in errors
    assert computed(folder / "log") == finished(folder)
    assert not list(folder.glob("scratch/correct/*/store/.*"))
    assert run_again(folder) == (0, "toy: done → out\n")
    assert tree(folder / "out") == undisturbed
    assert len(computed(folder / "log")) == 7


DVC_YAML = """
stages:
  correct:
    cmd: python toy_stage.py out log 0.1
    deps: [toy_stage.py]
    outs: [out]
"""


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
def test_37_killed_dvc_leaves_no_orphan(folder: Path, shell: str) -> None:
    if not Path(shell).exists():
        pytest.skip(f"no {shell}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "SHELL": shell, "DVC_NO_ANALYTICS": "1", "WSSS_WORKERS": "1"}
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "toy_stage.py").write_text(Path(SCRIPT).read_text())
    with running("-m", "dvc", "init", "--no-scm", "-q", cwd=folder, **environment) as run:
        assert run.wait(60) == 0
    with running("-m", "dvc", "repro", "-q", cwd=folder, **environment) as run:
        wait_until(lambda: in_mid_shard(folder / "log") or run.poll() is not None, 90)
        below = children(run.pid)
        run.kill()
        wait_until(lambda: not any(alive(pid) for pid in below), 10)
    assert len(below) >= 2  # the stage and its worker
    kept = finished(folder)
    assert kept
    assert not list(folder.glob("scratch/correct/*.lock"))  # it went by itself, with 75
    if shell == "/bin/bash":
        with running("-m", "dvc", "repro", "-q", cwd=folder, **environment) as run:
            _, errors = run.communicate(timeout=90)
            assert run.returncode == 0, errors
        assert len(computed(folder / "log")) == 7
        assert PseudoStore(folder / "out").label("set/b 3%").tobytes() == toy_label("set/b 3%").tobytes()


def test_38_second_run_names_pid_and_command_of_the_first(folder: Path) -> None:
    with running(SCRIPT, "out", "log", "9", cwd=folder) as first:
        locks = folder / "scratch" / "outputs"
        wait_until(lambda: list(locks.glob("*")) or first.poll() is not None, 60)
        (lock,) = locks.glob("*")
        assert run_again(folder) == (
            2,
            f"error: {lock}: out is being written by another process (PID {first.pid}: {SCRIPT} out log 9)\n"
            "fix: wait for it, or stop it first\n",
        )
        assert first.poll() is None
    assert not (folder / "out").exists()


def test_40_output_that_is_a_file_is_found_before_any_work(folder: Path) -> None:
    (folder / "out").write_text("mine")
    refused = in_process("out", "log", FAST)
    assert (refused.exit_code, refused.stderr) == (
        2,
        "error: out: is a file, not a folder\nfix: choose another output, or move it away\n",
    )
    assert (folder / "out").read_text() == "mine"
    assert not (folder / "log").exists()
    (folder / "out").unlink()
    assert in_process("out", "log", FAST).exit_code == 0
    assert len(tree(folder / "out")) == 8
    assert len(computed(folder / "log")) == 7


def test_40_folder_above_the_output_is_a_file(folder: Path) -> None:
    (folder / "artifacts").write_text("mine")
    refused = in_process("artifacts/out", "log", FAST)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: artifacts/out: cannot be written: ")
    assert len(finished(folder)) == 7


def test_40_scratch_that_is_a_file(folder: Path) -> None:
    (folder / "scratch").write_text("mine")
    refused = in_process("out", "log", FAST)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {folder / 'scratch'}")
    assert "cannot be written: " in refused.stderr


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_40_output_folder_that_is_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Simulated, for root may write everywhere."""

    def closed(method: Callable[..., object]) -> Callable[..., object]:
        def guarded(self: Path, *arguments: object, **more: object) -> object:
            for path in (self, *arguments):
                if isinstance(path, Path) and path.parent.name == "closed":
                    raise OSError(number, os.strerror(number), str(path))
            return method(self, *arguments, **more)

        return guarded

    (folder / "closed").mkdir()
    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "mkdir", "write_bytes"):
            patched.setattr(Path, name, closed(getattr(Path, name)))
        refused = in_process("closed/out", "log", FAST)
    assert (refused.exit_code, refused.stderr) == (
        3,
        "error: closed/out: cannot be written: permission denied or read-only\n"
        "fix: make closed writable, or choose another output\n",
    )
    assert len(finished(folder)) == 7
    assert in_process("closed/out", "log", FAST).exit_code == 0
    assert len(tree(folder / "closed/out")) == 8
    assert len(computed(folder / "log")) == 7


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_40_folder_that_is_really_read_only(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    refused = in_process("closed/out", "log", FAST)
    assert refused.exit_code == 3
    assert "permission denied or read-only" in refused.stderr
