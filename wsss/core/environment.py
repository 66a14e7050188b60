"""Environment variables that say where work runs. They never change a result on a CPU.

`WSSS_WORKERS` (processes; 0: all work in this process; unset: as many as the work is worth), `WSSS_SCRATCH` (folder of
unfinished work), `WSSS_CHECKPOINT_SECONDS` (time between checkpoints of a training), `WSSS_EXECUTOR` (see
`core.executor`), `WSSS_CLUSTER` (see `core.schedulers`), `WSSS_DEVICE` (see `numeric.device`) and `WSSS_PROCESSES`
(see `core.ranks`); and those by which
`torchrun` and SLURM's `srun` tell a process which of several it is (see `world`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError
from wsss.core.system import cores

FIRST_PORT, PORTS, STEPS = 15000, 16384, 16
"""Where the processes of SLURM meet: below the ports that Linux gives to outgoing connections (from 32768)."""

FIRST_OTHER_STEP = 0xFFFF_FFF0
"""From here on the numbers of SLURM's steps are names: of a batch script, of the shell of `salloc`."""


@dataclass(frozen=True)
class World:
    """Process `rank` of `size`, counted from 0; on its machine it is number `local_rank`.

    `meeting` is the address where all of them meet, as `torch.distributed` reads it; empty for one process alone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    meeting: str = ""


def world() -> World:
    """Which process of one training this is, as `torchrun` or else a step of SLURM's `srun` says; alone without them.

    Raises `UserError` where they contradict themselves.
    """
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        rank, size = _number("RANK"), _number("WORLD_SIZE")
        return _checked(World(rank, size, _number("LOCAL_RANK", rank), "env://")) if size > 1 else World()
    if (size := _slurm_tasks()) > 1:
        rank = _number("SLURM_PROCID")
        return _checked(World(rank, size, _number("SLURM_LOCALID", rank), f"tcp://{_slurm_node()}:{_slurm_port()}"))
    if _number("WORLD_SIZE", 1) > 1:
        raise UserError(
            "WORLD_SIZE",
            f"found {os.environ['WORLD_SIZE']}, and no RANK that says which of them this is",
            "start the stage with torchrun or srun, or unset WORLD_SIZE",
        )
    return World()


def leads() -> bool:
    """True in the first of the processes of one training: it writes for all of them."""
    return world().rank == 0


def first_node(nodes: str) -> str:
    """The first of SLURM's list of nodes: ``rack[07-09,12]-n[1-4],login`` → ``rack07-n1``."""
    name, bracket, rest = nodes.partition("[")
    if not bracket or "," in name:
        return name.split(",")[0]
    numbers, _, rest = rest.partition("]")
    return name + numbers.split(",")[0].split("-")[0] + first_node(rest)


def workers() -> int:
    """Most worker processes: `WSSS_WORKERS`, by default the machine's cores, at most 8.

    Processes of one training on this machine share the cores, where `torchrun` or `core.ranks` says how many there are.
    """
    return _number("WSSS_WORKERS", max(1, min(8, cores() // max(1, _number("LOCAL_WORLD_SIZE", 1)))))


def asked_workers() -> int | None:
    """`WSSS_WORKERS` where someone has set it, and wants so many; else workers start where they are worth it."""
    return workers() if "WSSS_WORKERS" in os.environ else None


def checkpoint_seconds() -> float:
    """Seconds between checkpoints: `WSSS_CHECKPOINT_SECONDS`, by default 30."""
    return float(_number("WSSS_CHECKPOINT_SECONDS", 30))


def scratch_root() -> Path:
    """Folder of unfinished work: `WSSS_SCRATCH`, by default `.scratch` in the working folder."""
    return Path(os.environ.get("WSSS_SCRATCH", ".scratch"))


def _slurm_tasks() -> int:
    """Tasks of the step of SLURM that this process is one of; 1 outside of a step.

    SLURM_NTASKS alone says nothing: the batch script of `sbatch --ntasks=2` has that too, and is one process. A step of
    one task may be the shell of `salloc`, or start `torchrun`. Raises `UserError` where this is not the first task of
    a step of which SLURM's variables say no more: it would do the first one's work once more.
    """
    if os.environ.get("SLURM_STEP_NUM_TASKS"):
        return _number("SLURM_STEP_NUM_TASKS")
    step = next(filter(None, map(os.environ.get, ("SLURM_STEP_ID", "SLURM_STEPID"))), "")
    if step.isdecimal() and int(step) < FIRST_OTHER_STEP:
        return _number("SLURM_NTASKS", 1)
    if _number("SLURM_PROCID", 0) > 0:
        raise UserError(
            "SLURM_PROCID",
            f"found {os.environ['SLURM_PROCID']}, and no SLURM_STEP_NUM_TASKS that says how many processes there are",
            "start the stage with `srun --ntasks=N` and all of its variables, or with torchrun",
        )
    return 1


def _slurm_node() -> str:
    """MASTER_ADDR, or the node of the step's first process. A step may run on a part of its job's nodes."""
    names = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST")
    return os.environ.get("MASTER_ADDR") or first_node(next(filter(None, map(os.environ.get, names)), "localhost"))


def _slurm_port() -> int:
    """MASTER_PORT, or a number that all processes of the step know: two jobs on one node, or two steps, must differ."""
    chosen = FIRST_PORT + (_number("SLURM_JOB_ID", 0) * STEPS + _number("SLURM_STEP_ID", 0)) % PORTS
    return _number("MASTER_PORT", chosen)


def _checked(found: World) -> World:
    if found.rank >= found.size:
        raise UserError(
            "RANK", f"found {found.rank} of {found.size} processes", "start the stage with torchrun or srun"
        )
    return found


def _number(name: str, default: int | None = None) -> int:
    """The variable `name` as a whole number; it must be there if it has no `default`."""
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UserError(name, f"found {text!r}, expected a whole number ≥ 0", f"unset {name} or set it to a number")
    return int(text)
