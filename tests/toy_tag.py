"""A session of `wsss tag` on toy photos, with features that need no network."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError

NEEDS = "needs starlette, uvicorn and httpx2: pip install -e '.[dev]'"


def two_kinds(raw_data: RawData, count: int) -> Path:
    """Photos whose names say the kind: `c000.jpg`, a cow; `s001.jpg`, a sheep; …"""
    for number in range(count):
        raw_data.photo(f"{'cs'[number % 2]}{number:03}.jpg")
    return raw_data.root


def toy_look() -> Callable[[Path], np.ndarray]:
    """Features (200,) by a photo's name: kinds lie far apart, photos of one kind near one another."""

    def look(path: Path) -> np.ndarray:
        if "broken" in path.name:
            raise UserError(path, "damaged", "copy it again")
        noise = np.random.default_rng(list(path.name.encode())).normal(0, 0.1, 200)
        return np.asarray(noise + (3 if path.name.startswith("c") else -3), np.float32)

    return look


def waited(what: Callable[[], object], seconds: float = 60) -> None:
    """Returns once `what` is true; fails if that takes too long."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            pytest.fail("waited too long")
        time.sleep(0.02)
