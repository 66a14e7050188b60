"""Trainings run as a stage runs them: one thread, deterministic; other tests get torch back as it was."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator

import pytest
import torch

from wsss.core.executor import end_children
from wsss.numeric.device import set_threads


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Of a module, so that what its tests share is made in the same way as what they compare it with."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSSS_WORKERS", "0")
        patch.setenv("WSSS_DEVICE", "cpu")
        set_threads(1)
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def no_workers_left() -> Iterator[None]:
    yield
    if multiprocessing.active_children():
        # The traceback of an error keeps the loader it left; at its exit Python would wait for that worker for ever.
        gc.collect()
        end_children()
