"""One idea on one data set: CAMs of a linear probe, labels, two linear students, scores. The code is the product's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from experiments.lab.remembering import Remembering
from wsss.cams.local import local_levels
from wsss.cams.stage import CamsSettings, compute_cams, find_floor, open_oste, present_cams
from wsss.cams.stuff import find_stuff
from wsss.core.params import Seed, Settings
from wsss.correct.labels import upsample
from wsss.correct.settings import CorrectSettings
from wsss.data.batches import size_batches, to_batch
from wsss.data.index import Index, Record, read_index
from wsss.data.inference import InferenceSettings
from wsss.data.masks import MaskedImages
from wsss.data.photos import Location, Photos
from wsss.data.size import fit_label
from wsss.distill.cells import see_photos
from wsss.distill.data import LabelSource, TrainingData
from wsss.distill.linear import fit_linear
from wsss.distill.networks import make_student, student_card
from wsss.distill.relabel import corrected
from wsss.distill.settings import DistillSettings
from wsss.evaluation.confusion import Confusion
from wsss.evaluation.confusion import scores as scores_of
from wsss.evaluation.thresholds import ThresholdSweep
from wsss.models.linear_student import LinearStudent, linear_levels
from wsss.models.oste import Oste
from wsss.predict.segment import probabilities
from wsss.stores.cams import Cams
from wsss.training.probe import evenly

TRAIN, VAL = 240, 120
"""Photos of a set, at most, spread evenly."""
BATCH = 8
LABEL = "lab"


class Params(Settings):
    """The sections that the chain reads."""

    seed: Seed
    dataset: Location
    cams: CamsSettings
    correct: CorrectSettings
    distill: DistillSettings


@dataclass(frozen=True)
class Labels:
    """Labels in memory, as `distill.data.LabelSource`: by photo, the label (H, W) uint8 and its confidence."""

    found: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8."""
        return self.found[name][0]

    def confidence(self, name: str) -> np.ndarray:
        """(H, W) float32."""
        return self.found[name][1]


@dataclass(frozen=True)
class World:
    """A data set and the frozen network that looks at it. `train`, `val`: its photos; `network`: the probe as an OSTE,
    in the file `oste`.
    """

    index: Index
    train: Photos
    val: Photos
    masks: MaskedImages
    network: Oste
    oste: Path
    backbone: Remembering

    def truth(self, record: Record) -> np.ndarray:
        """(H, W) uint8 at the size that photos are read at; it scores, and trains the upper bound."""
        mask = self.masks.mask(record)
        assert mask is not None
        return fit_label(mask, record.size)

    def masked(self, photos: Photos) -> Photos:
        """Those of `photos` that have a mask."""
        return replace(photos, records=[record for record in photos.records if record.mask is not None])


@dataclass(frozen=True)
class Idea:
    """A variation of the chain: settings by dotted key, and functions that take the place of its own."""

    settings: Mapping[str, Any]
    cams: Callable[[World, Params], dict[str, Cams]] | None = None
    labels: Callable[[World, Params, dict[str, Cams]], Labels] | None = None


def open_world(work: Path, settings: Params) -> World:
    """The set whose stages up to `train` were run in the folder `work`."""
    index, oste = read_index(work / "artifacts" / "dataset"), work / "artifacts" / "oste.pt"
    network = open_oste(oste, index.classes, settings.cams).eval()
    levels = network.backbone.levels
    kept = {*linear_levels(levels), *local_levels(levels), len(levels) - 1}
    most = max(record.height * record.width for record in index.records)
    backbone = Remembering(network.backbone, kept, most, work / "features.pt")
    network.backbone = backbone  # type: ignore[assignment]
    train, val = (
        settings.dataset.photos(evenly(index.split(split), count)) for split, count in (("train", TRAIN), ("val", VAL))
    )
    masks = MaskedImages(settings.dataset.photos(index.records), len(index.classes), dropped=index.dropped)
    return World(replace(index, records=(*train.records, *val.records)), train, val, masks, network, oste, backbone)


def run(world: World, settings: Params, idea: Idea) -> dict[str, float]:
    """mIoU in per cent: `cam` of the maps at their best threshold (an oracle), `labels` of the train photos, 255
    counted as wrong, `first` and `student` of the val photos, after one and two rounds.
    """
    cams = (idea.cams or walked)(world, settings)
    labels = (idea.labels or mixture)(world, settings, cams)
    first, *second = students(world, settings, labels)
    found = {"cam": best_cut(world, cams), "labels": score_labels(world, labels)}
    return found | {"first": first, "student": second[-1] if second else first}


def bound(world: World, settings: Params) -> float:
    """mIoU of the same student trained on masks, in one round; NaN where no train photo has one."""
    world = replace(world, train=world.masked(world.train))
    if not world.train.records:
        return math.nan
    masks = {r.id: (world.truth(r), np.ones(r.size, np.float32)) for r in world.train.records}
    once = settings.distill.model_copy(update={"rounds": 1})
    return students(world, settings.model_copy(update={"distill": once}), Labels(masks))[0]


