"""Two or three runs of one stage at once, one of them perhaps killed: equal bytes, or a refusal that names the first.

They have one output, with the same settings or with others; or, as queued experiments have, an output each, the same
settings and inputs, and one scratch folder.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.torture.finished import PARAMS, STAGES, Run, before, digests, left_over, start, wrong_at_the_end

KINDS = ("same", "other settings", "other output")
OTHER = "other.yaml"
CHANGES = {"seed: 0": "seed: 1", "[1.0]": "[0.75]", "min_scores: 4": "min_scores: 5", "images: 6": "images: 5"}
OTHER_PARAMS = re.sub("|".join(map(re.escape, CHANGES)), lambda found: CHANGES[found[0]], PARAMS)


def race_once(run: Run, folder: Path, rng: random.Random) -> list[str]:
    """Start one stage several times in copies of `run`; once more, if one was killed. Returns what is wrong."""
    stage, kind, count = rng.choice(STAGES[1:]), rng.choice(KINDS), rng.choice((2, 2, 3))
    shutil.rmtree(folder, ignore_errors=True)
    scratch, seconds = folder / "scratch", run.seconds[stage]
    works = [before(run, folder / str(number), stage) for number in range(count if kind == "other output" else 1)]
    (works[0] / OTHER).write_text(OTHER_PARAMS, encoding="utf-8")
    right = [digests(run.folder, stage)]
    if kind == "other settings":
        right.append(_digests_of_others(run, folder / "others", stage))
    runs: list[subprocess.Popen[str]] = []
    for number in range(count):
        module = f"pipeline.{stage}" + f" --params {OTHER}" * (kind == "other settings" and number % 2)
        time.sleep(rng.choice((0.0, rng.uniform(0, seconds))) if runs else 0.0)
        runs.append(start(works[number % len(works)], stage, module, WSSS_SCRATCH=str(scratch)))
    victim = rng.choice(runs) if rng.random() < 0.5 else None
    if victim is not None:
        time.sleep(rng.uniform(0, seconds))
        with suppress(ProcessLookupError):
            os.killpg(victim.pid, signal.SIGKILL)
    problems = []
    for one in runs:
        _, errors = one.communicate(timeout=600)
        others = [other.pid for other in runs if other is not one]
        if not _right_end(one.returncode, errors, others, kind, one is victim):
            problems.append(f"exit {one.returncode} of PID {one.pid}, others {others}: {errors[-400:]}")
    for work in works:
        problems += _wrong_bytes(digests(work, stage), right, victim is not None)
        if victim is not None:
            problems += wrong_at_the_end(run, work, stage, WSSS_SCRATCH=str(scratch))
        problems += [f"{name} is left beside an output" for name in left_over(work, stage)]
    unfinished = kind == "other settings" and victim is not None  # those settings may be meant again
    for place in ("outputs", *(() if unfinished else (stage,))):
        problems += [f"{path.relative_to(folder)} is left" for path in (scratch / place).glob("*")]
    name = f"{count} of {stage}, {kind}{', one killed' if victim else ''}"
    return [f"{name}: {problem}" for problem in problems]


def _right_end(code: int, errors: str, others: list[int], kind: str, victim: bool) -> bool:
    if "this is a bug" in errors or "Traceback" in errors:
        return False
    if code == 0 or (victim and code == -signal.SIGKILL):
        return True
    named = any(f"is being written by another process (PID {pid}: " in errors for pid in others)
    return code == 2 and named and kind != "other output"


def _wrong_bytes(found: dict[str, str], right: list[dict[str, str]], killed: bool) -> list[str]:
    """What is neither the one run's nor the other's; files of both, or too few, only where a run was killed."""
    if not killed:
        return [] if found in right else [f"{', '.join(_other(found, right[0]))}: other bytes, or of two runs"]
    return [f"{name} has other bytes" for name, digest in found.items() if digest not in [of.get(name) for of in right]]


def _other(found: dict[str, str], right: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | right.keys() if found.get(name) != right.get(name))


_others: dict[tuple[Path, str], dict[str, str]] = {}


def _digests_of_others(run: Run, folder: Path, stage: str) -> dict[str, str]:
    """What `stage` writes with the other settings; run once."""
    if (run.folder, stage) not in _others:
        work = before(run, folder, stage)
        (work / OTHER).write_text(OTHER_PARAMS, encoding="utf-8")
        process = start(work, stage, f"pipeline.{stage} --params {OTHER}")
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        _others[run.folder, stage] = digests(work, stage)
    return _others[run.folder, stage]
