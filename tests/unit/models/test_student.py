"""A student that tells the photo's tags leaves improbable classes out of its masks, and nothing else changes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.base_student import IMPROBABLE
from wsss.models.student import Student

CLASSES = 6
THRESHOLD = 0.3


def student(threshold: float | None) -> Student:
    torch.manual_seed(3)
    network = Student(build_backbone(BackboneSettings(name="tiny", weights="random")), CLASSES, 32, 0.1, threshold)
    torch.manual_seed(4)  # whatever the tags' layer has drawn
    nn.init.normal_(network.head.weight, std=1.0)
    if network.tags is not None:
        nn.init.normal_(network.tags.weight, std=2.0)
        nn.init.normal_(network.tags.bias, std=1.0)
    return network.eval()


def photos() -> torch.Tensor:
    return 255 * torch.rand(5, 3, 40, 56, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_only_what_the_whole_photo_makes_probable_is_masked() -> None:
    network, images = student(THRESHOLD), photos()
    assert network.tags is not None
    plain, seen = student(None)(images), network(images)
    last = network.backbone(images)[-1]
    weight, bias = (tensor.double().numpy() for tensor in (network.tags.weight, network.tags.bias))
    out, kept = 0, 0
    for photo in range(len(images)):
        mean = last[photo].double().numpy().mean((1, 2))
        for name in range(CLASSES):
            probability = 1.0 if name == 0 else 1 / (1 + np.exp(-(weight[name - 1] @ mean + bias[name - 1])))
            if probability < THRESHOLD:
                out += 1
                assert (seen[photo, name] == IMPROBABLE).all()
            else:
                kept += 1
                assert torch.equal(seen[photo, name], plain[photo, name])
    assert out > 5
    assert kept > len(images) + 5  # or the case could not tell


@torch.no_grad()
def test_what_is_ruled_out_has_no_probability_at_any_size() -> None:
    """Also after the enlargement, in half precision too."""
    network, images = student(THRESHOLD), photos()
    logits = network(images)
    for kind in (torch.float32, torch.float16):
        enlarged = F.interpolate(logits.to(kind).float(), (123, 77), mode="bilinear", align_corners=False).softmax(1)
        assert torch.isfinite(enlarged).all()
        ruled_out = (logits[:, :, 0, 0] == IMPROBABLE)[:, :, None, None].expand_as(enlarged)
        assert (enlarged[ruled_out] == 0).all()
        assert (enlarged[~ruled_out] > 0).all()


@torch.no_grad()
def test_a_pixel_heeds_the_probability_of_the_tag() -> None:
    """Odds of a class against the background are multiplied with the tag's probability to the power of the weight."""
    plain, network, images = student(THRESHOLD), student(THRESHOLD), photos()
    network.tag_exponent = 2.0
    before, seen = plain(images).softmax(1), network(images).softmax(1)
    tags = plain.look(images).tags
    assert tags is not None
    found = 0
    for photo in range(len(images)):
        for name in range(1, CLASSES):
            probability = 1 / (1 + np.exp(-float(tags[photo, name - 1])))
            if probability >= THRESHOLD:
                found += probability < 0.9
                odds, then = (each[photo, name] / each[photo, 0] for each in (seen, before))
                torch.testing.assert_close(odds, then * probability**2, rtol=1e-4, atol=0)
    assert found > 3  # or the case could not tell


@torch.no_grad()
def test_background_is_never_ruled_out() -> None:
    network = student(THRESHOLD)
    assert network.tags is not None
    network.tags.bias.fill_(-1000)
    assert (network(photos()).argmax(1) == 0).all()


@torch.no_grad()
def test_all_classes_can_be_seen() -> None:
    network, images = student(THRESHOLD), photos()
    assert torch.equal(network.look(images).logits, student(None)(images))


def test_masks_teach_no_tags_and_tags_no_masks() -> None:
    """The head of the one has no gradient from the other."""
    network = student(THRESHOLD)
    assert network.tags is not None
    seen = network.look(photos())
    assert seen.tags is not None
    seen.tags.sum().backward(retain_graph=True)
    assert network.head.weight.grad is None
    assert network.tags.weight.grad is not None
    network.tags.weight.grad = None
    seen.logits.sum().backward()
    assert network.tags.weight.grad is None
