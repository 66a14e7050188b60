"""Training of OSTE, Eqs (14)–(22): a warm-up with classification only, then all losses together."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat
from torch import nn

from wsss.core.environment import leads, workers
from wsss.core.errors import UserError
from wsss.core.params import Scale, Settings, unit
from wsss.core.stage import Stage
from wsss.correct.fixed import FixedSettings
from wsss.data.index import IGNORE, Index, Record
from wsss.data.photos import Photos
from wsss.data.samples import Batch, WeakImages
from wsss.data.transforms import AugmentSettings
from wsss.losses.cams import ecr_loss, merge_consistency
from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.energy import EnergySettings, dense_energy
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.checkpoint import OSTE, save_network
from wsss.models.classifier import load_classifier
from wsss.models.expansion import ExpansionSettings, TileTarget, tile_logits
from wsss.models.fusion import FusionSettings
from wsss.models.oste import Oste, OsteOutput, build_oste
from wsss.numeric.device import device
from wsss.training.answers import Answers
from wsss.training.crops import smallest_crop
from wsss.training.enhance import Enhancer
from wsss.training.judge import TagJudge, TagTable
from wsss.training.loop import History, fit
from wsss.training.probe import MOST_VAL, centre_maps, evenly, over_photos, tags_of
from wsss.training.processes import together
from wsss.training.rules import cropped, planned
from wsss.training.schedule import OsteOptim
from wsss.training.verdict import Verdict


class LossWeights(Settings):
    """Weights of the terms of Eq (22)."""

    cls: NonNegativeFloat = Field(default=1.0, description="weight of the classification, Eq (14)")
    tiles: NonNegativeFloat = Field(default=1.0, description="weight of the classification of each tiling, Eq (15)")
    mae: NonNegativeFloat = Field(default=1.0, description="weight of merged against multi-scale CAM, Eq (16)")
    seg: NonNegativeFloat = Field(default=1.0, description="weight of the segmentation, Eq (17)")
    energy: NonNegativeFloat = Field(default=0.1, description="weight of the dense energy, Eqs (18)–(21)")
    ecr: NonNegativeFloat = Field(default=1.0, description="weight of the consistency of the fused CAM")


class TrainSettings(Settings):
    """Section `train` of params.yaml."""

    enabled: bool = Field(
        default=True,
        description="train OSTE; false: its file holds the classifier as it is, with neither expansion, fusion nor a "
        "segmentation branch",
    )
    output_stride: Literal[8, 16, 32] = Field(
        default=16, description="stride of the classifier that training goes on with", json_schema_extra=unit("pixels")
    )
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="fraction of feature channels dropped before the classifier"
    )
    channels: int = Field(
        default=256,
        ge=32,
        le=8192,
        multiple_of=16,
        description="width of the segmentation branch",
        json_schema_extra=unit("channels"),
    )
    norm: Literal["group", "none"] = Field(
        default="group", description="normalisation in the segmentation branch; the paper has none"
    )
    freeze_bn: bool = Field(default=True, description="keep the pretrained backbone's BatchNorm as it is")
    frozen_levels: int = Field(
        default=1, ge=0, le=3, description="the backbone's first levels that keep their pretrained weights"
    )
    scales: tuple[Scale, ...] = Field(
        default=(1.0,),
        min_length=1,
        description="S of Eq (2) in training; each scale but 1 costs a forward pass and carries no gradient",
        json_schema_extra=unit("× the photo's size"),
    )
    expansion: ExpansionSettings = ExpansionSettings()
    fusion: FusionSettings = FusionSettings()
    enhance: FixedSettings = FixedSettings()
    energy: EnergySettings = EnergySettings()
    weights: LossWeights = LossWeights()
    warmup_epochs: int = Field(
        default=1,
        ge=0,
        description="first epochs, of classification alone",
        json_schema_extra=unit("epochs"),
    )
    augment: AugmentSettings = AugmentSettings()
    optim: OsteOptim = Field(default_factory=OsteOptim)
    verdict: Verdict = Field(
        default="stop",
        description="if the tags are told no better than by guessing: stop the pipeline, or warn and go on",
    )


class LearnEverything:
    """One step of OSTE."""

    monitors: tuple[str, ...] = ("labelled", "unlabelled_crops")

    def __init__(self, network: nn.Module, settings: TrainSettings) -> None:
        self.network, self.settings = network, settings
        self.enhancer = Enhancer(settings.enhance, workers())
        weigh, expansion = settings.weights, settings.expansion
        self.weights = {"cls": weigh.cls}
        if expansion.enabled:
            self.weights |= {f"cls_{n}": weigh.tiles for n in expansion.tilings} | {"mae": weigh.mae}
        if settings.fusion.enabled and settings.fusion.loss == "ecr":
            self.weights["ecr"] = weigh.ecr
        self.weights |= {"seg_background": weigh.seg, "seg_foreground": weigh.seg}
        if settings.energy.enabled:
            self.weights["energy"] = weigh.energy

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        settings, images, tags = self.settings, batch["image"], batch["tags"]
        warm_up = int(batch["epoch"][0]) < settings.warmup_epochs
        output: OsteOutput = network(images, settings.scales, warm_up)
        terms = {"cls": multilabel_soft_margin(output.logits, tags)}
        for n, maps in output.tiles.items():
            terms[f"cls_{n}"] = tile_classification(maps, output.prior, tags, n, settings.expansion.cls)
        cams, segmentation = output.cams, output.segmentation
        if cams is None or segmentation is None:
            nothing = Term(images.new_zeros(()), images.new_zeros(()))
            return dict.fromkeys((*self.weights, *self.monitors), nothing) | terms
        started = self.enhancer.start(images, cams.enhanced, tags)
        if cams.merged is not None:
            terms["mae"] = merge_consistency(cams.merged, cams.multiscale, tags)
        if "ecr" in self.weights:
            terms["ecr"] = ecr_loss(cams.enhanced, cams.multiscale, tags, settings.fusion.hardest)
        labels = self.enhancer.labels(started, batch["inside"])
        known = labels != IGNORE
        terms["seg_background"], terms["seg_foreground"] = balanced_cross_entropy(segmentation, labels, known.float())
        if "energy" in self.weights:
            terms["energy"] = dense_energy(segmentation, images, labels, settings.energy, batch["inside"])
        count = known.sum((1, 2)).float()
        pixels, crops = (torch.tensor(float(number), device=images.device) for number in (known.numel(), len(known)))
        return terms | {"labelled": Term(count.sum(), pixels), "unlabelled_crops": Term((count == 0).sum(), crops)}


def tile_classification(maps: torch.Tensor, prior: torch.Tensor, tags: torch.Tensor, n: int, cls: TileTarget) -> Term:
    """Eq (15): multi-label loss of one tiling. Weight: the number of logits.

    `maps`: (N, K, h, w) before ReLU; `prior`: (K,), see `Classifier`; `tags`: (N, K) in {0, 1}.
    """
    logits = tile_logits(maps, n, cls) + prior
    return multilabel_soft_margin(logits, tags.repeat_interleave(len(logits) // len(tags), 0))


@dataclass(frozen=True)
class Trained:
    """Each term by epoch, the fraction of labelled pixels and of crops without any; what is known of held-out tags; and
    `signal`: (K,) the fraction of each class's training photos that have a map with a positive score.
    """

    history: History
    tags: TagTable
    signal: np.ndarray


@together()
def train(
    stage: Stage, index: Index, photos: Photos, classifier: Path, seed: int, settings: TrainSettings, out: Path
) -> Trained:
    """Train OSTE on the tags of split train of `index`, from the network file `classifier`, and write it to `out`.

    The last state is written that still tells the held-out photos' tags as well as the classifier did.
    """
    records = index.split("train")
    optim = planned(settings.optim, stage.name, len(records), index.foreground, least=settings.warmup_epochs + 1)
    settings = settings.model_copy(update={"optim": optim})
    torch.manual_seed(seed)
    trained, before = load_classifier(classifier, index.classes, settings.output_stride)
    if not settings.augment.crop:
        trained.to(device())
        crops = smallest_crop(trained, photos, records, index.foreground, seed, settings.augment, stage.name)
    else:
        crops = cropped(settings.augment, records, settings.augment.crop)
    settings = settings.model_copy(update={"augment": crops})
    _check(settings)
    shape = shape_of(settings, trained.bias, branch=True)
    card = replace(before, kind=OSTE, settings=shape, sizes=index.sizes, precision=optim.precision)
    network = build_oste(card, load_weights=False)
    network.load_state_dict(trained.state_dict(), strict=False)
    network.to(device()).train()
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    dataset = WeakImages(replace(photos, records=records), index.foreground, seed, settings.augment)
    ids = [record.id for record in records]
    task = LearnEverything(network, settings)
    judge = TagJudge(network, card, index, photos, optim.epochs, stage.scratch / "tags", stage.name)
    if leads():
        judge(0)
    history = fit(task, dataset, ids, seed, optim, stage.scratch, stage.name, Answers(network, index, photos, judge))
    tags = judge.table(judge.last_without_loss())
    signal = np.full(index.foreground, np.nan)
    if leads():
        judge.restore(tags.kept)
        centre_maps(network.eval(), photos, records, stage.name)
        signal = signal_of(network, photos, records, index.foreground, stage.name)
        save_network(out, network, card)
    return Trained(history, tags, signal)


def shape_of(settings: TrainSettings, bias: bool, branch: bool) -> dict[str, Any]:
    """What a card holds of an OSTE: its classifier's `bias`, and its modules; without `branch` all of them are off."""
    found: dict[str, Any] = {name: getattr(settings, name) for name in ("dropout", "channels", "norm")} | {"bias": bias}
    for name in ("expansion", "fusion"):
        found[name] = json.loads(getattr(settings, name).model_dump_json()) | ({} if branch else {"enabled": False})
    return found if branch else {**found, "branch": False}


