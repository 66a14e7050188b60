"""Where the work runs. The environment says where; it never changes a result on a CPU.

`WSSS_DEVICE` (auto, cpu, cuda, cuda:1), `WSSS_WORKERS` (processes; 0 = in this process), `WSSS_SCRATCH` (unfinished
work), `WSSS_EXECUTOR` (local), `WSSS_CHECKPOINT_SECONDS` (time between checkpoints of a training).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from wsss.core.errors import EnvError, UserError


def device() -> torch.device:
    """The device `WSSS_DEVICE` names; `auto` (default) takes the first GPU, else the CPU."""
    name = os.environ.get("WSSS_DEVICE", "auto")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise UserError(
            "WSSS_DEVICE", f"found {name!r}, expected auto, cpu, cuda or cuda:N", "unset WSSS_DEVICE"
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise EnvError(
            "WSSS_DEVICE",
            f"{name} asked for, but torch sees no GPU",
            "unset WSSS_DEVICE or install a CUDA build of torch",
        )
    return chosen


@contextmanager
def enough_memory(where: str | Path, doing: str, fix: str) -> Iterator[None]:
    """Raise `EnvError` ("`where`: out of memory `doing`") where torch or NumPy gets no memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # On a CPU torch has no class of its own for this, and two wordings.
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not known and not any(text in str(error) for text in ("allocate memory", "not enough memory")):
            raise
        raise EnvError(where, f"out of memory {doing}", fix) from error


def leads() -> bool:
    """True in the first of the processes of one training (`torchrun`, SLURM): it writes for all of them."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def workers() -> int:
    """Number of worker processes: `WSSS_WORKERS`, by default the machine's cores, at most 8."""
    return _number("WSSS_WORKERS", min(8, len(os.sched_getaffinity(0))))


def checkpoint_seconds() -> float:
    """Seconds between checkpoints: `WSSS_CHECKPOINT_SECONDS`, by default 30."""
    return float(_number("WSSS_CHECKPOINT_SECONDS", 30))


def scratch_root() -> Path:
    """Folder of unfinished work: `WSSS_SCRATCH`, by default `.scratch` in the working folder."""
    return Path(os.environ.get("WSSS_SCRATCH", ".scratch"))


def set_threads(threads: int) -> None:
    """Fix the number of CPU threads: it changes the order of sums, so it is a parameter and not the machine's."""
    torch.set_num_threads(threads)
    # oneDNN and OpenMP choose algorithms by load otherwise; on a GPU some backward passes have no deterministic form.
    # Not use_deterministic_algorithms: it imports the compiler for this, two seconds in every worker.
    torch.set_deterministic_debug_mode("error" if device().type == "cpu" else "default")
    # That mode also fills every new tensor with NaN, to make reads of unwritten memory visible: a fifth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UserError(name, f"found {text!r}, expected a whole number ≥ 0", f"unset {name} or set it to a number")
    return int(text)
