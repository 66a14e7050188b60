"""Training of the classifier on image tags."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field
from torch import nn

from wsss.core.params import Settings
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.photos import Photos
from wsss.data.samples import Batch, WeakImages
from wsss.data.transforms import AugmentSettings
from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, weights_source
from wsss.models.checkpoint import CLASSIFIER, NetworkCard, build_classifier, save_network
from wsss.training.loop import History, fit
from wsss.training.schedule import OptimSettings


class PretrainSettings(Settings):
    """Section `pretrain` of params.yaml."""

    backbone: BackboneSettings = BackboneSettings()
    dropout: float = Field(default=0.5, ge=0, lt=1, description="fraction of channels dropped before the classifier")
    freeze_bn: bool = Field(default=True, description="keep the pretrained backbone's BatchNorm as it is")
    frozen_levels: int = Field(
        default=1, ge=0, le=3, description="the backbone's first levels that keep their pretrained weights"
    )
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
        CLASSIFIER,
        settings.backbone,
        {"dropout": settings.dropout},
        index.classes,
        weights_source(settings.backbone),
        index.sizes,
    )
    network = build_classifier(card, load_weights=True)
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    dataset = WeakImages(photos, index.foreground, seed, settings.augment)
    ids = [record.id for record in photos.records]
    history = fit(ClassifyTags(network), dataset, ids, seed, settings.optim, stage.scratch, stage.name)
    save_network(out, network, card)
    return history
