"""Tasks run anywhere, come back with their number, and end when the stage ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.helpers import (
    alive,
    die,
    double,
    double_slowly,
    fail_at,
    report,
    report_and_die,
    running,
    sleep_and_leave,
    wait_until,
)
from wsss.core import pace
from wsss.core.errors import EnvError, InterruptedStage, UserError
from wsss.core.executor import (
    LatePool,
    SerialExecutor,
    make_executor,
    run_counted,
    run_tasks,
    stop_workers,
    unit_done,
    workers_for,
)
from wsss.core.interrupt import catch_signals
from wsss.core.log import Progress


def test_results_carry_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for workers in ("0", "2"):
        monkeypatch.setenv("WSSS_WORKERS", workers)
        executor = make_executor()
        results = list(run_tasks(executor, double, [(n,) for n in range(20)]))
        stop_workers(executor)
        assert sorted((number, value) for number, (value, _) in results) == [(n, 2 * n) for n in range(20)]
        elsewhere = {pid for _, (_, pid) in results} - {os.getpid()}
        assert bool(elsewhere) == (workers == "2")


def test_workers_that_nobody_asked_for_start_where_they_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    monkeypatch.setattr(pace, "clock", time.monotonic)
    assert isinstance(make_executor(), LatePool)
    for start, elsewhere in ((5.0, False), (0.02, True)):  # .1 s each, 20 of them
        monkeypatch.setattr(pace, "START_SECONDS", start)
        executor, seen = LatePool(2), Seen(20)
        results = sorted(run_counted(executor, double_slowly, [(n, 0.1) for n in range(20)], [1] * 20, seen))
        stop_workers(executor)
        assert [(number, value) for number, (value, _) in results] == [(n, 2 * n) for n in range(20)]
        assert results[0][1][1] == os.getpid()  # work begins here, and is measured here
        assert bool({pid for _, (_, pid) in results} - {os.getpid()}) == elsewhere
        assert seen.done[-1] == 20


def test_workers_start_while_the_first_task_still_runs_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A shard of large photos takes minutes: its first photos tell enough."""
    monkeypatch.setattr(pace, "clock", time.monotonic)
    monkeypatch.setattr(pace, "START_SECONDS", 0.01)
    end, executor, seen = tmp_path / "end", LatePool(2), Seen(9)

    def advance(count: int) -> None:
        seen.advance(count)
        time.sleep(0.05)
        if seen.done[-1] == 3:
            end.touch()

    assert sorted(run_tasks(executor, report, [(3, end), (3, end), (3, end)], advance, [3, 3, 3])) == [
        (0, 3),
        (1, 3),
        (2, 3),
    ]
    assert executor.pool is not None
    stop_workers(executor)
    assert seen.done[-1] == 9


def test_error_here_ends_the_workers_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pace, "START_SECONDS", 0.0)
    executor = LatePool(2)
    tasks = [(tmp_path, 0, 0.0), (tmp_path, 1, 60.0), (tmp_path, 2, 60.0)]
    results = run_tasks(executor, sleep_and_leave, tasks, sizes=[1, 1, 1])
    next(results)
    wait_until(lambda: (tmp_path / "1.begun").exists(), 120)
    results.close()
    wait_until(lambda: not alive(int((tmp_path / "1.begun").read_text() or os.getpid())), 1.0)
    assert not (tmp_path / "1.done").exists()


def test_two_works_of_one_stage_share_their_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    with workers_for() as executor:
        for _ in range(2):
            with workers_for(shared=executor) as same:
                assert same is executor
                assert sorted(run_tasks(same, fail_at, [(n, 9) for n in range(4)])) == [(n, n) for n in range(4)]
        with workers_for(in_process=True, shared=executor) as other:
            assert isinstance(other, SerialExecutor)
        pids = {pid for _, (_, pid) in run_tasks(executor, double, [(n,) for n in range(4)])}
    wait_until(lambda: not any(alive(pid) for pid in pids), 5.0)


@pytest.mark.parametrize(
    ("seconds", "count", "worth"),
    [(1000.0, 1, False), (19.0, 2, False), (21.0, 2, True), (11.0, 8, False), (12.0, 8, True)],
)
def test_workers_are_worth_twice_their_start(seconds: float, count: int, worth: bool) -> None:
    assert pace.worth_workers(seconds, count) == worth


