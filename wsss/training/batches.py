"""Passes batches, errors included, from worker processes to the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset, default_collate

from wsss.core.errors import WsssError
from wsss.core.executor import worker_lost
from wsss.data.samples import Batch


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


def arriving(batches: Iterator[Any]) -> Iterator[Batch]:
    """The batches; raises the errors of their samples, and `EnvError` if a worker has ended."""
    while True:
        try:
            batch = next(batches, None)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise worker_lost() from error
        if batch is None:
            return
        if isinstance(batch, WsssError):
            raise batch
        yield batch
