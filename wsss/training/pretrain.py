"""Training of the classifier on image tags: a linear probe, then, if it is to be tuned, gentle tuning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import nn

from wsss.core.environment import leads
from wsss.core.errors import UserError
from wsss.core.params import Settings
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.photos import Photos
from wsss.data.samples import Batch, WeakImages
from wsss.data.transforms import AugmentSettings
from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, architecture_of, weights_source
from wsss.models.checkpoint import CLASSIFIER, NetworkCard, save_network
from wsss.models.classifier import Classifier, build_classifier
from wsss.numeric.device import device
from wsss.training.answers import Answers
from wsss.training.judge import TagJudge, TagTable
from wsss.training.loop import History, fit
from wsss.training.probe import MOST_TRAIN, centre_maps, evenly, fit_probe, over_photos, pooled, tags_of
from wsss.training.processes import together
from wsss.training.rules import cropped, planned
from wsss.training.schedule import GentleOptim
from wsss.training.verdict import Verdict, judge_early


class PretrainSettings(Settings):
    """Section `pretrain` of params.yaml."""

    backbone: BackboneSettings = BackboneSettings()
    dropout: float = Field(default=0.5, ge=0, lt=1, description="fraction of channels dropped before the classifier")
    freeze_bn: bool = Field(default=True, description="keep the pretrained backbone's BatchNorm as it is")
    frozen_levels: int = Field(
        default=1, ge=0, le=3, description="the backbone's first levels that keep their pretrained weights"
    )
    probe: bool = Field(default=True, description="begin with a linear probe of the backbone; else with random weights")
    bias: bool = Field(
        default=True,
        description="a class has a bias beside its map, and maps are 0 on average; false: none, as in the papers",
    )
    tune: bool = Field(default=True, description="tune the probe; false: keep the linear probe of the frozen backbone")
    augment: AugmentSettings = AugmentSettings()
    optim: GentleOptim = Field(default_factory=GentleOptim)
    verdict: Verdict = Field(
        default="stop",
        description="if the tags are told no better than by guessing: stop the pipeline, or warn and go on",
    )


CROP = 1.0
"""Of a photo's longer side: the tags are of the whole photo."""


class ClassifyTags:
    """One step: logits of the photos against their tags."""

    monitors: tuple[str, ...] = ()

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.weights = {"cls": 1.0}

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        return {"cls": multilabel_soft_margin(network(batch["image"]), batch["tags"])}


@dataclass(frozen=True)
class Pretrained:
    """Losses by epoch (none if the probe is not tuned); what is known of held-out tags, also before the training."""

    history: History
    tags: TagTable


@together()
def pretrain(
    stage: Stage, index: Index, photos: Photos, seed: int, settings: PretrainSettings, out: Path
) -> Pretrained:
    """Train the classifier on the tags of split train of `index` and write it to `out`.

    It begins as a linear probe of the frozen backbone and is tuned gently; the state that tells the held-out photos'
    tags best is kept, and that may be the probe itself. Raises `UserError` if neither is asked for.
    """
    if not (settings.tune or settings.probe):
        what = "found false, as is pretrain.tune, so that the classifier would keep its random weights"
        raise UserError("pretrain.probe", what, "set one of the two to true")
    torch.manual_seed(seed)
    records = index.split("train")
    optim = planned(settings.optim, stage.name, len(records), index.foreground)
    augment = cropped(settings.augment, records, CROP)
    card = NetworkCard(
        CLASSIFIER,
        settings.backbone,
        {"dropout": settings.dropout, "bias": settings.bias},
        index.classes,
        weights_source(settings.backbone),
        index.sizes,
        architecture=architecture_of(settings.backbone),
        precision=optim.precision if settings.tune else "32-true",  # a probe is solved in 32 bit
    )
    network = build_classifier(card, load_weights=True).to(device())
    epochs = optim.epochs if settings.tune else 0
    judge = TagJudge(network, card, index, photos, epochs, stage.scratch / "tags", stage.name)
    if settings.probe and not (settings.tune and judge.recall(0)):
        begin_from_probe(network, stage, index, photos)
    if not settings.tune:
        if leads():
            judge(0)
            # The probe has centred its maps, and nothing has moved its features since.
            save_network(out, network, card)
        return Pretrained([], judge.table(0))
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    dataset = WeakImages(replace(photos, records=records), index.foreground, seed, augment)
    ids = [record.id for record in records]

    def look(epoch: int) -> None:
        judge(epoch)
        # Random weights know nothing at first, so only what began with a probe is judged before its end.
        if settings.probe and epoch in judge.looks():
            judge_early(stage.name, judge.table(epoch), settings.verdict)

    if leads():
        look(0)
    show = Answers(network, index, photos, look)
    history = fit(ClassifyTags(network), dataset, ids, seed, optim, stage.scratch, stage.name, show)
    tags = judge.table(judge.best())
    if leads():
        judge.restore(tags.kept)
        centre_maps(network.eval(), photos, records, stage.name)
        save_network(out, network, card)
    return Pretrained(history, tags)


def begin_from_probe(network: Classifier, stage: Stage, index: Index, photos: Photos) -> None:
    """Make `network` a linear probe of its backbone as it is. The photos and their flips are one sample each."""
    records = evenly(index.split("train"), MOST_TRAIN)
    network.eval()
    where = next(network.parameters()).device
    seen = over_photos(photos, records, lambda images: both(network, images), where, f"{stage.name}: linear probe")
    straight, flipped = np.split(seen, 2, axis=1)
    tags = tags_of(records, index.foreground)
    probe = fit_probe(np.concatenate([straight, flipped]), np.concatenate([tags, tags]), network.bias)
    network.train()
    probe.put_into(network)


def both(network: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Pooled features of photos and of their flips, side by side: (N, 3, H, W) → (N, 2C)."""
    return torch.cat([pooled(network, images), pooled(network, images.flip(-1))], 1)
