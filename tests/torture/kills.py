"""Stages killed at a random moment, by a signal of the gentle or of the other kind, and run again."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path
from subprocess import TimeoutExpired

from tests.torture.finished import STAGES, Run, digests, left_over, outputs, start

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def kill_once(run: Run, folder: Path, rng: random.Random) -> list[str]:
    """Kill one stage in a copy of `run`, perhaps again in its second run, and let it end. Returns what is wrong."""
    stage, problems = rng.choice(STAGES[1:]), []
    work = run.copied(folder)
    for out in outputs(stage):
        path = work / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
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
    process = start(work, stage)
    _, errors = process.communicate(timeout=600)
    if process.returncode:
        problems.append(f"{stage} does not end: {errors[-300:]}")
    elif digests(work, stage) != digests(run.folder, stage):
        problems.append(f"{stage} ends with other bytes")
    if left := left_over(work, stage):
        problems.append(f"{stage} leaves {', '.join(left)}")
    return problems
