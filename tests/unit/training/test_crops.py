"""Crops that still show what the tags say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers import CLASSES
from tests.toy_tags import coloured, pretrain_toy
from wsss.data.transforms import AugmentSettings
from wsss.models.classifier import load_classifier
from wsss.training import crops
from wsss.training.crops import smallest_crop

STILL = AugmentSettings(scale=(1.0, 1.0), jitter=0.0, flip=False)


def chosen(folder: Path) -> int:
    pretrain_toy(folder)
    network, _ = load_classifier(folder / "backbone.pt", CLASSES)
    network.train()
    index, photos = coloured(folder / "photos")
    before = [parameter.clone() for parameter in network.parameters()]
    found = smallest_crop(network, photos, index.split("train"), 3, 0, STILL, "train")
    assert network.training
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    return found.pixels


def test_the_smallest_that_loses_nothing_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {64: 0.09, 128: 0.1, 192: 0.1}
    monkeypatch.setattr(crops, "pixels", lambda records, share: {0.6: 64, 0.8: 128, 1.0: 192}[share])
    monkeypatch.setattr(crops, "crop_loss", lambda network, samples, progress: losses[samples.settings.pixels])
    assert chosen(tmp_path) == 64
    losses[128] = 0.5  # what a smaller one says then, is chance
    assert chosen(tmp_path) == 192
    losses.update({64: 0.5, 128: 0.1})
    assert chosen(tmp_path) == 128


def test_crops_that_miss_what_is_tagged_have_a_higher_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three patches lie side by side: a crop of a third of the photo shows one or two of them."""
    monkeypatch.setattr(crops, "pixels", lambda records, share: {0.6: 16, 0.8: 32, 1.0: 64}[share])
    assert chosen(tmp_path) == 64
