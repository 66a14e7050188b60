"""Minutes and memory of each stage on this machine: measured costs times the photos and steps of the plan."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from wsss.core.environment import asked_workers, workers
from wsss.core.pace import worth_workers
from wsss.data.batches import size_batches
from wsss.data.index import Index, Record
from wsss.distill.cells import MEMORY
from wsss.models.linear_student import LINEAR
from wsss.numeric.device import device
from wsss.plan.probe import Probe
from wsss.plan.settings import Params
from wsss.plan.values import Training
from wsss.predict.ways import MOST as MOST_WAYS
from wsss.stores.shards import plan_shards
from wsss.stores.snapshots import PHOTOS as SNAPSHOTS
from wsss.training.crops import LOOKED_AT, SHARES
from wsss.training.judge import HELD_OUT, LOOKS
from wsss.training.probe import BATCH, MOST_TRAIN, MOST_VAL, evenly

START = 8.0
"""Seconds in which a stage imports torch, and its worker processes do; they take them at the same time."""
DRAW = 0.4
"""Seconds in which `gallery` draws a photo, and `index` and `evaluate` read and count ten."""
LOW, HIGH = 0.7, 1.6
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
    train, everything = index.split("train"), index.records
    held = evenly([record for record in everything if record.split == HELD_OUT], MOST_VAL)
    predicted = [record for record in everything if record.split == params.evaluate.split]
    masked = sum(record.mask is not None for record in everything)
    gpu = device().type != "cpu"
    processes = 1 if gpu else max(1, min(workers(), probe.cores // params.inference.threads))

    def steps(stage: str, share: float = 1.0) -> float:
        """Seconds of a training's steps; `share`: pixels of its crops, as part of the smallest ones."""
        if stage not in by_stage:
            return 0.0
        training = by_stage[stage]
        # Cutting crops is the loaders' work, but the cores are the same; a GPU only waits for what it lacks.
        batch = min(training.optim.batch, len(train))
        if training.crops is None:
            return training.steps * probe.costs[stage].of(batch)
        load = probe.costs["load"].scaled(share).of(batch) / max(1, min(workers(), probe.cores))
        compute = probe.costs[stage].scaled(share).of(batch)
        return training.steps * (max(load, compute) if gpu else load + compute)

    def looks(work: str, records: Sequence[Record]) -> float:
        """Seconds in which a training's network sees `records` once."""
        cost = probe.costs[work]
        return len(list(size_batches(records, BATCH))) * cost.once + len(records) * cost.seconds

    def visits(work: str, records: Sequence[Record]) -> float:
        """Seconds in which worker processes, where they are worth it, do their `work` on `records`, shard by shard."""
        cost, groups = probe.costs[work], batches(params, records)
        alone = len(groups) * cost.once + len(records) * cost.seconds
        if asked_workers() is None and not worth_workers(alone, processes):
            return alone
        return START + alone * slower(probe, processes) / processes

    seen, asked = evenly(train, MOST_TRAIN), looks("look", held)
    # Of `pretrain`: the probe looks at photos and their flips; then the maps of what was tuned are centred.
    first = (3 if "pretrain" in by_stage else 2) * looks("probe", seen)
    first += (LOOKS + 1 if "pretrain" in by_stage else 1) * looks("probe", held)
    second, larger = asked, 1.0
    if "train" in by_stage:
        low, high = by_stage["train"].crops or (1, 1)
        chosen = LOOKED_AT * len(SHARES) * probe.costs["look"].seconds if not params.train.augment.crop else 0.0
        second = (LOOKS + 1) * asked + chosen + looks("look", seen) + looks("look", evenly(train, MOST_VAL))
        larger = (high / low) ** 2
    linear = params.distill.head == LINEAR or params.distill.linear_first
    features = looks("look", train) if linear else 0.0
    relabel = visits("relabel", train) if params.distill.rounds > 1 else 0.0
    snapshots = by_stage["distill"].optim.epochs * min(SNAPSHOTS, len(train)) * probe.costs["look"].of(1)
    # Four ways of one network take about as long as the two steps of two networks.
    tagged = [record for record in everything if record.split == HELD_OUT and record.tags]
    ways = looks("evaluate", evenly(tagged, MOST_WAYS)) if params.evaluate.by_tags else 0.0
    seconds: dict[str, tuple[float, float]] = {
        "index": _both(len(everything) * DRAW / 10),
        "pretrain": _both(steps("pretrain") + first),
        "train": (steps("train") + second, steps("train", larger) + second),
        "cams": _both(visits("cams", everything)),
        "correct": _both(visits("correct", everything)),
        "distill": _both(steps("distill") + features + relabel + snapshots),
        "evaluate": _both(visits("evaluate", predicted) + ways + masked * DRAW / 10),
        "gallery": _both(sum(min(len(index.split(name)), params.gallery.images) for name in index.splits()) * DRAW),
    }
    memory = _memory(params, index, by_stage, probe, 0 if gpu else processes)
    return [
        StageEstimate(stage, START + LOW * least, START + HIGH * most, memory.get(stage, 0.0))
        for stage, (least, most) in seconds.items()
    ]


def slower(probe: Probe, processes: int) -> float:
    """By what factor each of so many processes is slower than the probe was: other work wants the same cores."""
    alone, shared = (min(1.0, probe.cores / (count + probe.load)) for count in (1, processes))
    return alone / shared


def _both(seconds: float) -> tuple[float, float]:
    return seconds, seconds


def _memory(params: Params, index: Index, made: dict[str, Training], probe: Probe, processes: int) -> dict[str, float]:
    """Bytes by stage. `processes`: those that look at whole photos beside the stage's own; on a GPU there are none."""
    loaders = workers() * LOADER if processes else 0.0
    found = {}
    for stage, training in made.items():
        step = training.optim.batch * probe.costs[stage].memory
        if training.crops is None:
            found[stage] = probe.settled + step + MEMORY
        else:
            found[stage] = probe.settled + step * (training.crops[1] / training.crops[0]) ** 2 + loaders
    for stage, work in {"cams": "cams", "correct": "correct", "evaluate": "evaluate", "distill": "relabel"}.items():
        each = probe.base + heaviest(params, index.records, stage == "correct") * probe.costs[work].memory
        found[stage] = max(found.get(stage, 0.0), probe.base + max(1, processes) * each if processes else each)
    return found


def batches(params: Params, records: Sequence[Record]) -> list[list[Record]]:
    """The photos that go through a network together: those of one size in one shard, up to `inference.batch`."""
    by_id = {record.id: record for record in records}
    shards = plan_shards(list(by_id), params.inference.shard_size)
    return [
        batch for shard in shards for batch in size_batches([by_id[name] for name in shard.ids], params.inference.batch)
    ]


def heaviest(params: Params, records: Sequence[Record], alone: bool) -> float:
    """Pixels of the largest batch (`alone`: photo), in photos of the mean size."""
    mean = statistics.fmean(record.height * record.width for record in records)
    groups = [[record] for record in records] if alone else batches(params, records)
    return max(sum(record.height * record.width for record in group) for group in groups) / mean
