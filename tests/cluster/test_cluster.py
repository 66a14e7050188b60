"""The same bytes on every rung, and what becomes of a stage whose workers, scheduler or own process end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.chain import MAPPED, Bytes, environment, results, run, started, without
from tests.cluster.hosts import PORT, Host, hosts, scheduler, worker
from tests.cluster.hosts import lacking as no_hosts
from tests.helpers import IDS, REPO, alive, children, computed, names, running, toy_label, tree, wait_until
from wsss.stores.labels import PseudoStore

pytest.importorskip("distributed", reason="needs Dask: make test-cluster installs it")
pytestmark = pytest.mark.slow
on_hosts = pytest.mark.skipif(bool(no_hosts()), reason=no_hosts())
SHARDS = {
    "cams": "cams/*/store/0*.h5",
    "correct": "correct/*/store/0*.h5",
    "distill": "distill/*/relabelled/0*.h5",
    "evaluate": "evaluate/*/store/0*.h5",
}
"""Where a stage's shards appear, below its scratch folder."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """One for a scheduler, two for workers."""
    with hosts(3, tmp_path_factory.mktemp("hosts")) as found:
        yield found


def at(host: Host) -> str:
    return f"dask://{host.address}:{PORT}"


@contextmanager
def dask(machines: list[Host]) -> Iterator[list[subprocess.Popen[str]]]:
    """A scheduler and two workers, each on a machine of its own; the processes of all three."""
    with scheduler(machines[0]) as first, worker(*machines[:2]) as one, worker(machines[0], machines[2]) as two:
        yield [first, one, two]


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


@on_hosts
def test_workers_elsewhere_write_the_same_bytes(
    machines: list[Host], finished: Path, expected: Bytes, tmp_path: Path
) -> None:
    """They stand in other folders; one is kept by a nanny, and has two threads. Then photos, by `wsss predict`.

    The other stages' bytes are looked at below, where a worker is killed.
    """
    stages = ("cams", "distill")
    folder, scratch = without(finished, tmp_path / "run", *stages), tmp_path / "run/.scratch"
    two = worker(machines[0], machines[2], threads=2, nanny=True)
    with scheduler(machines[0]), worker(*machines[:2]), two:
        for stage in stages:
            said = run(folder, stage, WSSS_EXECUTOR=at(machines[0])).splitlines()
            first = next(line for line in said if line.startswith("cluster: "))
            assert first.startswith(f"cluster: tcp://{machines[0].address}:{PORT}, 2 workers, dashboard http://")
            assert said.index(first) == 0 or stage == "distill"  # which trains first
        for out, executor in (("here", "local"), ("there", at(machines[0]))):
            command = [sys.executable, "-m", "wsss", "predict", "artifacts/student.pt", "data/demo/images", "-o", out]
            env = environment(WSSS_EXECUTOR=executor, OMP_NUM_THREADS="1")
            subprocess.run([*command, "--overlays"], cwd=folder, env=env, check=True)
    made = results(folder, *stages)
    assert made == {out: expected[out] for out in made}
    assert tree(folder / "here") == tree(folder / "there")
    assert len(names(folder / "there/masks")) == 28
    assert names(scratch / "runs") == []


@on_hosts
@pytest.mark.parametrize("stage", MAPPED)
def test_a_killed_worker_changes_no_byte(
    stage: str, machines: list[Host], finished: Path, expected: Bytes, tmp_path: Path
) -> None:
    folder = without(finished, tmp_path / "run", stage)
    with dask(machines) as (_, one, _), started(folder, stage, WSSS_EXECUTOR=at(machines[0])) as process:
        wait_until(lambda: list((folder / ".scratch").glob(SHARDS[stage])) or process.poll() is not None, 200)
        kill(one)
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    made = results(folder, stage)
    assert made == {out: expected[out] for out in made}


@on_hosts
def test_a_killed_scheduler_is_told_and_the_next_run_goes_on(machines: list[Host], tmp_path: Path) -> None:
    command = [str(REPO / "tests/toy_stage.py"), "out", "log", "0.2"]
    env = environment(WSSS_EXECUTOR=at(machines[0]))
    with dask(machines) as (first, *_), running(*command, cwd=tmp_path, **env) as process:
        wait_until(lambda: len(computed(tmp_path / "log")) >= 2 if (tmp_path / "log").exists() else False, 60)
        kill(first)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 3
        assert f"error: WSSS_EXECUTOR={at(machines[0])}: the scheduler is gone" in errors
        assert "run the stage again" in errors
    kept = {path.name: path.stat().st_ino for path in tmp_path.glob(".scratch/correct/*/store/0*.h5")}
    assert kept
    with dask(machines), running(*command, cwd=tmp_path, **env) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert kept.items() <= {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("0*.h5")}.items()
    assert [PseudoStore(tmp_path / "out").label(name).tolist() for name in IDS] == [
        toy_label(name).tolist() for name in IDS
    ]


