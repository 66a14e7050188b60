"""Which photos a step sees is a function of (seed, step) alone."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.training.sampling import BatchSampler, Plan


@pytest.mark.parametrize(("photos", "batch"), [(12, 4), (12, 5), (7, 7), (3, 8), (1, 1)])
def test_no_photo_twice_an_epoch_and_each_once_where_batches_fit(photos: int, batch: int) -> None:
    plan = Plan(seed=3, photos=photos, batch=batch, epochs=4)
    for epoch in range(4):
        start = epoch * plan.steps_per_epoch
        steps = [plan.batch_at(step) for step in range(start, start + plan.steps_per_epoch)]
        assert {found for found, _ in steps} == {epoch}
        seen = [photo for _, photos_of in steps for photo in photos_of]
        assert len(seen) == len(set(seen)) == (photos if photos < batch else photos - photos % batch)
        assert set(seen) <= set(range(photos))
    assert plan.steps == 4 * plan.steps_per_epoch


def test_photos_dropped_in_one_epoch_come_in_another() -> None:
    plan = Plan(seed=0, photos=11, batch=4, epochs=20)
    assert {photo for step in range(plan.steps) for photo in plan.batch_at(step)[1]} == set(range(11))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    plan = Plan(seed=0, photos=50, batch=50, epochs=2)
    orders = [plan.batch_at(0)[1], plan.batch_at(1)[1], Plan(1, 50, 50, 2).batch_at(0)[1]]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_resumed_plan_is_the_tail_of_the_whole() -> None:
    plan = Plan(seed=5, photos=13, batch=3, epochs=3)
    whole = list(BatchSampler(plan))
    assert len(whole) == len(BatchSampler(plan)) == plan.steps
    for start in range(plan.steps + 1):
        tail = BatchSampler(plan, start)
        assert list(tail) == whole[start:]
        assert len(tail) == len(whole) - start


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_processes_partition_each_batch(world: int) -> None:
    plan = Plan(seed=5, photos=13, batch=5, epochs=2)
    shares = [list(BatchSampler(plan, 1, rank, world)) for rank in range(world)]
    for step, whole in enumerate(BatchSampler(plan, 1)):
        parts = [share[step] for share in shares]
        assert sorted(key for part in parts for key in part) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("photos", "batch"), [(13, 3), (4, 9), (1000, 8)])
def test_order_of_an_epoch_is_one_permutation_by_seed_and_epoch(photos: int, batch: int) -> None:
    """Whichever steps are asked for: they decide the bytes of everything that is trained."""
    plan = Plan(seed=7, photos=photos, batch=batch, epochs=3)
    steps = np.random.default_rng(0).permutation(plan.steps).tolist()
    for step in (*steps, *range(plan.steps)):
        epoch, position = divmod(step, plan.steps_per_epoch)
        order = np.random.default_rng((7, epoch)).permutation(photos).tolist()
        assert plan.batch_at(step) == (epoch, order[position * batch :][:batch])


def test_photos_are_permuted_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    before = np.random.default_rng

    def counted(key: tuple[int, int]) -> np.random.Generator:
        drawn.append(key)
        return before(key)

    monkeypatch.setattr(np.random, "default_rng", counted)
    plan = Plan(seed=12345, photos=100, batch=4, epochs=3)
    assert len(list(BatchSampler(plan))) == 75
    assert drawn == [(12345, 0), (12345, 1), (12345, 2)]
