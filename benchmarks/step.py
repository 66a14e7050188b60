"""Row `step`: a whole training step of OSTE against the bare passes through its backbone.

Everything that is not the backbone (heads, fusion, dense CRF on the crops, energy, optimiser) should cost little beside
it. A ratio of 1 would mean that it costs nothing.
"""

from __future__ import annotations

import torch

from benchmarks.cam import real_photos
from benchmarks.timing import Result, alternate
from wsss.data.samples import WeakImages
from wsss.data.transforms import AugmentSettings
from wsss.losses.energy import EnergySettings
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.expansion import split_tiles
from wsss.models.oste import Oste
from wsss.numeric.device import device, set_threads
from wsss.training.loop import make_learner, update
from wsss.training.oste import LearnEverything, TrainSettings
from wsss.training.schedule import OsteOptim

CROP, BATCH, THREADS = 256, 8, 2
SETTINGS = TrainSettings(
    energy=EnergySettings(stride=8),
    warmup_epochs=0,
    augment=AugmentSettings(crop=CROP),
    optim=OsteOptim(epochs=1, batch=BATCH, lr=0.001, warmup_steps=0),
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
    learner = make_learner(network, SETTINGS.optim)
    task = LearnEverything(network, SETTINGS)
    samples = WeakImages(photos, index.foreground, 0, SETTINGS.augment)
    items = [samples[0, number] for number in range(BATCH)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    images = batch["image"].float().to(device())
    values: dict[str, float] = {}

    def ours() -> None:
        values.update(update(learner, task, batch, 0.0))

    def reference() -> None:
        for view in (images, *(split_tiles(images, n) for n in SETTINGS.expansion.tilings)):
            backbone(view)[-1].sum().backward()

    timing = alternate(ours, reference)
    quality = {"photos_per_s": BATCH / timing.ours, "labelled": values["labelled"]}
    reference_name = "bare forward and backward of the backbone on the crops and on the tiles of each tiling"
    return [timing.row("step", reference_name, 1 / 1.15, quality)]