@on_hosts
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_tasks_elsewhere_end_with_their_stage(number: signal.Signals, machines: list[Host], tmp_path: Path) -> None:
    command = [str(REPO / "tests/toy_stage.py"), "out", "log", "3"]
    with (
        dask(machines) as workers,
        running(*command, cwd=tmp_path, **environment(WSSS_EXECUTOR=at(machines[0]))) as process,
    ):
        wait_until(lambda: list(tmp_path.glob("log/begun-*")), 60)
        tasks = [child for each in workers[1:] for child in children(each.pid)]
        assert any(map(at_work, tasks))
        begun = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=15)
        assert process.returncode == (75 if number != signal.SIGKILL else -signal.SIGKILL), errors
        wait_until(lambda: not any(at_work(pid) for pid in tasks), 10)
        assert time.monotonic() - begun < 12
        time.sleep(4)  # for the next photo, if a task went on
        assert computed(tmp_path / "log") == []
    assert not list(tmp_path.glob(".scratch/correct/*/store/*"))
    if number != signal.SIGKILL:
        assert names(tmp_path / ".scratch/runs") == []


def at_work(pid: int) -> bool:
    """True while the process of a task lives; the resource tracker, which every worker has too, is none."""
    return alive(pid) and "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()


@on_hosts
def test_a_worker_that_cannot_take_part_is_named(machines: list[Host], tmp_path: Path) -> None:
    """It sees another disk, or has other code; or there is no scheduler at all."""
    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    shutil.copytree(REPO / "wsss", other / "wsss", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "wsss/crf/dense.py").open("a") as file:
        file.write("# a comment\n")
    command = [str(REPO / "tests/toy_stage.py"), "out", "log", "0"]
    env = environment(WSSS_EXECUTOR=at(machines[0]))
    name = f"error: worker tcp://{machines[2].address}:"
    for changes, what in (
        ({"hides": work}, f"does not see {work / '.scratch/runs'}\nfix: put the checkout, the data set"),
        ({"code": other}, "has other code than the stage: wsss "),
    ):
        with scheduler(machines[0]), worker(*machines[:2]), worker(machines[0], machines[2], **changes):
            wait_for_workers(machines, 2)
            with running(*command, cwd=work, **env) as process:
                _, errors = process.communicate(timeout=60)
        assert process.returncode in (2, 3), errors
        assert name in errors
        assert what in errors
        assert f"tcp://{machines[1].address}:" not in errors
        assert not list(work.glob(".scratch/correct/*/store/*"))
    begun = time.monotonic()
    with running(*command, cwd=work, **env) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"error: WSSS_EXECUTOR: no Dask scheduler answers at tcp://{machines[0].address}:{PORT}" in errors
    assert time.monotonic() - begun < 20  # ten of them are imports, where the machine is busy


def wait_for_workers(machines: list[Host], count: int) -> None:
    logs = [log for host in machines[1:] for log in host.home.glob("*.log")]
    assert len(logs) >= count
    newest = sorted(logs, key=lambda log: int(log.stem))[-count:]
    wait_until(lambda: all("Registered to" in log.read_text() for log in newest), 60)


TASKS = """
import sys
from tests.helpers import die, double, fail_at
from wsss.core.errors import WsssError
from wsss.core.executor import run_tasks, workers_for

if __name__ == "__main__":
    for function, tasks in ((double, [(n,) for n in range(9)]), (fail_at, [(3, 3)]), (die, [(1,)])):
        try:
            with workers_for(in_process=True) as workers:  # a GPU here says nothing of the workers
                for number, result in sorted(run_tasks(workers, function, tasks)):
                    print(number, result[0])
        except WsssError as error:
            print(error)
"""


@on_hosts
def test_results_and_errors_come_back_and_a_deadly_task_ends(machines: list[Host], tmp_path: Path) -> None:
    with dask(machines):
        wait_for_workers(machines, 2)
        env = environment(WSSS_EXECUTOR=at(machines[0]))
        done = subprocess.run([sys.executable, "-c", TASKS], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert [line.split() for line in done.stdout.splitlines()[:9]] == [[str(n), str(2 * n)] for n in range(9)], done
    raised, fix, deadly, more = done.stdout.splitlines()[9:]
    assert raised.startswith("error: number 3: is bad (worker tcp://10.77.")
    assert fix == "fix: take another"
    assert deadly.startswith("error: worker tcp://10.77.")
    assert deadly.endswith("ended unexpectedly with die, the last of 3 attempts (killed, or out of memory)")
    assert all(f"tcp://{machine.address}:" in deadly for machine in machines[1:])  # each of them has tried
    assert more == "fix: give each worker more memory; finished work is kept: run the stage again"
