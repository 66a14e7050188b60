"""Training of the classifier on image tags."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field
from torch import nn

from wsss.core.params import Settings
from wsss.core.stage import Stage
from wsss.data.datasets import Batch, Photos, WeakImages
from wsss.data.index import Index
from wsss.data.transforms import AugmentSettings
from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, weights_source
from wsss.models.checkpoint import NetworkCard, build_network, save_network
from wsss.training.loop import History, fit
from wsss.training.schedule import OptimSettings


class PretrainSettings(Settings):
    """Section `pretrain` of params.yaml."""

    backbone: BackboneSettings
    dropout: float = Field(ge=0, lt=1, description="share of feature channels dropped before the classifier")
    freeze_bn: bool = Field(description="keep BatchNorm statistics and affine of the pretrained backbone as they are")
    frozen_levels: int = Field(ge=0, le=3, description="the backbone's first levels that keep their pretrained weights")
    augment: AugmentSettings
    optim: OptimSettings


class ClassifyTags:
    """One step: logits of the photos against their tags."""

    monitors: tuple[str, ...] = ()

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.weights = {"cls": 1.0}

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        return {"cls": multilabel_soft_margin(network(batch["image"]), batch["tags"])}


def pretrain(stage: Stage, index: Index, photos: Photos, seed: int, settings: PretrainSettings, out: Path) -> History:
    """Train the classifier on the tags of `photos` and write it to `out`. Returns the history."""
    torch.manual_seed(seed)
    card = NetworkCard(
        "classifier",
        settings.backbone,
        {"dropout": settings.dropout},
        index.classes,
        weights_source(settings.backbone),
    )
    network = build_network(card, load_weights=True)
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    dataset = WeakImages(photos, index.foreground, seed, settings.augment)
    ids = [record.id for record in photos.records]
    history = fit(ClassifyTags(network), dataset, ids, seed, settings.optim, stage.scratch, stage.name)
    save_network(out, network, card)
    return history
