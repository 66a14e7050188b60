"""Memory that a tensor leaves stays with the process.

glibc maps a block of more than 32 MB on its own and gives it back to the system as soon as it is freed. A training
step on crops of 320 pixels takes and frees dozens of them, and the system zeroes each page again at its first touch: 13
to 27 % of the step's processor time (benchmarks, row `heap`).
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
LARGEST = 2**30
"""Smaller blocks, in bytes, are taken from the heap and not mapped each on its own."""
FALLBACK = 2**25
"""The largest value that older versions of glibc accept."""


def keep_freed_memory() -> bool:
    """Tell glibc so, for this process; it changes no result. False where the C library is another one."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    mapped = mallopt(M_MMAP_THRESHOLD, LARGEST) or mallopt(M_MMAP_THRESHOLD, FALLBACK)
    return bool(mapped and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def give_back_freed_memory() -> None:
    """Give what the process has kept back to the system, once; for whoever measures memory. Nothing without glibc."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
