"""Compiling numeric loops with numba, once for a machine where it can keep the result."""

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

    numba makes it again where the function's own file changed, so it may use nothing of another file of ours (a test
    says so). It is kept in a folder that is named by the content of this file, so that other options make it again too.
    Where neither the package's folder nor the user's cache can be written, each process compiles for itself.
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
