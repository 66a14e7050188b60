"""What starts workers on other machines: a Dask scheduler that runs already, SLURM, PBS or Kubernetes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client
from distributed.security import Security
from pydantic import Field

from wsss.core.environment import scratch_root
from wsss.core.errors import EnvError, UserError
from wsss.core.params import Settings, load, unit

SECONDS = 8
"""Until a scheduler must have answered."""
SUBMITS = {"slurm": "sbatch", "pbs": "qsub"}
FILE = "WSSS_CLUSTER"


class ClusterSettings(Settings):
    """Section `cluster` of the file that WSSS_CLUSTER names: workers that a stage starts for itself."""

    workers: int = Field(
        default=4, ge=1, le=10_000, description="jobs; each is one worker that does one task at a time"
    )
    cpus: int = Field(default=1, ge=1, description="processors of a worker", json_schema_extra=unit("cores"))
    memory: str = Field(default="4GiB", pattern=r"^\d+(\.\d+)? ?[kMGT]i?B$", description="memory of a worker")
    walltime: str = Field(
        default="04:00:00", description="SLURM, PBS: when a job is ended, as sbatch or qsub writes it"
    )
    queue: str = Field(default="", description="SLURM's partition or PBS's queue; empty: the default one")
    account: str = Field(default="", description="whom the jobs are charged to")
    interface: str = Field(default="", description="network interface on which workers and stage meet, e.g. ib0")
    local_directory: str = Field(default="", description="folder of each node for Dask's own files")
    directives: tuple[str, ...] = Field(default=(), description="further lines of a job, e.g. --gres=gpu:1")
    prologue: tuple[str, ...] = Field(default=(), description="shell commands before a worker starts")
    image: str = Field(default="", description="Kubernetes: image that holds wsss and its environment")
    namespace: str = Field(default="default", description="Kubernetes: where the pods run")
    volume: str = Field(default="", description="Kubernetes: claim of the shared volume, mounted at the working folder")


class ClusterFile(Settings):
    """The whole file."""

    cluster: ClusterSettings


@dataclass(frozen=True)
class Link:
    """A client of a scheduler, called `name`; `close` ends it, and the workers that were started for it."""

    client: Client
    name: str
    close: Callable[[], None]


def connect(asked: str) -> Link:
    """The scheduler that `asked`, the value of WSSS_EXECUTOR, names. Raises `UserError` if it does not answer, and
    `EnvError` if a package or a program is missing.
    """
    # Ten seconds in all: the default is half a minute for each attempt.
    dask.config.set({"distributed.comm.timeouts.connect": f"{SECONDS}s"})
    scheme, _, place = asked.partition("://")
    if scheme in ("dask", "tls"):
        address = f"{'tcp' if scheme == 'dask' else 'tls'}://{place}"
        _checked(asked)
        if scheme == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
            fix = "set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__TLS__CLIENT__CERT and …__TLS__CLIENT__KEY"
            raise UserError("WSSS_EXECUTOR", f"{asked} needs certificates, and Dask knows of none", fix)
        return _client(address, address, lambda: None)
    settings = read_cluster()
    started = _pods(settings) if asked == "kubernetes" else _jobs(asked, settings)
    return _client(started, f"{asked}, {started.scheduler_address}", started.close)


def read_cluster() -> ClusterSettings:
    """The settings of the file that WSSS_CLUSTER names, by default cluster.yaml where there is one."""
    named = os.environ.get(FILE)
    path = Path(named or "cluster.yaml")
    if not named and not path.exists():
        return ClusterSettings()
    if not path.is_file():
        raise UserError(f"{FILE}={path}", "no such file", "write one (docs/scaling.md shows it), or unset it")
    return load(path, ClusterFile, sections=()).cluster


def _client(target: Any, name: str, close: Callable[[], None]) -> Link:
    try:
        client = Client(target, timeout=SECONDS, set_as_default=False, name="wsss")
    except (OSError, TimeoutError) as error:
        close()
        raise UserError(
            "WSSS_EXECUTOR",
            f"no Dask scheduler answers at {name} within {SECONDS} seconds",
            "start it there (dask scheduler --port 8786) and let this machine reach it, or correct the address",
        ) from error
    except (TypeError, ValueError) as error:
        close()
        fix = "for tls:// set the certificates, see docs/scaling.md; else correct the address"
        raise UserError("WSSS_EXECUTOR", f"{name} cannot be used: {error}", fix) from error

    def end() -> None:
        client.close(timeout=2)
        close()

    return Link(client, name, end)


def _checked(asked: str) -> None:
    try:
        found = urlsplit(asked)
        complete = bool(found.hostname and found.port) and not found.path.strip("/")
    except ValueError:
        complete = False
    if not complete:
        raise UserError("WSSS_EXECUTOR", f"found {asked!r}, expected a host and a port", "give e.g. dask://node7:8786")


def _jobs(kind: str, settings: ClusterSettings) -> Any:
    """A scheduler in this process, and jobs of SLURM or PBS that work for it."""
    if importlib.util.find_spec("dask_jobqueue") is None:
        raise EnvError("WSSS_EXECUTOR", f"{kind} needs dask-jobqueue", "pip install 'wsss[cluster]'")
    if shutil.which(SUBMITS[kind]) is None:
        fix = "run the stage where jobs are submitted, or use a Dask scheduler: dask://HOST:PORT"
        raise EnvError("WSSS_EXECUTOR", f"{kind} needs {SUBMITS[kind]}, which is not on the PATH", fix)
    from dask_jobqueue import PBSCluster, SLURMCluster

    optional = {name: getattr(settings, name) or None for name in ("queue", "account", "interface", "local_directory")}
    logs = scratch_root() / "jobs"
    logs.mkdir(parents=True, exist_ok=True)
    cpus = {"job_cpu": settings.cpus} if kind == "slurm" else {"resource_spec": _pbs(settings)}
    cluster = (SLURMCluster if kind == "slurm" else PBSCluster)(
        cores=1,  # tasks at a time
        processes=1,
        memory=settings.memory,
        walltime=settings.walltime,
        job_extra_directives=list(settings.directives),
        job_script_prologue=list(settings.prologue),
        log_directory=str(logs.absolute()),
        scheduler_options={"dashboard_address": ":0"},
        **{name: value for name, value in optional.items() if value},
        **cpus,
    )
    if kind == "slurm":  # else a job that is refused would be seen in Dask's log alone; qsub has no such test
        tested = subprocess.run(["sbatch", "--test-only"], input=cluster.job_script(), capture_output=True, text=True)
        if tested.returncode:
            cluster.close()
            said = " / ".join(tested.stderr.split("\n")).strip(" /")
            raise UserError("sbatch", f"refuses the workers' job: {said}", f"correct {FILE} (docs/scaling.md)")
    cluster.scale(jobs=settings.workers)
    return cluster


def _pbs(settings: ClusterSettings) -> str:
    return f"select=1:ncpus={settings.cpus}:mem={settings.memory.replace(' ', '').replace('iB', 'B')}"


def _pods(settings: ClusterSettings) -> Any:
    """A scheduler and workers as pods of Kubernetes, by the operator of dask-kubernetes."""
    if importlib.util.find_spec("dask_kubernetes") is None:
        fix = "pip install dask-kubernetes, and install its operator in the cluster (docs/scaling.md)"
        raise EnvError("WSSS_EXECUTOR", "kubernetes needs dask-kubernetes", fix)
    if not settings.image:
        raise UserError(FILE, "cluster.image: missing, which Kubernetes needs", "name an image that holds wsss")
    from dask_kubernetes.operator import KubeCluster, make_cluster_spec

    quantity = settings.memory.replace(" ", "").removesuffix("B")
    spec = make_cluster_spec(
        name=f"wsss-{os.getpid()}",
        image=settings.image,
        n_workers=settings.workers,
        resources={"requests": {"cpu": str(settings.cpus), "memory": quantity}, "limits": {"memory": quantity}},
        worker_command="dask worker --nthreads 1",
    )
    if settings.volume:
        pod = spec["spec"]["worker"]["spec"]
        pod["volumes"] = [{"name": "shared", "persistentVolumeClaim": {"claimName": settings.volume}}]
        for container in pod["containers"]:
            container["volumeMounts"] = [{"name": "shared", "mountPath": str(Path.cwd())}]
    return KubeCluster(namespace=settings.namespace, custom_cluster_spec=spec)
