"""Compiling numeric loops with numba, once for a machine where it can keep the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Machine code of `function`, made at its first call and kept on disk; it runs without the GIL.

    numba makes it again where the function's own file changed. So it may use nothing of another file of ours (a test
    says so), and after a change of the options below `__pycache__` has to be deleted.

    The order of sums is that of the code: no `parallel`, and `fastmath` may only fuse a product with a sum. Where
    neither the package's folder nor the user's cache can be written, each process compiles for itself.
    """
    njit: Any = numba.njit
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
    try:
        machine_code: F = njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        machine_code = njit(**options)(function)
    return machine_code
