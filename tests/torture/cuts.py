"""Stages cut at one call of the file system, killed there or without room from there on, and run again."""

from __future__ import annotations

import random
import re
import signal
from pathlib import Path

from tests.torture.finished import STAGES, Run, before, start, wrong_at_the_end


def cut_once(run: Run, folder: Path, rng: random.Random) -> list[str]:
    """Cut one stage in a copy of `run`, and let it end the second time. Returns what is wrong."""
    stage, how = rng.choice(STAGES[1:]), rng.choice(("kill", "full"))
    number = rng.randint(1, calls(run, folder, stage))
    problems, name = [], f"{stage}, {how} at call {number}"
    work = before(run, folder, stage)
    process = start(work, stage, f"tests.torture.cutting {number} {how} {stage}")
    _, errors = process.communicate(timeout=600)
    if "this is a bug" in errors or "Traceback" in errors:
        problems.append(f"{name}: {errors[-400:]}")
    if how == "kill" and process.returncode not in (0, -signal.SIGKILL):
        problems.append(f"{name}: exit {process.returncode}: {errors[-300:]}")
    if how == "full" and process.returncode not in (0, 2, 3):
        problems.append(f"{name}: exit {process.returncode}: {errors[-300:]}")
    return problems + [f"{name}: then {what}" for what in wrong_at_the_end(run, work, stage)]


_calls: dict[tuple[Path, str], int] = {}


def calls(run: Run, folder: Path, stage: str) -> int:
    """How many calls `stage` makes that change a file; counted once."""
    if (run.folder, stage) not in _calls:
        process = start(before(run, folder, stage), stage, f"tests.torture.cutting 0 count {stage}")
        _, errors = process.communicate(timeout=600)
        found = re.search(r"^calls (\d+)$", errors, re.MULTILINE)
        assert found, errors
        _calls[run.folder, stage] = int(found[1])
    return _calls[run.folder, stage]
