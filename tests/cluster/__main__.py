"""`python -m tests.cluster N [SEED]`: stages run on a Dask cluster whose workers are killed at N random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
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
"""How often each of `MAPPED` is taken: `distill` trains for longer than it relabels."""
MOST = 3
"""Kills in one run."""


def main(count: int, seed: int) -> int:
    """Print each run as it ends, and the figure. Returns 1 if one was wrong."""
    if why := lacking():
        raise SystemExit(why)
    runs = kills = wrong = 0
    with tempfile.TemporaryDirectory() as place, hosts(4, Path(place) / "hosts") as machines:
        finished = finish(Path(place) / "a project 100 %", shard_size=1)
        expected = results(finished, *MAPPED)
        with scheduler(machines[0]):
            while kills < count:
                rng = random.Random(f"{seed} {runs}")
                stage = rng.choices(MAPPED, WEIGHTS)[0]
                folder = without(finished, Path(place) / str(runs), stage)
                hit, problem = run_killing(machines, folder, stage, expected, rng)
                runs, kills, wrong = runs + 1, kills + hit, wrong + bool(problem)
                click.echo(f"{stage}: {hit} kills{problem}")
    click.echo(f"{kills} kills in {runs} runs, of which {runs - wrong} with the same bytes (seed {seed})")
    return 1 if wrong else 0


def run_killing(machines: list[Host], folder: Path, stage: str, expected: Bytes, rng: random.Random) -> tuple[int, str]:
    """Run `stage` with three workers. Some are killed, or the processes of their tasks; new ones take their places.

    Returns the kills that met the stage at work, and what was wrong.
    """
    first, *others = machines
    kills = 0
    with ExitStack() as stack:

        def begin(host: Host) -> subprocess.Popen[str]:
            return stack.enter_context(worker(first, host, nanny=rng.random() < 0.5))

        workers = {host: begin(host) for host in others}
        process = stack.enter_context(started(folder, stage, WSSS_EXECUTOR=f"dask://{first.address}:{PORT}"))
        runs = folder / ".scratch/runs"
        while process.poll() is None and not (runs.is_dir() and any(path.is_dir() for path in runs.iterdir())):
            time.sleep(0.05)  # distill trains first
        while kills < MOST:
            try:
                process.wait(rng.uniform(1.0, 12.0))
                break
            except TimeoutExpired:
                host = rng.choice(others)
                below = children(workers[host].pid)
                if below and rng.random() < 0.5:
                    os.kill(rng.choice(below), signal.SIGKILL)
                else:
                    os.killpg(workers[host].pid, signal.SIGKILL)
                    workers[host] = begin(host)
                kills += process.poll() is None
        try:
            _, errors = process.communicate(timeout=300)
        except TimeoutExpired:
            return kills, ": does not end"
    if process.returncode:
        return kills, f": exit {process.returncode}: {errors[-400:]}"
    made = results(folder, stage)
    return kills, "" if made == {out: expected[out] for out in made} else ": other bytes"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
