"""A SLURM of one node on this machine: `apt-get install slurm-wlm munge`, and root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.helpers import free_port

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scancel", "sinfo")
CONFIGURATION = """
ClusterName=wsss
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str:
    """Why there can be no SLURM here; empty if there can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "needs root, for slurmctld and slurmd"


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which `sbatch` reaches it."""
    folder.mkdir(parents=True)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(
        host=host, folder=folder, controller=free_port(), daemon=free_port(), cpus=os.cpu_count()
    )
    (folder / "slurm.conf").write_text(text)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    told = {"SLURM_CONF": str(folder / "slurm.conf")}
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    with ExitStack() as stack, (folder / "output.log").open("w") as log:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            process = subprocess.Popen(command, env={**os.environ, **told}, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            time.sleep(1.0)
            assert process.poll() is None, (folder / "output.log").read_text()
        end = time.monotonic() + 60
        while True:
            command = ["sinfo", "--noheader", "--format=%T"]
            state = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True).stdout.strip()
            if state == "idle":
                break
            assert time.monotonic() < end, f"{state}\n{(folder / 'output.log').read_text()}"
            time.sleep(0.5)
        yield told
        subprocess.run(["scancel", "--user=root"], env={**os.environ, **told}, check=False)
        time.sleep(1.0)
