"""The same bytes on every rung, and what happens to a stage whose workers, scheduler or submitter end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cluster.chain import MAPPED, Bytes, environment, finish, results, run, started, without
from tests.cluster.hosts import PORT, Host, hosts, scheduler, worker
from tests.cluster.hosts import lacking as no_hosts
from tests.cluster.slurm import lacking as no_slurm
from tests.cluster.slurm import slurm
from tests.helpers import REPO, children, wait_until

pytest.importorskip("distributed", reason="needs Dask: make test-cluster installs it")
on_hosts = pytest.mark.skipif(bool(no_hosts()), reason=no_hosts())
SIGNS = {"cams": "cams/*/store", "correct": "correct/*/store", "distill": "distill/*/relabelled", "evaluate": "evaluate/*/store"}
"""Where a stage's shards appear, below its scratch folder."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain by one process, without workers."""
    return finish(tmp_path_factory.mktemp("chain") / "a project 100 %")


@pytest.fixture(scope="module")
def expected(finished: Path) -> Bytes:
    return results(finished, *MAPPED)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """One for a scheduler, two for workers."""
    with hosts(3, tmp_path_factory.mktemp("hosts")) as found:
        yield found


def address(host: Host) -> str:
    return f"dask://{host.address}:{PORT}"


@contextmanager
def dask(machines: list[Host]) -> Iterator[list[subprocess.Popen[str]]]:
    """A scheduler and two workers, each on a machine of its own; the two processes of the workers."""
    with scheduler(machines[0]), worker(machines[0], machines[1]) as one, worker(machines[0], machines[2]) as two:
        yield [one, two]


def shards(folder: Path, stage: str) -> list[Path]:
    return list((folder / ".scratch").glob(f"{SIGNS[stage]}/0*.h5"))


@on_hosts
def test_workers_on_other_machines_write_the_same_bytes(machines: list[Host], finished: Path, expected: Bytes, tmp_path: Path) -> None:
    """One of the workers is kept by a nanny, and has two threads."""
    folder = without(finished, tmp_path / "run", *MAPPED)
    with scheduler(machines[0]), worker(machines[0], machines[1]), worker(machines[0], machines[2], threads=2, nanny=True):
        for stage in MAPPED:
            said = run(folder, stage, WSSS_EXECUTOR=address(machines[0]), WSSS_DEVICE="cuda" if stage == "correct" else "cpu")
            first = said.splitlines()[0]
            assert first.startswith(f"cluster: tcp://{machines[0].address}:{PORT}, ")
            assert "dashboard http://" in first
    assert results(folder, *MAPPED) == expected
    assert not list((folder / ".scratch/runs").iterdir())
