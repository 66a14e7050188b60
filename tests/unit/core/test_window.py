"""Tasks are made as their turn comes, and never more than the bound are in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tests.helpers import double
from wsss.core.executor import make_executor, run_tasks, stop_workers
from wsss.core.window import EACH, Window


class Held(Executor):
    """Runs a submitted task when it is told to; `flying`: those that wait for that."""

    def __init__(self) -> None:
        self.flying: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.most = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.flying.append((future, lambda: fn(*args, **kwargs)))
        self.most = max(self.most, len(self.flying))
        return future

    def end(self, place: int) -> None:
        future, call = self.flying.pop(place)
        future.set_result(call())


def numbered(count: int, made: list[int]) -> Iterator[tuple[int]]:
    """So many tasks; `made`: those that were taken."""
    for number in range(count):
        made.append(number)
        yield (number,)


@pytest.mark.parametrize("workers", [1, 3])
def test_never_more_than_the_bound_in_flight(workers: int) -> None:
    made: list[int] = []
    executor = Held()
    window = Window(lambda number: 10 * number, numbered(20, made), range(1, 21))
    results: dict[int, int] = {}
    while window.fill(executor, workers):
        assert len(executor.flying) == window.flying == min(EACH * workers, 20 - len(results))
        assert len(made) == len(results) + window.flying  # no task is made before its turn
        assert window.waiting == sum(range(len(made) + 1, 21))
        assert len(window) == 20 - len(made)
        executor.end(len(results) % len(executor.flying))
        window.fill(executor, workers)
        results |= {number: future.result() for number, future in window.landed(1.0)}
    assert executor.most == EACH * workers
    assert results == {number: 10 * number for number in range(20)}


def test_what_is_run_here_is_not_submitted() -> None:
    executor = Held()
    window = Window(lambda number: -number, numbered(3, []), [5, 5, 5])
    assert window.run_next() == (0, 0)
    assert window.waiting == 10
    assert window.fill(executor, 4)
    for _ in range(2):
        executor.end(0)
    assert {number: future.result() for number, future in window.landed(1.0)} == {1: -1, 2: -2}
    assert not window.fill(executor, 4)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_tasks_of_a_stage_are_made_as_their_turn_comes(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", workers)
    made: list[int] = []
    executor, seen = make_executor(), 0
    for number, (value, _) in run_tasks(executor, double, numbered(30, made), sizes=[1] * 30):
        seen += 1
        assert value == 2 * number
        assert len(made) <= seen + 4 * EACH * int(workers)  # in flight, or ended and not yet seen
    stop_workers(executor)
    assert seen == 30