@torch.inference_mode()
def walked(world: World, settings: Params) -> dict[str, Cams]:
    """As stage `cams`: the maps of all train photos."""
    stuff = find_stuff(world.network, world.index, world.train) if settings.cams.stuff else None
    floor = torch.zeros(world.index.foreground)
    if settings.cams.floor:
        inference = InferenceSettings(batch=BATCH)
        floor = torch.from_numpy(find_floor(world.network, world.index, world.train, settings.cams, inference))
    found: dict[str, Cams] = {}
    for batch in size_batches(world.train.records, BATCH):
        maps = compute_cams(world.network, images_of(world.train, batch), settings.cams)
        enhanced = (maps.enhanced - floor[:, None, None]).relu()
        for number, record in enumerate(batch):
            filled = None
            if stuff and set(stuff.classes) & set(record.tags):
                filled = stuff.of([level[number] for level in maps.local], record.tags)
            found[record.id] = present_cams(enhanced[number], None, record, filled)
    return found


def mixture(world: World, settings: Params, cams: Mapping[str, Cams]) -> Labels:
    """As stage `correct`, by the method of the settings."""
    method, records = settings.correct.made(), world.train.records
    begun = method.begin([cams[r.id] for r in records], method.survey(cams[r.id] for r in records))
    found = {}
    for record, part in zip(records, begun, strict=True):
        made = method.label(world.train.image(record), cams[record.id], part)
        found[record.id] = made.label, made.confidence
    return Labels(found)


def students(world: World, settings: Params, labels: LabelSource) -> list[float]:
    """As stage `distill` with a linear head: mIoU on val after each round."""
    data = TrainingData(world.index, world.train, labels, world.oste, settings.seed)
    distill = settings.distill.planned(world.train.records, world.index.foreground)
    card, cells, found = student_card(world.index, distill), None, []
    for number, part in enumerate(distill.each_round()):
        student = make_student(card, world.oste, data.seed, distill)
        assert isinstance(student, LinearStudent)
        student.backbone = world.backbone  # type: ignore[assignment]
        cells = cells or see_photos(student, data, distill.optim.precision, LABEL)
        fit_linear(student, cells, data, part, LABEL, _unwatched)
        found.append(score_student(world, student))
        if number == 0 and distill.rounds == 2:
            data = replace(data, labels=relabelled(world, student, data.labels, distill), seed=data.seed + 1)
    return found


@torch.inference_mode()
def relabelled(world: World, student: LinearStudent, labels: LabelSource, settings: DistillSettings) -> Labels:
    """As between the rounds of stage `distill`: the labels, corrected by the student."""
    found, rules = {}, settings.relabel
    for batch in size_batches(world.train.records, BATCH):
        views = images_of(world.train, batch)
        coarse = probabilities(lambda x: student.look(x).logits, "student", views, rules.scales, rules.flip)
        sure = F.interpolate(coarse, (views.shape[-2], views.shape[-1]), mode="bilinear", align_corners=False)
        for record, score in zip(batch, sure, strict=True):
            made = corrected(world.train.image(record), score, record, labels, rules)
            found[record.id] = made.labels[0].numpy(), made.confidence[0].numpy()
    return Labels(found)


@torch.inference_mode()
def score_student(world: World, student: LinearStudent) -> float:
    """mIoU in per cent on the val photos, at one scale, without a CRF."""
    counted = Confusion(len(world.index.classes))
    for batch in size_batches(world.masked(world.val).records, BATCH):
        logits = student(images_of(world.val, batch)).float()
        size = (batch[0].height, batch[0].width)
        masks = F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(1).byte().numpy()
        for record, mask in zip(batch, masks, strict=True):
            counted.update(world.truth(record), mask)
    return 100 * counted.scores().miou


def score_labels(world: World, labels: LabelSource) -> float:
    """mIoU in per cent of labels of the train photos, 255 counted as wrong."""
    counted = Confusion(len(world.index.classes))
    for record in world.masked(world.train).records:
        counted.update(world.truth(record), labels.label(record.id))
    return 100 * counted.scores().miou


def best_cut(world: World, cams: Mapping[str, Cams]) -> float:
    """mIoU in per cent of the maps at the threshold that is best for the whole set: an oracle."""
    sweep = ThresholdSweep(len(world.index.classes))
    for record in world.masked(world.train).records:
        found = cams[record.id]
        sweep.update(world.truth(record), upsample(found.scores, record.size), found.classes)
    return 100 * max(scores_of(sweep.at(number)).miou for number in range(len(sweep.thresholds())))


def images_of(photos: Photos, records: Sequence[Record]) -> torch.Tensor:
    """(N, 3, H, W) float 0..255 of photos of one size."""
    return to_batch([photos.image(record) for record in records], torch.device("cpu"))


def _unwatched(epoch: int) -> None:
    """No picture of it is drawn."""
