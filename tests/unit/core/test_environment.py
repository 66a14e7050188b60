"""The environment says where work runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import by_srun, by_torchrun
from wsss.core import environment
from wsss.core.environment import World
from wsss.core.errors import UserError


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    assert 1 <= environment.workers() <= 8
    assert environment.asked_workers() is None
    monkeypatch.setenv("WSSS_WORKERS", "0")
    assert environment.workers() == environment.asked_workers() == 0


@pytest.mark.parametrize(("processes", "count"), [(None, 8), ("1", 8), ("4", 4), ("32", 1)])
def test_processes_of_a_training_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, processes: str | None, count: int
) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(environment, "cores", lambda: 16)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert environment.workers() == count


@pytest.mark.parametrize("text", ["-1", "two", "1.5", "", "²"])
def test_wrong_number_of_workers_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", text)
    with pytest.raises(UserError) as caught:
        environment.workers()
    assert str(caught.value) == (
        f"error: WSSS_WORKERS: found {text!r}, expected a whole number ≥ 0\n"
        "fix: unset WSSS_WORKERS or set it to a number"
    )


def test_scratch_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WSSS_SCRATCH", raising=False)
    assert environment.scratch_root() == Path(".scratch")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path))
    assert environment.scratch_root() == tmp_path


def test_checkpoint_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    assert environment.checkpoint_seconds() == 0.0


# Which process of a training this is

BATCH = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
"""The batch script of `sbatch --ntasks=2`."""
IN_SHELL = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "4294967290"}
"""The shell of `salloc`, or of `srun --pty`."""
PER_NODE = {"SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_STEP_ID": "0"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Sets what a launcher tells, and nothing else that one might have told."""

    def tell(variables: dict[str, str]) -> None:
        for name in os.environ:
            if name.startswith(("SLURM_", "MASTER_")) or name.endswith(("RANK", "WORLD_SIZE")):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return tell


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, World()),
        (by_torchrun("1"), World(1, 2, 1, "env://")),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, World(5, 8, 1, "env://")),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, World()),
        (BATCH, World()),
        (BATCH | IN_SHELL, World()),
        (by_srun("1"), World(1, 2, 1, "tcp://localhost:15112")),
        (BATCH | by_srun("1") | {"SLURM_STEP_NODELIST": "n2", "SLURM_STEP_ID": "3"}, World(1, 2, 1, "tcp://n2:15115")),
        (
            by_srun("0") | {"SLURM_STEP_NODELIST": "", "SLURM_JOB_NODELIST": "a[08-9]"},
            World(0, 2, 0, "tcp://a08:15112"),
        ),
        (by_srun("0") | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "999"}, World(0, 2, 0, "tcp://10.0.0.1:999")),
        # What scripts for other programs export, and srun hands on.
        (by_srun("1") | {"WORLD_SIZE": "2"}, World(1, 2, 1, "tcp://localhost:15112")),
        # What SLURM says in the batch script of `sbatch --ntasks=2`, and of `--ntasks-per-node=2`: one process
        ({"SLURM_NTASKS": "2"}, World()),
        (BATCH | {"SLURM_LOCALID": "0", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "4294967291"}, World()),
        (BATCH | {"SLURM_STEP_ID": "batch"}, World()),
        # `srun --ntasks-per-node=2`, where a container or an old SLURM hides the number of the step's tasks
        (BATCH | PER_NODE, World(1, 2, 1, "tcp://n1:15112")),
        (BATCH | PER_NODE | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, World(0, 2, 0, "tcp://n1:15112")),
        (BATCH | PER_NODE | {"SLURM_STEP_NUM_TASKS": "1"}, World()),
        # `srun --ntasks-per-node=1 torchrun …`, on two nodes
        (by_srun("1") | {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, World(2, 4, 0, "env://")),
    ],
)
def test_world(told: Callable[[dict[str, str]], None], variables: dict[str, str], expected: World) -> None:
    told(variables)
    assert environment.world() == expected
    assert environment.leads() == (expected.rank == 0)


@pytest.mark.parametrize("started", [by_torchrun, by_srun])
def test_one_of_two_processes_leads(
    told: Callable[[dict[str, str]], None], started: Callable[[str], dict[str, str]]
) -> None:
    leading = []
    for rank in "01":
        told(BATCH | started(rank))
        leading.append(environment.leads())
    assert leading == [True, False]


@pytest.mark.parametrize(
    ("variables", "where", "fix"),
    [
        ({"WORLD_SIZE": "4"}, "WORLD_SIZE: found 4, and no RANK", "start the stage with torchrun or srun, or unset"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK: found 2 of 2 processes", "start the stage with torchrun or srun"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK: found 'one', expected a whole number", "unset RANK"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID: found ''", "unset SLURM_PROCID"),
        (
            {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "1"},
            "SLURM_PROCID: found 1, and no SLURM_STEP_NUM_TASKS that says how many processes there are",
            "start the stage with `srun --ntasks=N` and all of its variables, or with torchrun",
        ),
    ],
)
def test_world_that_contradicts_itself(
    told: Callable[[dict[str, str]], None], variables: dict[str, str], where: str, fix: str
) -> None:
    told(variables)
    with pytest.raises(UserError) as caught:
        environment.leads()
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"error: {where}")
    assert second.startswith(f"fix: {fix}")


def test_srun_that_is_there_and_started_nothing_matters_nothing(
    told: Callable[[dict[str, str]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "srun").chmod(0o755)
    told({})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert environment.world() == World()


def test_ports_differ_between_steps_and_neighbouring_jobs(told: Callable[[dict[str, str]], None]) -> None:
    ports = []
    for job in (4_194_303, 4_194_304):
        for step in range(16):
            told(by_srun("0") | {"SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)})
            ports.append(int(environment.world().meeting.rpartition(":")[2]))
    assert len(set(ports)) == 32
    assert all(15_000 <= port < 32_768 for port in ports)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu3", "gpu3"),
        ("gpu3,login", "gpu3"),
        ("gpu[07-09,12]", "gpu07"),
        ("gpu[4]", "gpu4"),
        ("gpu[4,6]", "gpu4"),
        ("rack[1-2]-n[03,5-9],login-1", "rack1-n03"),
        ("login-1,gpu[1-2]", "login-1"),
        ("gpu[1-2].site.example", "gpu1.site.example"),
    ],
)
def test_first_node(nodes: str, first: str) -> None:
    assert environment.first_node(nodes) == first
