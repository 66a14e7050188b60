"""`python -m tests.cluster N [SEED]`: N runs of a stage on a Dask cluster; a random worker is killed in each."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import TimeoutExpired

import click

from tests.cluster.chain import MAPPED, Bytes, finish, results, started, without
from tests.cluster.hosts import PORT, Host, hosts, lacking, scheduler, worker
from tests.helpers import children

WEIGHTS = (5, 5, 1, 3)
"""Of `MAPPED`, which `distill` takes longest of."""


def main(count: int, seed: int) -> int:
    """Print each failure as it comes, and the figure. Returns 1 if there was one."""
    if why := lacking():
        raise SystemExit(why)
    failed = killed = 0
    with tempfile.TemporaryDirectory() as place, hosts(4, Path(place) / "hosts") as machines:
        finished = finish(Path(place) / "a project 100 %")
        expected = results(finished, *MAPPED)
        with scheduler(machines[0]):
            for number in range(count):
                rng = random.Random(f"{seed} {number}")
                stage = rng.choices(MAPPED, WEIGHTS)[0]
                folder = without(finished, Path(place) / str(number), stage)
                hit, problem = kill_once(machines, folder, stage, expected, rng)
                killed, failed = killed + hit, failed + bool(problem)
                click.echo(f"{number}: {stage}, {'killed' if hit else 'ended before the kill'}{problem}")
    click.echo(f"{count - failed} of {count} runs with the same bytes, a worker killed in {killed} (seed {seed})")
    return 1 if failed else 0


def kill_once(machines: list[Host], folder: Path, stage: str, expected: Bytes, rng: random.Random) -> tuple[bool, str]:
    """Run `stage` with three workers and kill one, or only the process of its task, at a random moment of its tasks."""
    first, *others = machines
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(first, host, nanny=rng.random() < 0.5)) for host in others]
        executor = f"dask://{first.address}:{PORT}"
        process = stack.enter_context(started(folder, stage, WSSS_EXECUTOR=executor))
        runs = folder / ".scratch/runs"
        while process.poll() is None and not (runs.is_dir() and any(path.is_dir() for path in runs.iterdir())):
            time.sleep(0.05)  # distill trains first
        try:
            process.communicate(timeout=rng.uniform(1.0, 15.0))
        except TimeoutExpired:
            victim = rng.choice(workers)
            below = children(victim.pid)
            if below and rng.random() < 0.5:
                os.kill(rng.choice(below), signal.SIGKILL)
            else:
                os.killpg(victim.pid, signal.SIGKILL)
            hit = process.poll() is None
            try:
                _, errors = process.communicate(timeout=300)
            except TimeoutExpired:
                return hit, ": does not end"
        else:
            hit, errors = False, ""
    if process.returncode:
        return hit, f": exit {process.returncode}: {errors[-400:]}"
    made = results(folder, stage)
    return hit, "" if made == {out: expected[out] for out in made} else ": other bytes"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