def test_pace_leaves_out_what_the_first_units_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([30.0, 30.0, 34.0, 38.0])
    monkeypatch.setattr(pace, "clock", lambda: next(times))
    measured = pace.Pace()
    assert [measured.seconds(done) for done in (2, 2, 4, 10)] == [0.0, 0.0, 2.0, 1.0]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_no_tasks_give_no_results(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", workers)
    executor = make_executor()
    assert list(run_tasks(executor, double, [])) == []
    stop_workers(executor)


def test_where_the_work_cannot_be_shared_it_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    assert isinstance(make_executor(in_process=True), SerialExecutor)


def test_unknown_executor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_EXECUTOR", "ray")
    with pytest.raises(UserError, match="WSSS_EXECUTOR: found 'ray', expected 'local'"):
        make_executor()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_error_of_a_task_arrives_as_it_was(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", workers)
    with pytest.raises(UserError) as caught:
        list(run_tasks(make_executor(), fail_at, [(n, 3) for n in range(9)]))
    assert str(caught.value) == "error: number 3: is bad\nfix: take another"


def test_worker_that_is_killed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "1")
    with pytest.raises(EnvError, match="ended unexpectedly"):
        list(run_tasks(make_executor(), die, [(1,)]))


def test_signal_ends_the_workers_within_a_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")

    def interrupt() -> None:
        wait_until(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=interrupt)
    with catch_signals():
        killer.start()
        with pytest.raises(InterruptedStage):
            list(run_tasks(make_executor(), sleep_and_leave, [(tmp_path, n, 60.0) for n in range(4)]))
    killer.join()
    begun = [int(path.read_text()) for path in tmp_path.glob("*.begun")]
    wait_until(lambda: not any(alive(pid) for pid in begun), 1.0)
    assert not list(tmp_path.glob("*.done"))


ABANDON = """
import os, signal, sys, time
from pathlib import Path
from tests.helpers import children, sleep_and_leave
from wsss.core.executor import make_executor
if __name__ == "__main__":
    executor = make_executor()
    for number in range(3):
        executor.submit(sleep_and_leave, Path("."), number, 0.0)
    time.sleep(0.3)
    Path("children").write_text(" ".join(map(str, children(os.getpid()))))
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(2)  # the worker's imports
"""


def test_worker_whose_parent_is_gone_before_it_begins_does_nothing(tmp_path: Path) -> None:
    """Its imports take seconds, as torch does, and the first tasks wait in its queue already."""
    (tmp_path / "abandon.py").write_text(ABANDON)
    with running("abandon.py", cwd=tmp_path, WSSS_WORKERS="2") as run:
        run.wait(60)
        pids = [int(pid) for pid in (tmp_path / "children").read_text().split()]
        assert len(pids) >= 2
        wait_until(lambda: not any(alive(pid) for pid in pids), 60)
    assert not list(tmp_path.glob("*.begun"))


def test_serial_work_stops_between_two_tasks(tmp_path: Path) -> None:
    with catch_signals():
        results = run_tasks(SerialExecutor(), double, [(n,) for n in range(5)])
        assert next(results)[0] == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(InterruptedStage):
            next(results)


def test_caller_that_fails_leaves_no_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    tasks = [(tmp_path, 0, 0.0), (tmp_path, 1, 60.0)]
    results = run_tasks(make_executor(), sleep_and_leave, tasks)
    next(results)
    wait_until(lambda: (tmp_path / "1.begun").exists())
    results.close()  # as happens when the loop over the results raises
    wait_until(lambda: not alive(int((tmp_path / "1.begun").read_text() or os.getpid())), 1.0)
    time.sleep(0.05)
    assert not (tmp_path / "1.done").exists()


class Seen(Progress):
    """Remembers how far it was after each step."""

    def __init__(self, total: int) -> None:
        super().__init__("test", total, "photos")
        self.done: list[int] = []

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        super().advance(steps, note)
        self.done.append(self._done)


def test_units_are_seen_while_their_task_still_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    end, executor, seen = tmp_path / "end", make_executor(), Seen(0)

    def advance(count: int) -> None:
        seen.advance(count)
        if seen.done[-1] == 7:  # neither of the tasks has ended
            end.touch()

    assert sorted(run_tasks(executor, report, [(3, end), (4, end)], advance)) == [(0, 3), (1, 4)]
    stop_workers(executor)
    assert seen.done[-1] == 7


def test_serial_work_tells_of_each_unit_and_its_end_of_no_more(tmp_path: Path) -> None:
    seen = Seen(5)
    assert list(run_counted(SerialExecutor(), report, [(3, None), (2, None)], [3, 2], seen)) == [(0, 3), (1, 2)]
    assert list(dict.fromkeys(seen.done)) == [1, 2, 3, 4, 5]
    unit_done()  # nobody listens any more
    assert seen.done[-1] == 5


@pytest.mark.parametrize("workers", ["0", "2"])
def test_tasks_that_report_nothing_count_when_they_end(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", workers)
    executor, seen = make_executor(), Seen(9)
    list(run_counted(executor, double, [(n,) for n in range(3)], [4, 4, 1], seen))
    stop_workers(executor)
    assert seen.done[-1] == 9


def test_a_worker_that_dies_while_it_reports_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "2")
    with pytest.raises(EnvError, match="ended unexpectedly"):
        list(run_tasks(make_executor(), report_and_die, [(100_000,), (100_000,)], lambda count: None))
