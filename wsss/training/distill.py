"""Training of the student on pseudo-labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from wsss.core.errors import UserError
from wsss.core.params import Settings
from wsss.core.stage import Stage
from wsss.data.datasets import Batch, LabelSource, Photos, PseudoImages
from wsss.data.index import IGNORE, Index
from wsss.data.transforms import AugmentSettings
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, weights_source
from wsss.models.checkpoint import NetworkCard, build_network, load_network, save_network
from wsss.models.student import Student
from wsss.training.loop import History, fit
from wsss.training.schedule import OptimSettings


class DistillSettings(Settings):
    """Section `distill` of params.yaml."""

    init: Literal["oste", "pretrained"] = Field(
        description="start the backbone from the trained OSTE (the same architecture) or from backbone.weights"
    )
    backbone: BackboneSettings
    # With 16, a group of GroupNorm would be the one channel of a pooled map: always 0, and an error for one photo.
    channels: int = Field(ge=32, multiple_of=16, description="width of the student's head")
    dropout: float = Field(ge=0, lt=1)
    freeze_bn: bool = Field(description="keep BatchNorm statistics and affine of the pretrained backbone as they are")
    frozen_levels: int = Field(ge=0, le=3, description="the backbone's first levels that keep their pretrained weights")
    confidence_weights: bool = Field(description="weigh each pixel by the confidence of its pseudo-label")
    augment: AugmentSettings
    optim: OptimSettings


class FollowLabels:
    """One step: cross-entropy against pseudo-labels, background and foreground balanced."""

    monitors: tuple[str, ...] = ()

    def __init__(self, network: nn.Module, confidence_weights: bool) -> None:
        self.network, self.confidence_weights = network, confidence_weights
        self.weights = {"seg_background": 1.0, "seg_foreground": 1.0}

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        confidence = batch["confidence"].float() / 255.0
        if not self.confidence_weights:
            confidence = torch.ones_like(confidence)
        background, foreground = balanced_cross_entropy(network(batch["image"]), batch["label"], confidence)
        return {"seg_background": background, "seg_foreground": foreground}


def distill(
    stage: Stage,
    index: Index,
    photos: Photos,
    labels: LabelSource,
    oste: Path,
    seed: int,
    settings: DistillSettings,
    out: Path,
) -> History:
    """Train the student on the pseudo-labels of `photos` and write it to `out`. Returns the history.

    `oste` is the network file that the student may start from.
    """
    ids = [record.id for record in photos.records]
    if all(bool((labels.label(name) == IGNORE).all()) for name in ids):
        raise UserError(
            "pseudo-labels",
            f"not one pixel of {len(ids)} photos is labelled, so there is nothing to learn",
            "lower correct.fixed.alpha, or train the classifier longer (pretrain.optim.epochs)",
        )
    torch.manual_seed(seed)
    shape = {"channels": settings.channels, "dropout": settings.dropout}
    card = NetworkCard("student", settings.backbone, shape, index.classes, weights_source(settings.backbone))
    network = build_network(card, load_weights=settings.init == "pretrained")
    assert isinstance(network, Student)
    if settings.init == "oste":
        start_from(network, oste, index, settings.backbone)
    if settings.freeze_bn:
        freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, settings.frozen_levels)
    dataset = PseudoImages(photos, labels, seed, settings.augment)
    task = FollowLabels(network, settings.confidence_weights)
    history = fit(task, dataset, ids, seed, settings.optim, stage.scratch, stage.name)
    save_network(out, network, card)
    return history


def start_from(network: Student, oste: Path, index: Index, backbone: BackboneSettings) -> None:
    """Copy OSTE's trained backbone into `network`; its strides may differ, its architecture may not."""
    trained, card = load_network(oste, "oste", index.classes)
    if card.backbone.name != backbone.name:
        raise UserError(
            "distill.init",
            f"OSTE is a {card.backbone.name} and the student a {backbone.name}",
            "set distill.init: pretrained, or give both the same backbone",
        )
    network.backbone.load_state_dict(trained.backbone.state_dict())
