"""Queued experiments, run by two of DVC's workers at once: one scratch folder, one cache of compiled loops."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL

import pytest

from tests.cluster.chain import PERSON, STAGES, Bytes, call, checkout, environment, results, run, without
from tests.helpers import names, wait_until

pytestmark = pytest.mark.slow
ITERATIONS = {"three": 3, "five": 5}
"""Experiments, and the iterations of the CRF that they evaluate with."""
LATE = ("distill", "evaluate")
"""Stages of which the checkout has no results yet."""


class Queue:
    """DVC's queue of a checkout, and what its experiments share."""

    def __init__(self, project: Path, shared: Path) -> None:
        self.project, self.scratch, self.cache = project, shared / "scratch", shared / "numba"
        self.environment = {"WSSS_SCRATCH": str(self.scratch), "NUMBA_CACHE_DIR": str(self.cache)}

    def dvc(self, *arguments: str, **changes: str) -> str:
        """What `dvc` says."""
        return call(self.project, "dvc", *arguments, **self.environment, **changes)

    def add(self, name: str, setting: str, *until: str) -> None:
        """Queue an experiment, of all stages or `until` one."""
        self.dvc("exp", "run", "--queue", "--name", name, "--set-param", setting, *until)

    def start(self, workers: int, **changes: str) -> None:
        """Start DVC's workers. They outlive the command and keep its output open, so nobody may wait for its end."""
        command = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", str(workers)]
        env = environment(**PERSON, **self.environment, **changes)
        subprocess.run(command, cwd=self.project, env=env, check=True, stdout=DEVNULL, stderr=DEVNULL)

    def count(self, state: str) -> int:
        """Experiments that are in this `state` now."""
        return self.dvc("queue", "status").count(f" {state}\n")


@pytest.fixture
def queue(finished: Path, tmp_path: Path) -> Iterator[Queue]:
    """Of a checkout in which the stages up to the pseudo-labels have run, and are committed."""
    early = [stage for stage in STAGES if stage not in LATE]
    project = checkout(finished, tmp_path / "a project 100 %", early)
    call(project, "git", "add", "--all")
    call(project, "git", "commit", "--quiet", "--message", "Pseudo-labels")
    made = Queue(project, tmp_path)
    try:
        yield made
    finally:
        made.dvc("queue", "stop", "--kill")


def alone(finished: Path, folder: Path, iterations: int) -> Bytes:
    """What the late stages write where nothing else runs, with the CRF's `iterations`."""
    without(finished, folder, "evaluate")
    settings = folder / "params.yaml"
    text = settings.read_text().replace("evaluate: {", f"evaluate: {{crf: {{iterations: {iterations}}}, ")
    settings.write_text(text)
    run(folder, "evaluate")
    return results(folder, *LATE)


def test_two_workers_make_what_each_experiment_makes_alone(queue: Queue, finished: Path, tmp_path: Path) -> None:
    """Both train the same student, so one of them waits for the other; what differs they evaluate at once."""
    for name, iterations in ITERATIONS.items():
        queue.add(name, f"++evaluate.crf.iterations={iterations}")
    queue.start(2, NUMBA_DEBUG_CACHE="1")
    wait_until(lambda: queue.count("Running") == 2, 60)
    wait_until(lambda: queue.count("Running") == 0, 400)
    said = {name: queue.dvc("queue", "logs", name) for name in ITERATIONS}
    assert queue.count("Success") == 2, said
    made = {}
    for name, iterations in ITERATIONS.items():
        queue.dvc("exp", "apply", name)
        made[name] = results(queue.project, *LATE)
        assert made[name] == alone(finished, tmp_path / name, iterations), name
    assert made["three"] != made["five"]
    # What stays: the locks of outputs, which are asked for below, and what `wsss watch` shows of ended stages.
    left = [path for path in queue.scratch.glob("*/*") if path.parent.name not in ("outputs", "live")]
    assert left == []
    assert names(queue.scratch / "outputs") == []
    saved = re.findall(r"data saved to '(.*)'", "".join(said.values()))
    assert len(saved) == len(set(saved)) > 5
    assert all(Path(path).is_relative_to(queue.cache) for path in saved)


def test_a_killed_experiment_goes_on_when_it_is_queued_again(queue: Queue) -> None:
    """Its folder is deleted, the first of its two trained students is not."""
    setting = "distill.optim.epochs=60"  # some seconds of training, for the time that `dvc` needs to kill

    def students() -> set[int]:
        return {path.stat().st_ino for path in queue.scratch.glob("distill/*/first.pt")}

    queue.add("first", setting, "distill")
    queue.start(1, WSSS_CHECKPOINT_SECONDS="0")
    wait_until(lambda: list(queue.scratch.glob("distill/*/second/training.pt")), 200)
    queue.dvc("queue", "kill", "first")
    wait_until(lambda: queue.count("Failed") == 1, 60)
    kept = students()
    assert len(kept) == 1
    queue.add("second", setting, "distill")
    queue.start(1)
    seen: set[int] = set()
    wait_until(lambda: seen.update(students()) or queue.count("Queued") + queue.count("Running") == 0, 400)
    assert queue.count("Success") == 1, queue.dvc("queue", "logs", "second")
    assert seen == kept
