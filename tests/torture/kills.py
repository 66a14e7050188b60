"""Stages killed at a random moment, by a signal of the gentle or of the other kind, and run again."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from subprocess import TimeoutExpired

from tests.torture.finished import STAGES, Run, before, start, wrong_at_the_end

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def kill_once(run: Run, folder: Path, rng: random.Random) -> list[str]:
    """Kill one stage in a copy of `run`, perhaps again in its second run, and let it end. Returns what is wrong."""
    stage, problems = rng.choice(STAGES[1:]), []
    work = before(run, folder, stage)
    for _ in range(rng.choice((1, 1, 2))):
        number = rng.choice(SIGNALS)
        process = start(work, stage)
        try:
            _, errors = process.communicate(timeout=rng.uniform(0.05, 1.1) * run.seconds[stage])
        except TimeoutExpired:
            os.killpg(process.pid, number)
            _, errors = process.communicate(timeout=120)
        # A signal before Python's own first line ends the process as the system has it.
        if process.returncode not in (0, 75, -number):
            problems.append(f"{stage}, {signal.Signals(number).name}: exit {process.returncode}: {errors[-300:]}")
        if "this is a bug" in errors or (process.returncode != -number and "Traceback" in errors):
            problems.append(f"{stage}, {signal.Signals(number).name}: {errors[-300:]}")
    return problems + wrong_at_the_end(run, work, stage)
