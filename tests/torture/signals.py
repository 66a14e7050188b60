"""Stages and commands that get a signal in their first seconds: one line or none, an exit code, no traceback."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.torture.finished import STAGES, Run, before, start

FIRST = 4.0
"""Seconds in which the signal comes, from our first line on: what is before it is Python's own."""
COMMANDS = (
    "check params.yaml",
    "inspect artifacts/student.pt",
    "predict artifacts/student.pt data/demo -o found",
    "export --to onnx artifacts/student.pt student.onnx",
    "plan params.yaml",
    "explain",
    "verify",
)
STARTING = " before anything was begun; the same command starts again\n"


def signal_once(run: Run, folder: Path, rng: random.Random) -> list[str]:
    """Send a stage or a command one signal in a copy of `run`. Returns what is wrong."""
    stage, number = rng.choice(STAGES[1:]), rng.choice((signal.SIGINT, signal.SIGTERM))
    module = rng.choice((f"pipeline.{stage}", f"wsss {rng.choice(COMMANDS)}"))
    process = start(before(run, folder, stage) if module.startswith("pipeline") else run.copied(folder), stage, module)
    while process.poll() is None and not _catches(process.pid, signal.SIGTERM):
        time.sleep(0.005)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=rng.uniform(0, FIRST))
    with suppress(ProcessLookupError):  # to it alone, as `kill` does, or to all that it has started, as a terminal
        os.kill(rng.choice((process.pid, -process.pid)), number)
    _, errors = process.communicate(timeout=120)
    said = errors[-400:]
    wrong = process.returncode not in (0, 75, 130, 143) or any(text in errors for text in ("Traceback", "error: "))
    if process.returncode == 75 and errors.endswith(STARTING):
        wrong = wrong or errors.count("\n") > 1
    return [f"{module}, {number.name}: exit {process.returncode}: {said}"] if wrong else []


def _catches(pid: int, number: signal.Signals) -> bool:
    """True once process `pid` has a handler for the signal."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
