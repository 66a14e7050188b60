"""The work of each stage on one photo or crop, made of the stages' own functions, for `plan.probe` to time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import psutil
import torch
from torch import nn

from wsss.cams.stage import compute_cams, keeps_raw, present_cams
from wsss.core.errors import WsssError
from wsss.core.system import cores
from wsss.data.batches import to_batch
from wsss.data.index import Index
from wsss.data.photos import Photos
from wsss.data.samples import Batch, TrainingSamples, WeakImages
from wsss.distill.data import LabelledImages
from wsss.distill.networks import FrozenOste, ProjectedStudent, Students, student_shape
from wsss.distill.relabel import corrected
from wsss.distill.step import DistillStep
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import CLASSIFIER, OSTE, STUDENT, NetworkCard
from wsss.models.classifier import build_classifier
from wsss.models.linear_student import LinearStudent
from wsss.models.oste import Oste, build_oste
from wsss.models.student import build_student
from wsss.numeric.device import device, set_threads
from wsss.plan.labels import HalfLabelled
from wsss.plan.linear import linear_step
from wsss.plan.probe import UNITS, Cost, Probe, Timer, resident
from wsss.plan.settings import Params
from wsss.plan.values import Training
from wsss.predict.segment import predict, predict_oste, probabilities
from wsss.stores.cams import Cams
from wsss.training.batches import collate
from wsss.training.judge import scores
from wsss.training.loop import Task, make_optimizer
from wsss.training.oste import LearnEverything, shape_of
from wsss.training.pretrain import ClassifyTags
from wsss.training.probe import evenly, pooled
from wsss.training.schedule import OptimSettings

SIDE = 320
"""Longest side of the piece of a photo that is worked on, pixels; costs grow with the pixels."""
CROP = 256
"""Largest crop that is trained on."""
N = TypeVar("N", bound=nn.Module)


def probe(params: Params, index: Index, photos: Photos, made: tuple[Training, ...]) -> Probe:
    """Time every kind of work of the pipeline; `made`: its trainings. Costs are of the photos' mean size, and of crops
    of the smallest side of each training. The state of torch is as before.
    """
    begin, load = time.perf_counter(), psutil.getloadavg()[0]
    with _untouched():
        work = _Work(params, index, photos, {training.stage: training for training in made})
        base = resident()
        costs = work.costs()
        settled = max(base, resident())
    return Probe(costs, base, settled, time.perf_counter() - begin, cores(), load)


@contextmanager
def _untouched() -> Iterator[None]:
    threads, mode, seed = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.set_rng_state(seed)


class _Work:
    def __init__(self, params: Params, index: Index, photos: Photos, made: dict[str, Training]) -> None:
        self.params, self.index, self.made, self.where = params, index, made, device()
        self.timer = Timer()
        self.photos = replace(photos, records=evenly(index.split("train"), UNITS))
        classes, where = index.classes, self.where
        section = params.pretrain
        card = NetworkCard(
            CLASSIFIER, section.backbone, {"dropout": section.dropout, "bias": section.bias}, classes, ""
        )
        self.classifier = _trainable(_built(build_classifier, card), section).to(where)
        self.oste = _trainable(self._oste(section.backbone, params.train.output_stride), params.train).to(where)
        self.finer = self._oste(section.backbone, params.cams.output_stride).eval().to(where)
        student = params.distill
        card = NetworkCard(STUDENT, student.backbone, student_shape(student), classes, "")
        self.student = _trainable(_built(build_student, card), student).to(where)

    def _oste(self, backbone: BackboneSettings, stride: int) -> Oste:
        section = self.params.train
        there = backbone.model_copy(update={"output_stride": stride})
        shape = shape_of(section, self.params.pretrain.bias, branch=section.enabled)
        return _built(build_oste, NetworkCard(OSTE, there, shape, self.index.classes, ""))

    def costs(self) -> dict[str, Cost]:
        """Of every kind of work, in seconds as they pass here. What one number of threads does waits alike."""
        found: dict[str, Cost] = {}
        for part in (self.trainings, self.whole_photos):
            self.timer = Timer()
            found |= {name: cost.stretched(self.timer.stretch) for name, cost in part().items()}
        return found

    def trainings(self) -> dict[str, Cost]:
        """Of one crop in a step of each training (`load`: of reading and cutting it), or of one photo's cells."""
        params = self.params
        set_threads(params.compute.threads)
        foreground, seed = self.index.foreground, params.seed
        found: dict[str, Cost] = {}

        def step(stage: str, task: Task, samples: TrainingSamples, optim: OptimSettings, epoch: int) -> None:
            side, units = samples.settings.pixels, len(self.photos.records)

            def load(units: int) -> Batch:
                return collate([samples[epoch, number] for number in range(units)])

            batch = load(units)
            if "load" not in found:
                found["load"] = self.timer.measured(load, units)
            # A step of no length takes as long, and random weights, which may diverge by the first, stay finite.
            optimizer = make_optimizer(task.network, optim.model_copy(update={"lr": 0.0}))
            task.network.train()
            run = _step(task, optimizer, batch, optim, self.where)
            smallest, _ = self.made[stage].crops or (side, side)
            found[stage] = self.timer.measured(run, units).scaled((smallest / side) ** 2)

        first, second, third = params.pretrain, params.train, params.distill
        crops = {stage: {"crop": min(CROP, made.crops[0])} for stage, made in self.made.items() if made.crops}
        if "pretrain" in crops:
            weak = WeakImages(self.photos, foreground, seed, first.augment.model_copy(update=crops["pretrain"]))
            step("pretrain", ClassifyTags(self.classifier), weak, first.optim, 0)
        if "train" in crops:
            cut = second.augment.model_copy(update=crops["train"])
            weak = WeakImages(self.photos, foreground, seed, cut)
            everything = LearnEverything(self.oste, second.model_copy(update={"augment": cut}))
            step("train", everything, weak, second.optim, second.warmup_epochs)
            everything.enhancer.pool.shutdown()

        planned = third.planned(self.index.split("train"), foreground).each_round()[-1]
        if isinstance(self.student, LinearStudent):
            records = self.photos.records
            step_of = linear_step(self.student, records, planned, self.where)
            return found | {"distill": self.timer.measured(step_of, len(records))}
        needs = {need for loss in planned.losses() for need in loss.needs}
        teacher = FrozenOste(self.oste, planned.optim.precision)
        channels = teacher.channels if "features" in needs else None
        students = [ProjectedStudent(self.student, channels).to(self.where) for _ in range(1 + planned.mutual)]
        labels = HalfLabelled({record.id: record for record in self.photos.records})
        cut = planned.augment.model_copy(update=crops["distill"])
        samples = LabelledImages(self.photos, labels, foreground, seed, cut)
        step("distill", DistillStep(Students(*students), teacher, seed, planned), samples, planned.optim, 0)
        return found

    def whole_photos(self) -> dict[str, Cost]:
        """Of one photo of mean size in the stages that look at whole photos, in one of their processes."""
        params, where = self.params, self.where
        for network in (self.classifier, self.oste, self.student):
            network.eval()
        area = statistics.fmean(record.height * record.width for record in self.index.records)
        record = min((r for r in self.photos.records), key=lambda each: abs(each.height * each.width - area))
        image = np.ascontiguousarray(self.photos.image(record)[:SIDE, :SIDE])
        record = replace(record, height=image.shape[0], width=image.shape[1])
        factor = area / (record.height * record.width)
        kept: list[Cams] = []

        def views(units: int) -> torch.Tensor:
            return to_batch([image] * units, where)

        def cams(units: int) -> None:
            enhanced, raw, _ = compute_cams(self.finer, views(units), params.cams)
            kept[:] = [present_cams(enhanced[0], raw[0] if keeps_raw(self.finer, params.cams) else None, record)]

        def correct(units: int) -> None:
            method, maps = params.correct.made(), [kept[0]] * units
            for found, begun in zip(maps, method.begin(maps, method.survey(maps)), strict=True):
                method.label(image, found, begun)

        def relabel(units: int) -> None:
            settings, labels = params.distill.relabel, HalfLabelled({record.id: record})
            coarse = probabilities(
                lambda x: self.student.look(x).logits, "student", views(units), settings.scales, settings.flip
            )
            whole = nn.functional.interpolate(coarse, image.shape[:2], mode="bilinear", align_corners=False).cpu()
            for each in whole:
                corrected(image, each, record, labels, settings)

        def evaluate(units: int) -> None:
            predict(self.student, "student", [image] * units, params.evaluate, where)
            predict_oste(self.oste, [image] * units, params.evaluate, where)

        found = {
            "probe": self.timer.measured(_silent(lambda units: pooled(self.classifier, views(units)))),
            "look": self.timer.measured(_silent(lambda units: scores(self.oste, views(units)))),
        }
        set_threads(params.inference.threads)
        runs = {"cams": cams, "correct": correct, "relabel": relabel, "evaluate": evaluate}
        found |= {name: self.timer.measured(_silent(run)) for name, run in runs.items()}
        return {name: cost.scaled(factor) for name, cost in found.items()}


