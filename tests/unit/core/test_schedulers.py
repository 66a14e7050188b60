"""What says where a cluster is: WSSS_EXECUTOR and the file of its settings."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.helpers import REPO
from wsss.core.errors import EnvError, ErrorList, UserError
from wsss.core.executor import SerialExecutor, elsewhere, make_executor, workers_for

needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs Dask")


def test_a_cluster_does_not_care_what_device_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    assert not elsewhere()
    with workers_for(in_process=True) as here:
        assert isinstance(here, SerialExecutor)
    for kind in ("dask://node7:8786", "tls://node7:8786", "slurm", "pbs", "kubernetes"):
        monkeypatch.setenv("WSSS_EXECUTOR", kind)
        assert elsewhere()
    pytest.importorskip("distributed")
    with workers_for(in_process=True) as workers:  # no task, so nobody is looked for
        assert type(workers).__name__ == "Cluster"
        assert workers.count == 1


@pytest.mark.parametrize("kind", ["ray", "dask.example", "tcp://node7:8786", ""])
def test_what_is_no_executor_is_told(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("WSSS_EXECUTOR", kind)
    with pytest.raises(UserError, match="expected 'local', dask://HOST:PORT"):
        make_executor()


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("WSSS_EXECUTOR", "slurm")
    with pytest.raises(EnvError, match=r"needs Dask.*\n.*wsss\[cluster\]"):
        make_executor()


@needs_dask
@pytest.mark.parametrize("kind", ["dask", "dask://", "dask://node7", "dask://node7:port", "dask://node7:8786/path"])
def test_an_address_without_host_or_port_is_told(kind: str) -> None:
    from wsss.core.schedulers import connect

    with pytest.raises(UserError, match="expected a host and a port"):
        connect(kind)


@needs_dask
def test_encryption_without_certificates_is_told() -> None:
    from wsss.core.schedulers import connect

    with pytest.raises(UserError, match="needs certificates"):
        connect("tls://127.0.0.1:8786")


@needs_dask
def test_units_of_a_task_that_is_done_again_count_once() -> None:
    from wsss.core.cluster import Cluster

    workers = Cluster("dask://node7:8786")
    for number, done, new in ((0, 3, 3), (1, 2, 2), (0, 1, 0), (0, 3, 0), (0, 5, 2)):
        workers._hear((0.0, (number, done)))
        assert workers.units() == new


@needs_dask
def test_missing_programs_and_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wsss.core.schedulers import connect

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind, lacking in (("slurm", "sbatch"), ("pbs", "qsub")):
        with pytest.raises(EnvError, match=f"{kind} needs {lacking}, which is not on the PATH"):
            connect(kind)
    if importlib.util.find_spec("dask_kubernetes") is None:
        with pytest.raises(EnvError, match="pip install dask-kubernetes"):
            connect("kubernetes")


@needs_dask
def test_the_file_of_a_cluster_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wsss.core.schedulers import ClusterSettings, read_cluster

    monkeypatch.chdir(tmp_path)
    assert read_cluster() == ClusterSettings()
    path = tmp_path / "cluster.yaml"
    path.write_text("cluster:\n  workers: 8\n  memory: 16GiB\n")
    assert read_cluster() == ClusterSettings(workers=8, memory="16GiB")
    path.write_text("cluster:\n  worker: 8\n  memory: much\n  cpus: 0\ndemo: {}\n")
    with pytest.raises(ErrorList) as caught:
        read_cluster()
    said = str(caught.value)
    assert "cluster.yaml:2: cluster.worker: unknown key (did you mean 'workers'?)" in said
    assert "cluster.yaml:3: cluster.memory: found 'much'" in said
    assert "cluster.yaml:4: cluster.cpus: found 0" in said
    assert "cluster.yaml:5: demo: unknown section\nfix: known sections are cluster" in said
    monkeypatch.setenv("WSSS_CLUSTER", "other.yaml")
    with pytest.raises(UserError, match=r"WSSS_CLUSTER=other\.yaml: no such file"):
        read_cluster()


@needs_dask
def test_the_example_of_the_documentation_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wsss.core.schedulers import ClusterSettings, read_cluster

    text = (REPO / "docs/scaling.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(cluster:\n.*?)```", text, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    monkeypatch.setenv("WSSS_CLUSTER", str(tmp_path / "mine.yaml"))
    assert read_cluster().model_fields_set == set(ClusterSettings.model_fields)
