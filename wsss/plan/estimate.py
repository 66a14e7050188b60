"""Minutes and memory of each stage on this machine: measured costs times the photos and steps of the plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from wsss.core.environment import workers
from wsss.data.index import Index
from wsss.numeric.device import device
from wsss.plan.probe import Probe
from wsss.plan.settings import Params
from wsss.plan.values import Training
from wsss.stores.shards import plan_shards
from wsss.stores.snapshots import PHOTOS as SNAPSHOTS
from wsss.training.crops import LOOKED_AT, SHARES
from wsss.training.judge import HELD_OUT, LOOKS
from wsss.training.probe import MOST_TRAIN, MOST_VAL

START = 8.0
"""Seconds in which a stage imports torch, and its worker processes do; they take them at the same time."""
DRAW = 0.4
"""Seconds in which `gallery` draws a photo, and `index` and `evaluate` read and count ten."""
LOW, HIGH = 0.7, 1.5
"""A probe of seconds is off by this much: other work, memory that is shared, larger batches."""
LOADER = 350e6
"""Bytes of a process that cuts crops: the libraries, and a few photos."""


@dataclass(frozen=True)
class StageEstimate:
    """`low` and `high`: seconds; `memory`: bytes of all of its processes at the worst moment (on a GPU: there)."""

    stage: str
    low: float
    high: float
    memory: float


def estimate(params: Params, index: Index, made: tuple[Training, ...], probe: Probe) -> list[StageEstimate]:
    """Every stage from `index` to `gallery`, in order."""
    by_stage = {training.stage: training for training in made}
    train, photos = len(index.split("train")), len(index.records)
    held = min(MOST_VAL, sum(record.split == HELD_OUT for record in index.records))
    predicted = sum(record.split == params.evaluate.split for record in index.records)
    masked = sum(record.mask is not None for record in index.records)
    together = largest_batch(params, index)
    # Of one photo among those that go through a network together; corrections are made one by one.
    costs = {name: cost.of(together) / together for name, cost in probe.costs.items()}
    gpu = device().type == "cuda"
    processes = 1 if gpu else max(1, min(workers(), probe.cores // params.inference.threads))
    looks = (LOOKS + 1) * held if held else 0

    def steps(stage: str, share: float = 1.0) -> float:
        """Seconds of a training's steps; `share`: pixels of its crops, as part of the smallest ones."""
        training = by_stage[stage]
        # Cutting crops is the loaders' work, but the cores are the same; a GPU only waits for what it lacks.
        batch = min(training.optim.batch, train)
        load = probe.costs["load"].scaled(share).of(batch) / max(1, min(workers(), probe.cores))
        compute = probe.costs[stage].scaled(share).of(batch)
        return training.steps * (max(load, compute) if gpu else load + compute)

    low, high = by_stage["train"].crops
    larger = (high / low) ** 2
    chosen = LOOKED_AT * len(SHARES) if not params.train.augment.crop else 0
    second = (chosen + looks + min(train, MOST_TRAIN) + min(train, MOST_VAL)) * costs["look"]
    relabel = train * costs["relabel"] / processes if params.distill.rounds > 1 else 0.0
    snapshots = by_stage["distill"].optim.epochs * min(SNAPSHOTS, train) * costs["look"]
    seconds: dict[str, tuple[float, float]] = {
        "index": _both(photos * DRAW / 10),
        "pretrain": _both(
            steps("pretrain") + (2 * min(train, MOST_TRAIN) + looks + min(train, MOST_TRAIN)) * costs["probe"]
        ),
        "train": (steps("train") + second, steps("train", larger) + second),
        "cams": _both(START + photos * costs["cams"] / processes),
        "correct": _both(START + photos * costs["correct"] / processes),
        "distill": _both(2 * START + steps("distill") + relabel + snapshots),
        "evaluate": _both(START + predicted * costs["evaluate"] / processes + masked * DRAW / 10),
        "gallery": _both(len(index.splits()) * min(photos, params.gallery.images) * DRAW),
    }
    memory = _memory(params, index, by_stage, probe, 0 if gpu else processes)
    return [
        StageEstimate(stage, START + LOW * least, START + HIGH * most, memory.get(stage, 0.0))
        for stage, (least, most) in seconds.items()
    ]


def _both(seconds: float) -> tuple[float, float]:
    return seconds, seconds


def _memory(params: Params, index: Index, made: dict[str, Training], probe: Probe, processes: int) -> dict[str, float]:
    """Bytes by stage. `processes`: those that look at whole photos beside the stage's own; on a GPU there are none."""
    loaders = workers() * LOADER if processes else 0.0
    found = {}
    for stage, training in made.items():
        largest = (training.crops[1] / training.crops[0]) ** 2
        found[stage] = probe.base + training.optim.batch * probe.costs[stage].memory * largest + loaders
    for stage, work in {"cams": "cams", "correct": "correct", "evaluate": "evaluate", "distill": "relabel"}.items():
        size = 1 if stage == "correct" else largest_batch(params, index)
        each = probe.base + size * probe.costs[work].memory
        found[stage] = max(found.get(stage, 0.0), probe.base + max(1, processes) * each if processes else each)
    return found


def largest_batch(params: Params, index: Index) -> int:
    """The most photos that go through a network at once: those of one size in one shard, up to `inference.batch`."""
    sizes = {record.id: (record.height, record.width) for record in index.records}
    shards = plan_shards(list(sizes), params.inference.shard_size)
    most = max(max(Counter(sizes[name] for name in shard.ids).values()) for shard in shards)
    return min(params.inference.batch, most)
