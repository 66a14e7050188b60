"""Networks that one process uses for many shards are loaded once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

N = TypeVar("N")
MOST = 2
"""Networks that are kept: stage `evaluate` uses two in turn."""


def kept(load: Callable[..., tuple[N, Any]], path: Path, *arguments: Any) -> N:
    """The network of ``load(path, *arguments)``, the same object as at the last call if its file is still the same.

    It may be moved to a device, and must not be changed otherwise. Errors are those of `load`.
    """
    try:
        found = path.stat()
    except OSError:
        return load(path, *arguments)[0]  # whose error says what is wrong
    network: N = _load(load, path.absolute(), (found.st_ino, found.st_size, found.st_mtime_ns), arguments)
    return network


def forget() -> None:
    """Let go of all kept networks and their memory."""
    _load.cache_clear()


@functools.lru_cache(MOST)
def _load(load: Callable[..., tuple[N, Any]], path: Path, state: tuple[int, ...], arguments: tuple[Any, ...]) -> N:
    return load(path, *arguments)[0]
