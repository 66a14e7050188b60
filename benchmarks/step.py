"""Row `step`: a whole training step of OSTE against the bare passes through its backbone.

Everything that is not the backbone (heads, fusion, dense CRF on the crops, energy, optimiser) should cost little beside
it. A ratio of 1 would mean that it costs nothing.
"""

from __future__ import annotations

import torch

from benchmarks.cam import EXPANSION, FUSION, real_photos
from benchmarks.timing import Result, alternate
from wsss.core.device import device, set_threads
from wsss.data.datasets import WeakImages
from wsss.data.transforms import AugmentSettings
from wsss.losses.energy import EnergySettings
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.expansion import ExpansionSettings, split_tiles
from wsss.models.fusion import FusionSettings
from wsss.models.oste import Oste
from wsss.pseudo.crf import DSRG
from wsss.pseudo.fixed import FixedSettings
from wsss.training.loop import make_fabric, make_optimizer, update
from wsss.training.oste import LearnEverything, LossWeights, TrainSettings
from wsss.training.schedule import OptimSettings

CROP, BATCH, THREADS = 256, 8, 2
SETTINGS = TrainSettings(
    output_stride=16,
    dropout=0.5,
    channels=256,
    norm="group",
    freeze_bn=True,
    frozen_levels=1,
    scales=(1.0,),
    expansion=ExpansionSettings.model_validate({**EXPANSION, "enabled": True}, strict=False),
    fusion=FusionSettings.model_validate({**FUSION, "enabled": True}, strict=False),
    enhance=FixedSettings(
        gamma=4.0,
        alpha=0.8,
        crf=DSRG,
    ),
    energy=EnergySettings(enabled=True, sigma_xy=100, sigma_rgb=15, stride=8, gate="soft"),
    weights=LossWeights(cls=1.0, tiles=1.0, mae=1.0, seg=1.0, energy=0.1, ecr=1.0),
    warmup_epochs=0,
    augment=AugmentSettings(crop=CROP, scale=(0.7, 1.5), flip=True, jitter=0.2),
    optim=OptimSettings(
        epochs=1,
        batch=BATCH,
        lr=0.001,
        head_lr_factor=10,
        momentum=0.9,
        weight_decay=1e-4,
        power=0.9,
        warmup_steps=0,
        clip_norm=0.0,
        precision="32-true",
    ),
)


def run() -> list[Result]:
    """EfficientNet-Lite0 at stride 16, 8 crops of 256 of real photos, tilings 2 and 4, everything switched on."""
    set_threads(THREADS)
    index, photos = real_photos()
    torch.manual_seed(0)
    backbone = build_backbone(BackboneSettings(name="efficientnet_lite0", output_stride=16, weights="imagenet"))
    parts = (SETTINGS.dropout, SETTINGS.channels, SETTINGS.norm, SETTINGS.expansion, SETTINGS.fusion)
    network = Oste(backbone, index.foreground, *parts)
    freeze_batch_norm(network.backbone)
    freeze_levels(network.backbone, SETTINGS.frozen_levels)
    fabric = make_fabric(SETTINGS.optim.precision)
    wrapped, optimizer = fabric.setup(network, make_optimizer(network, SETTINGS.optim))
    task = LearnEverything(network, SETTINGS)
    samples = WeakImages(photos, index.foreground, 0, SETTINGS.augment)
    items = [samples[0, number] for number in range(BATCH)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    images = batch["image"].float().to(device())
    values: dict[str, float] = {}

    def ours() -> None:
        values.update(update(fabric, task, wrapped, optimizer, batch, 0.0))

    def reference() -> None:
        for view in (images, *(split_tiles(images, n) for n in SETTINGS.expansion.tilings)):
            backbone(view)[-1].sum().backward()

    seconds, reference_seconds = alternate(ours, reference)
    quality = {"photos_per_s": BATCH / seconds, "labelled": values["labelled"]}
    reference_name = "bare forward and backward of the backbone on the crops and on the tiles of each tiling"
    return [Result("step", reference_name, seconds, reference_seconds, reference_seconds / seconds, 1 / 1.15, quality)]
