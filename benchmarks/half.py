"""Row `half`: the backbone's forward and backward passes in bf16 against 32 bit, and against torch's own gradients.

Where the processor has no bf16 there is nothing to gain, and `precision: auto` stays at 32 bit.
"""

from __future__ import annotations

from contextlib import ExitStack
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.cam import real_photos
from benchmarks.timing import Result, alternate
from wsss.models.backbones import base
from wsss.models.backbones.base import freeze_batch_norm, freeze_levels
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.numeric.device import device, fast_bf16, set_threads

SIDE, BATCH, THREADS = 192, 8, 2


def run() -> list[Result]:
    """EfficientNet-Lite0 at stride 16, 8 real photos cut to 192 pixels."""
    set_threads(THREADS)
    _, photos = real_photos()
    torch.manual_seed(0)
    network = build_backbone(BackboneSettings(name="efficientnet_lite0", output_stride=16, weights="imagenet")).train()
    freeze_batch_norm(network)
    freeze_levels(network, 1)
    some = [torch.from_numpy(photos.image(record)).permute(2, 0, 1) for record in photos.records]
    cut = [image[:, :SIDE, :SIDE] for image in some if min(image.shape[1:]) >= SIDE]
    images = torch.stack(cut[:BATCH]).float().to(device())

    def step(half: bool, own: bool) -> Tensor:
        network.zero_grad(set_to_none=True)
        with ExitStack() as stack:
            if not own:
                stack.enter_context(mock.patch.object(base, "depthwise", _by_torch))
            stack.enter_context(torch.autocast(images.device.type, torch.bfloat16, enabled=half))
            features = network(images)[-1].float()
        features.square().mean().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    exact = step(False, True)
    quality = {"gradient_cosine": float(F.cosine_similarity(step(True, True), exact, 0)), "bf16": fast_bf16()}
    name = "forward and backward of EfficientNet-Lite0, stride 16"
    full = alternate(lambda: step(True, True), lambda: step(False, True))
    torchs = alternate(lambda: step(True, True), lambda: step(True, False))
    return [
        full.row("half", f"{name}: 32-true", 1.4, quality, of_cpu=True),
        torchs.row("half-torch", f"{name}: bf16-mixed, gradients by torch", 2.0, quality, of_cpu=True),
    ]


def _by_torch(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, ...], dilation: int
) -> Tensor:
    return F.conv2d(x, weight, bias, stride, padding, dilation, len(weight))