def signal_of(network: Oste, photos: Photos, records: Sequence[Record], foreground: int, label: str) -> np.ndarray:
    """(K,) of the training photos with a tag, the fraction whose class map has a positive score; NaN for a tag without
    photos. On at most `MOST_VAL` photos.
    """
    some = evenly([record for record in records if record.tags], MOST_VAL)
    tags = tags_of(some, foreground)
    where = next(network.parameters()).device
    highest = over_photos(photos, some, lambda images: network.maps(images).amax((2, 3)), where, f"{label}: signal")
    with np.errstate(invalid="ignore"):
        return np.asarray(((highest > 0) & tags).sum(0) / tags.sum(0))


def _check(settings: TrainSettings) -> None:
    """Raise `UserError` if only the warm-up would run, or if tiles would not lie on the grid of the maps."""
    if settings.warmup_epochs >= settings.optim.epochs:
        raise UserError(
            "train.warmup_epochs",
            f"found {settings.warmup_epochs} of {settings.optim.epochs} epochs, so only the classifier would learn",
            f"lower it below {settings.optim.epochs}",
        )
    if settings.expansion.enabled and settings.expansion.cls != "merged":
        step = math.lcm(*settings.expansion.tilings) * settings.output_stride
        if settings.augment.crop % step:
            raise UserError(
                "train.augment.crop",
                f"found {settings.augment.crop}, expected a multiple of {step} "
                f"(tilings {list(settings.expansion.tilings)} at stride {settings.output_stride})",
                "choose such a crop, or set train.expansion.cls: merged",
            )
