"""The photos of each training step as a pure function of (seed, step), so that no state has to be saved."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plan:
    """`epochs` passes over `photos` photos in batches of `batch`, each epoch in its own order.

    The last, incomplete batch of an epoch is dropped (in other epochs its photos have other places), unless it is the
    only one.
    """

    seed: int
    photos: int
    batch: int
    epochs: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one epoch."""
        return max(1, self.photos // self.batch)

    @property
    def steps(self) -> int:
        """Batches in the whole training."""
        return self.epochs * self.steps_per_epoch

    def batch_at(self, step: int) -> tuple[int, list[int]]:
        """(epoch, photo numbers) of a step counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _order(self.seed, epoch, self.photos)
        return epoch, order[position * self.batch : (position + 1) * self.batch].tolist()


class BatchSampler:
    """Batches of (epoch, photo number) from `start` to the end of the plan; `rank` of `world` takes its part."""

    def __init__(self, plan: Plan, start: int = 0, rank: int = 0, world: int = 1) -> None:
        self.plan, self.start, self.rank, self.world = plan, start, rank, world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.plan.steps):
            epoch, photos = self.plan.batch_at(step)
            yield [(epoch, photo) for photo in photos[self.rank :: self.world]]

    def __len__(self) -> int:
        return self.plan.steps - self.start


@functools.lru_cache(2)  # batches are read ahead of the step that is taken, perhaps in the next epoch
def _order(seed: int, epoch: int, photos: int) -> np.ndarray:
    order = np.random.default_rng((seed, epoch)).permutation(photos)
    order.flags.writeable = False
    return order
