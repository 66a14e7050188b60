"""Files of small networks with random weights, and real photos, for everything that reads a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.helpers import CLASSES
from tests.toy_oste import SETTINGS as OSTE
from tests.toy_oste import toy_network
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.student import build_student


def write_student(
    path: Path,
    seed: int = 0,
    backbone: str = "tiny",
    stride: int = 16,
    tag_threshold: float | None = None,
    head: str = "aspp",
    precision: str | None = None,
) -> Path:
    """A student that finds every class somewhere, unless a `tag_threshold` rules it out, and then heeds the tags too;
    `precision`: of its card.
    """
    torch.manual_seed(seed)
    settings = BackboneSettings(name=backbone, output_stride=stride, weights="random")
    shape = {"head": "linear"} if head == "linear" else {"channels": 32, "dropout": 0.1}
    # Half the usual exponent, so that a place which takes it for granted is found out.
    heeded = {} if tag_threshold is None else {"tag_exponent": 0.5}
    built = {**shape, "tag_threshold": tag_threshold, **heeded}
    card = NetworkCard("student", settings, built, CLASSES, "random", precision=precision)
    network = build_student(card, load_weights=False)
    nn.init.normal_((network.local if head == "linear" else network.head).weight, std=1.0)
    save_network(path, network, card)
    return path


def write_oste(path: Path, branch: bool = True) -> Path:
    """The OSTE of `toy_oste`, with its segmentation branch or without it."""
    network = toy_network()
    nn.init.normal_(network.segmentation[-1].weight, std=1.0)
    if not branch:
        network.segmentation = None
    settings = {
        "dropout": OSTE.dropout,
        "channels": OSTE.channels,
        "norm": OSTE.norm,
        "expansion": OSTE.expansion.model_dump(),
        "fusion": OSTE.fusion.model_dump(),
        **({} if branch else {"branch": False}),
    }
    backbone = BackboneSettings(name="tiny", output_stride=16, weights="random")
    save_network(path, network, NetworkCard("oste", backbone, settings, CLASSES, "random"))
    return path


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of colour: (H, W, 3) uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    return small.repeat(16, 0).repeat(16, 1)[:height, :width].copy()