def _step(
    task: Task, optimizer: torch.optim.Optimizer, batch: Batch, optim: OptimSettings, where: torch.device
) -> Callable[[int], None]:
    """An update by the first crops of `batch`, as `training.loop` makes it."""
    dtype = torch.float16 if optim.precision == "16-mixed" else torch.bfloat16

    def run(units: int) -> None:
        part = {name: tensor[:units].to(where) for name, tensor in batch.items()}
        part["image"] = part["image"].float()
        with torch.autocast(where.type, dtype, enabled=optim.precision != "32-true"):
            terms = task.terms(task.network, part)
        loss = sum(weight * terms[name].mean() for name, weight in task.weights.items())
        optimizer.zero_grad()
        torch.autograd.backward(torch.as_tensor(loss))
        optimizer.step()

    return run


def _built(build: Callable[[NetworkCard, bool], N], card: NetworkCard) -> N:
    """The network with its weights, or without those that are not there yet: random numbers take as long."""
    try:
        return build(card, True)
    except WsssError:
        return build(card, False)


def _trainable(network: N, section: Any) -> N:
    """With the levels and the normalisation frozen that the stage's `section` freezes."""
    if section.freeze_bn:
        freeze_batch_norm(network.backbone)  # type: ignore[arg-type]
    freeze_levels(network.backbone, section.frozen_levels)  # type: ignore[arg-type]
    return network


def _silent(run: Callable[[int], object]) -> Callable[[int], object]:
    """`run` without gradients."""

    def inside(units: int) -> object:
        with torch.inference_mode():
            return run(units)

    return inside
