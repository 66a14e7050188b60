"""Makes batches ahead of the training loop, in a thread or in worker processes, and passes them on, errors included."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from wsss.core import pace
from wsss.core.environment import asked_workers, workers
from wsss.core.errors import WsssError
from wsss.core.log import say
from wsss.core.processes import shielded, worker_begins, worker_lost
from wsss.data.samples import Batch

AHEAD = 2
"""Batches that a thread makes ahead of the one in use."""
SHARED = Path("/dev/shm")
"""Where torch's loader lays the tensors of its worker processes. Containers have 64 MB there, by default."""
ROOM = 2e9
"""Bytes: two batches of 16 crops of 512 pixels wait in line for each of 64 worker processes."""


class Careful(Dataset[Any]):
    """A data set that returns errors as samples: torch would turn our errors into others as they leave a worker."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.dataset[key]
        except WsssError as error:
            return error


def collate(samples: list[Any]) -> Any:
    """One batch, or the first error among its samples."""
    return next((sample for sample in samples if isinstance(sample, WsssError)), None) or default_collate(samples)


class Passed:
    """A batch on its way out of a worker process through a pipe, a little slower than through shared memory."""

    def __init__(self, samples: list[Batch]) -> None:
        # Not `default_collate`: in a worker, that makes its tensors in /dev/shm.
        self.arrays = {name: torch.stack([sample[name] for sample in samples]).numpy() for name in samples[0]}

    def batch(self) -> Batch:
        """The tensors, which have the arrays' memory."""
        return {name: torch.from_numpy(array) for name, array in self.arrays.items()}

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU copies from at once: torch's loader asks for it by this name."""
        return {name: tensor.pin_memory() for name, tensor in self.batch().items()}


def passed(samples: list[Any]) -> Any:
    """`collate` in a worker process that is not to use shared memory."""
    return next((sample for sample in samples if isinstance(sample, WsssError)), None) or Passed(samples)


def batches(dataset: Any, keys: Iterable[list[Any]], steps: int, pinned: bool) -> Iterator[Batch]:
    """The samples of `dataset` in batches by `keys`, of which there are `steps`, read ahead of who uses them.

    By `WSSS_WORKERS` processes where that is set; else by a thread, until it turns out that waiting for it would take
    much longer than starting processes. `pinned`: in memory that a GPU copies from at once. Raises the errors of the
    samples, and `EnvError` if a worker has ended.
    """
    careful, todo = Careful(dataset), iter(keys)
    if asked_workers() is None:
        yield from _arriving(_by_thread(careful, todo, steps))
    first = next(todo, None)
    if first is not None:
        yield from _arriving(_by_processes(careful, chain([first], todo), pinned))


def _by_thread(dataset: Careful, keys: Iterator[list[Any]], steps: int) -> Iterator[Any]:
    """Batches that a thread makes, up to the end of `keys` or as long as that is fast enough."""

    def make(samples: list[Any]) -> Any:
        return collate([dataset[key] for key in samples])

    waited, taken, slow = 0.0, 0, False
    pool = ThreadPoolExecutor(1, "load")
    begun = deque(pool.submit(make, samples) for samples in islice(keys, 1 + AHEAD))
    try:
        while begun:
            begin = time.monotonic()
            batch = begun.popleft().result()
            if taken:  # nothing was read ahead of the first one
                waited += time.monotonic() - begin
            taken += 1
            expected = waited / taken * (steps - taken)
            slow = slow or (waited >= pace.START_SECONDS and pace.worth_workers(expected, workers()))
            begun.extend(pool.submit(make, samples) for samples in islice(keys, 0 if slow else 1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def through_pipes() -> bool:
    """True if shared memory has no room for the batches that wait in line, which standard error says."""
    free = shutil.disk_usage(SHARED).free if SHARED.is_dir() else 0
    if free < ROOM:
        say(f"batches: {free / 1e6:.0f} MB of shared memory ({SHARED}) are few: batches go through pipes instead")
    return free < ROOM


def _by_processes(dataset: Careful, keys: Iterator[list[Any]], pinned: bool) -> Iterator[Any]:
    loader = DataLoader(
        dataset,
        batch_sampler=keys,
        num_workers=workers(),
        # spawn: a forked worker would inherit torch's thread pool and open HDF5 files in an unknown state.
        multiprocessing_context="spawn" if workers() else None,
        worker_init_fn=worker_begins,
        collate_fn=passed if workers() and through_pipes() else collate,
        pin_memory=pinned,
    )
    with shielded():
        return iter(loader)


def _arriving(made: Iterator[Any]) -> Iterator[Batch]:
    while True:
        try:
            batch = next(made, None)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise worker_lost(f"shared memory ({SHARED})" if "Bus error" in str(error) else "memory") from error
        if batch is None:
            return
        if isinstance(batch, WsssError):
            raise batch
        yield batch.batch() if isinstance(batch, Passed) else batch
