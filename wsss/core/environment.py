"""Environment variables that say where work runs. They never change a result on a CPU.

`WSSS_WORKERS` (processes; 0: all work in this process; unset: as many as the work is worth), `WSSS_SCRATCH` (folder of
unfinished work), `WSSS_CHECKPOINT_SECONDS` (time between checkpoints of a training), `WSSS_EXECUTOR` (see
`core.executor`) and `WSSS_DEVICE` (see `numeric.device`).
"""

from __future__ import annotations

import os
from pathlib import Path

from wsss.core.errors import UserError


def leads() -> bool:
    """True in the first of the processes of one training (`torchrun`, SLURM): it writes for all of them."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def workers() -> int:
    """Most worker processes: `WSSS_WORKERS`, by default the machine's cores, at most 8."""
    return _number("WSSS_WORKERS", min(8, len(os.sched_getaffinity(0))))


def asked_workers() -> int | None:
    """`WSSS_WORKERS` where someone has set it, and wants so many; else workers start where they are worth it."""
    return workers() if "WSSS_WORKERS" in os.environ else None


def checkpoint_seconds() -> float:
    """Seconds between checkpoints: `WSSS_CHECKPOINT_SECONDS`, by default 30."""
    return float(_number("WSSS_CHECKPOINT_SECONDS", 30))


def scratch_root() -> Path:
    """Folder of unfinished work: `WSSS_SCRATCH`, by default `.scratch` in the working folder."""
    return Path(os.environ.get("WSSS_SCRATCH", ".scratch"))


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UserError(name, f"found {text!r}, expected a whole number ≥ 0", f"unset {name} or set it to a number")
    return int(text)
