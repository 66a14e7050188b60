"""Compiles numeric loops with numba, and keeps the machine code on disk where it can be written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
"""The order of sums is that of the code: no `parallel`, and `fastmath` may only fuse a product with a sum."""


def compiled(function: F) -> F:
    """Machine code of `function`, made at its first call and kept on disk; it runs without the GIL.

    numba recompiles it if the function's own file changes, so it must not use any other file of ours (a test checks
    that). Its folder is named by the content of this file, so that other options recompile it too. Where neither the
    package's folder nor the user's cache can be written, each process compiles for itself.
    """
    njit: Any = numba.njit
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_cache_folder())
    try:
        machine_code: F = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        machine_code = njit(**OPTIONS)(function)
    finally:
        config.CACHE_DIR = before
    return machine_code


def _cache_folder() -> Path:
    here = Path(__file__)
    return here.parent / "__pycache__" / f"numba-{hashlib.sha256(here.read_bytes()).hexdigest()[:16]}"
