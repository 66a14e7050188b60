"""A finished run of seconds, stage by stage without DVC: what the other files of this folder damage."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from tests.helpers import REPO

PARAMS = """\
seed: 0
compute: {threads: 1}
dataset: {root: data/demo, format: folder, masks: masks, classes: classes.txt, long_side: 0}
demo: {train: 20, val: 8, size: 96}
pretrain:
  backbone: {name: tiny, weights: random}
  dropout: 0.0
  probe: false
  verdict: warn
  augment: {crop: 64}
  optim: {epochs: 4, batch: 4, lr: 0.05, warmup_steps: 2}
train:
  dropout: 0.0
  verdict: warn
  augment: {crop: 64}
  optim: {epochs: 2, batch: 4, warmup_steps: 2}
inference: {batch: 4, shard_size: 4}
cams: {scales: [1.0]}
correct: {method: gmm, gmm: {min_scores: 4, min_separation: 0.5}}
distill:
  rounds: 2
  restart: false
  backbone: {name: tiny, weights: random}
  stage1: {epochs: 1}
  stage2: {kl: {enabled: false}}
  augment: {crop: 64}
  optim: {epochs: 2, batch: 4, lr: 0.003}
evaluate: {scales: [1.0]}
gallery: {images: 6}
"""
GRAPH = YAML(typ="safe").load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STAGES = tuple(GRAPH)


@dataclass(frozen=True)
class Run:
    """A folder in which all stages have ended, and the seconds of each."""

    folder: Path
    seconds: dict[str, float]

    def copied(self, folder: Path) -> Path:
        """A copy to damage."""
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(self.folder, folder))


def before(run: Run, folder: Path, stage: str) -> Path:
    """A copy of `run` without what `stage` writes."""
    work = run.copied(folder)
    for out in outputs(stage):
        path = work / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return work


def wrong_at_the_end(run: Run, work: Path, stage: str, **environment: str) -> list[str]:
    """Run `stage` in `work` to its end, and say what is not as in `run`."""
    process = start(work, stage, **environment)
    _, errors = process.communicate(timeout=600)
    problems = []
    if process.returncode:
        problems.append(f"{stage} does not end: {errors[-300:]}")
    else:
        found, wanted = digests(work, stage), digests(run.folder, stage)
        if other := sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name)):
            problems.append(f"{stage} ends with other bytes: {', '.join(other)}")
    if left := left_over(work, stage):
        problems.append(f"{stage} leaves {', '.join(left)}")
    return problems


def outputs(stage: str) -> list[str]:
    """Paths that `stage` writes, as dvc.yaml says."""
    named = [item for key in ("outs", "metrics", "plots") for item in GRAPH[stage].get(key, [])]
    return [next(iter(item)) if isinstance(item, dict) else item for item in named]


def start(folder: Path, stage: str, module: str = "", **environment: str) -> subprocess.Popen[str]:
    """The process of a stage, or of the `module` with arguments that runs it, in a session of its own."""
    ours = {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "WSSS_CHECKPOINT_SECONDS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *(module or f"pipeline.{stage}").split()],
        cwd=folder,
        env={**os.environ, **ours, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


ALL = """
import importlib, json, sys, time
loading = 0.0
for name in sys.argv[1:]:
    begun = time.monotonic()
    stage = importlib.import_module(f"pipeline.{name}")
    loading += time.monotonic() - begun
    begun = time.monotonic()
    stage.main([], standalone_mode=False)
    print(json.dumps([name, loading + time.monotonic() - begun]))
"""


def finish(folder: Path) -> Run:
    """Run all stages in `folder`, in one process; what was loaded up to a stage counts as a part of its seconds."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ALL, *STAGES], cwd=folder, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return Run(folder, dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")))


def left_over(folder: Path, stage: str) -> list[str]:
    """Names of half-made things beside the outputs of `stage`."""
    beside = (path for out in outputs(stage) for path in (folder / out).parent.glob(".*.*.*"))
    return [path.name for path in beside if path.name[1:2] != "w"]


def digests(folder: Path, stage: str) -> dict[str, str]:
    """SHA-256 of every file that `stage` has written."""
    found = {}
    for out in outputs(stage):
        path = folder / out
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found
