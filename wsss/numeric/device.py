"""The device that torch runs on, what it lacks, its threads, and the error when memory runs out.

`WSSS_DEVICE` names the device: auto, cpu, cuda, cuda:N, or mps, the GPU of a Mac.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn import functional as F

from wsss.core.errors import EnvError, UserError
from wsss.numeric.heap import keep_freed_memory

MEMORY_ERRORS = ("allocate memory", "not enough memory", "MPS backend out of memory")


def device() -> torch.device:
    """The device `WSSS_DEVICE` names; `auto` (default) takes the first GPU, else the CPU."""
    name = os.environ.get("WSSS_DEVICE", "auto")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise UserError(
            "WSSS_DEVICE", f"found {name!r}, expected auto, cpu, cuda, cuda:N or mps", "unset WSSS_DEVICE"
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise EnvError(
            "WSSS_DEVICE",
            f"{name} asked for, but torch sees no GPU",
            "unset WSSS_DEVICE or install a CUDA build of torch",
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise EnvError("WSSS_DEVICE", "mps asked for, but torch sees no GPU of a Mac", "unset WSSS_DEVICE")
    return chosen


def fast_bf16() -> bool:
    """True if the device computes with bf16 in hardware; without it, bf16-mixed takes ten times as long as 32-true."""
    where = device()
    if where.type == "cuda":
        return torch.cuda.get_device_capability(where) >= (8, 0)
    return bool(_processor() & {"amx_bf16", "avx512_bf16", "bf16"})


def _processor() -> set[str]:
    """What the processor says it can do; empty where the kernel does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    lines = [line for line in text.splitlines() if line.lower().startswith(("flags", "features"))]
    return set(lines[0].partition(":")[2].split()) if lines else set()


def cell_means(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Means of the cells of a grid of `size`, not finer than the maps': (N, C, H, W) → (N, C, h, w)."""
    if maps.device.type == "mps" and (maps.shape[-2] % size[0] or maps.shape[-1] % size[1]):
        # The GPU of a Mac takes only cells of one size: https://github.com/pytorch/pytorch/issues/96056
        return F.adaptive_avg_pool2d(maps.cpu(), size).to(maps.device)
    return F.adaptive_avg_pool2d(maps, size)


@contextmanager
def enough_memory(where: str | Path, doing: str, fix: str) -> Iterator[None]:
    """Raise `EnvError` ("`where`: out of memory `doing`") where torch or NumPy gets no memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # On a CPU torch has no class of its own for this, and two wordings; on a Mac's GPU a third.
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not known and not any(text in str(error) for text in MEMORY_ERRORS):
            raise
        raise EnvError(where, f"out of memory {doing}", fix) from error


def set_threads(threads: int) -> None:
    """Fix the number of CPU threads: it changes the order of sums, so it is a setting, not left to the machine."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    # oneDNN and OpenMP choose algorithms by load otherwise; on a GPU some backward passes have no deterministic form.
    # Not use_deterministic_algorithms: it imports the compiler for this, two seconds in every worker.
    torch.set_deterministic_debug_mode("error" if device().type == "cpu" else "default")
    # That mode also fills every new tensor with NaN, to show reads of unwritten memory. That takes a fifth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
