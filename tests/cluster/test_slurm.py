"""The same bytes by jobs of SLURM, and a job that it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster.chain import MAPPED, Bytes, environment, results, run, without
from tests.cluster.slurm import lacking, slurm
from tests.helpers import REPO, running

pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue: make test-cluster installs it")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(lacking()), reason=lacking())]
CLUSTER = """
cluster:
  workers: 2
  memory: 1GiB
  interface: lo
  walltime: "00:10:00"
"""


def test_slurm_writes_the_same_bytes(finished: Path, expected: Bytes, tmp_path: Path) -> None:
    folder = without(finished, tmp_path / "run", *MAPPED)
    (folder / "cluster.yaml").write_text(CLUSTER)
    with slurm(tmp_path / "slurm") as env:
        for stage in MAPPED:
            assert "cluster: slurm, tcp://127.0.0.1:" in run(folder, stage, WSSS_EXECUTOR="slurm", **env)
        jobs = subprocess.run(["squeue", "--noheader"], env={**os.environ, **env}, capture_output=True, text=True)
        assert jobs.stdout == ""
    assert results(folder, *MAPPED) == expected


def test_a_job_that_slurm_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text(CLUSTER.replace("1GiB", "900GiB"))
    command = [str(REPO / "tests/toy_stage.py"), "out", "log", "0"]
    with slurm(tmp_path / "slurm") as env:
        own = environment(WSSS_EXECUTOR="slurm", WSSS_CLUSTER="large.yaml", **env)
        with running(*command, cwd=tmp_path, **own) as process:
            _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "error: sbatch: refuses the workers' job: " in errors
    assert not (tmp_path / "out").exists()
