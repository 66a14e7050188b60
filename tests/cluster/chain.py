"""A tiny chain of stages, and what its map-like stages write with one executor or another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from tests.helpers import REPO, running, tree

MAPPED = ("cams", "correct", "distill", "evaluate")
"""Stages that run on shards; `distill` relabels between its two rounds."""
DVC = YAML(typ="safe").load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STAGES = tuple(stage for stage in DVC if stage != "gallery")
PARAMS = """
seed: 0
compute: {threads: 1}
dataset: {root: data/demo, format: folder, masks: masks, classes: classes.txt, long_side: 0}
demo: {train: 20, val: 8, size: 96}
pretrain:
  backbone: {name: tiny, weights: random, output_stride: 16}
  dropout: 0.0
  probe: false
  verdict: warn
  augment: {crop: 64}
  optim: {epochs: 4, batch: 4, lr: 0.05, head_lr_factor: 10, warmup_steps: 2, clip_norm: 0}
train:
  dropout: 0.0
  verdict: warn
  augment: {crop: 64}
  optim: {epochs: 2, batch: 4, lr: 0.01, warmup_steps: 2, clip_norm: 0}
inference: {batch: 4, shard_size: 4}
cams: {scales: [1.0]}
correct:
  method: gmm
  fixed: {gamma: 1.0, alpha: 0.3}
  gmm: {tau_fg: 0.9, min_scores: 4, min_separation: 0.5}
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
PERSON = {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
Bytes = dict[str, dict[str, bytes]]


def outputs(stage: str) -> list[str]:
    """Files and folders that a stage writes."""
    found = [*DVC[stage]["outs"], *(next(iter(item)) for item in DVC[stage].get("metrics", []))]
    return [str(path) for path in found]


def environment(**changes: str) -> dict[str, str]:
    """Of a stage that runs in this process alone, on one thread, if `changes` do not say otherwise."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(REPO), "WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu"}
    return {**os.environ, **own, **changes}


def run(folder: Path, stage: str, check: bool = True, **changes: str) -> str:
    """Run one stage; what it says."""
    command = [sys.executable, "-m", f"pipeline.{stage}"]
    done = subprocess.run(command, cwd=folder, env=environment(**changes), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 or not check, done.stderr
    return done.stderr


@contextmanager
def started(folder: Path, stage: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """One stage at work."""
    with running("-m", f"pipeline.{stage}", cwd=folder, **environment(**changes)) as process:
        yield process


def finish(folder: Path, shard_size: int = 4) -> Path:
    """The whole chain but the gallery in one process, without any worker."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS.replace("shard_size: 4", f"shard_size: {shard_size}"))
    script = "import importlib, sys\nfor stage in sys.argv[1:]:\n"
    script += "    importlib.import_module(f'pipeline.{stage}').main([], standalone_mode=False)\n"
    command = [sys.executable, "-c", script, *STAGES]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def without(finished: Path, folder: Path, *stages: str) -> Path:
    """A copy of the finished chain in which what `stages` write is missing."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".scratch"))
    for out in (out for stage in stages for out in outputs(stage)):
        path = folder / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def call(folder: Path, *command: str, **changes: str) -> str:
    """Run `git` or `dvc` in `folder`; what it says."""
    line = [sys.executable, "-m", *command] if command[0] == "dvc" else command
    env = environment(DVC_NO_ANALYTICS="1", **PERSON, **changes)
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def checkout(finished: Path, folder: Path, stages: Sequence[str]) -> Path:
    """The finished chain as a checkout of git, in which DVC knows that `stages` have run; the others' results go."""
    without(finished, folder, *(stage for stage in STAGES if stage not in stages))
    for name in ("wsss", "pipeline"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPO / name, folder / name)
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "init", "--quiet")
    call(folder, "dvc", "commit", "--quiet", "--force", *stages)
    return folder


def results(folder: Path, *stages: str) -> Bytes:
    """Every byte of what `stages` have written."""
    found = {}
    for out in (out for stage in stages for out in outputs(stage)):
        path = folder / out
        found[out] = tree(path) if path.is_dir() else {"": path.read_bytes()}
        assert found[out], out
    return found
