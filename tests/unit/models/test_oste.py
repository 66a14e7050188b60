"""OSTE against its definition: what it shares with the classifier, what modules add, and who gets gradient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.helpers import CLASSES
from tests.toy_oste import EXPANSION, FUSION, SETTINGS, altered, toy_network
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.classifier import Classifier
from wsss.models.expansion import tiled_maps
from wsss.models.oste import Activations, Oste, build_oste, load_oste

PLAIN = altered(expansion={"enabled": False}, fusion={"enabled": False})
SCALES = (0.5, 1.0, 1.5)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return 255 * torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def large() -> torch.Tensor:
    """Large enough for the dilated kernels of the segmentation branch to see more than their centre."""
    return 255 * torch.rand(1, 3, 128, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """The same weights as `toy_network`."""
    network = Classifier(build_backbone(BackboneSettings(name="tiny", weights="random")), 3, SETTINGS.dropout)
    found = network.load_state_dict(toy_network().state_dict(), strict=False)
    assert not found.missing_keys
    return network


def activations(network: Oste, images: torch.Tensor, scales: tuple[float, ...] = (1.0,)) -> Activations:
    return network.activations(images, network.backbone(images), scales)


def cam(network: Classifier, image: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Eq (1) of one photo (3, H, W), from the features up: ``Up(ReLU(Σ_c w_k^c F^c))``."""
    features = network.backbone(image[None])[-1][0]
    weights = network.head.weight[:, :, 0, 0]
    scores = torch.stack([sum(w * f for w, f in zip(row, features, strict=True)) for row in weights])
    return F.interpolate(scores.clamp_min(0)[None], grid, mode="bilinear", align_corners=False)[0]


# What it shares with the classifier


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("warm_up", [False, True])
@torch.no_grad()
def test_logits_are_the_classifiers(
    classifier: Classifier, images: torch.Tensor, training: bool, warm_up: bool
) -> None:
    """In training with the same numbers for dropout."""
    network = toy_network().train(training)
    for found in (network, classifier.train(training)):
        for module in found.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # its statistics would move
    torch.manual_seed(5)
    expected = classifier(images)
    torch.manual_seed(5)
    assert torch.equal(network(images, (1.0,), warm_up).logits, expected)
    torch.manual_seed(6)
    assert torch.equal(network(images, (1.0,), warm_up).logits, expected) != training


@torch.no_grad()
def test_maps_are_the_classifiers_and_their_mean_is_the_logit(classifier: Classifier, images: torch.Tensor) -> None:
    network = toy_network().eval()
    assert torch.equal(network.maps(images), classifier.eval().maps(images))
    torch.testing.assert_close(network.maps(images).mean((2, 3)), network(images).logits)


# Maps


@torch.no_grad()
def test_without_modules_the_enhanced_map_is_the_multiscale_map(images: torch.Tensor) -> None:
    network = toy_network(PLAIN).eval()
    found = activations(network, images, SCALES)
    assert not network.enhances
    assert found.merged is None
    assert found.tiles == {}
    assert torch.equal(found.enhanced, found.multiscale)
    assert network.fusion is None


@torch.no_grad()
def test_with_expansion_alone_it_is_merged_plus_multiscale(images: torch.Tensor) -> None:
    network = toy_network(altered(fusion={"enabled": False})).eval()
    found = activations(network, images, SCALES)
    assert network.enhances
    assert found.merged is not None
    assert torch.equal(found.enhanced, found.merged + found.multiscale)
    for n in (2, 4):
        assert torch.equal(found.tiles[n], tiled_maps(images, n, 16, network.maps))
    by_hand = sum(found.tiles[n].clamp_min(0) for n in (2, 4)) / 2
    torch.testing.assert_close(found.merged, by_hand)
    assert found.merged.any()


@pytest.mark.parametrize("expands", [False, True])
@torch.no_grad()
def test_fusion_spreads_the_merged_map_or_without_expansion_the_multiscale_map(
    images: torch.Tensor, expands: bool
) -> None:
    """Eq (8) by a whole affinity matrix."""
    network = toy_network(altered(expansion={"enabled": expands})).eval()
    assert network.fusion is not None
    found = activations(network, images, SCALES)
    assert (found.merged is None) != expands
    for n in range(2):
        rows = []
        for level in network.backbone(images[n : n + 1])[1:]:
            flat = F.adaptive_avg_pool2d(level, (4, 6))[0].flatten(1)
            flat = flat - flat.mean(1, keepdim=True)
            rows.append(flat / flat.square().sum(0).mean().sqrt())
        projected = network.fusion.theta.weight[:, :, 0, 0] @ torch.cat(rows)
        affinity = F.cosine_similarity(projected[:, :, None], projected[:, None, :], dim=0).clamp_min(0)
        source = (found.multiscale if found.merged is None else found.merged)[n].flatten(1)
        spread = (affinity @ source.T / affinity.sum(1, keepdim=True)).T.reshape(3, 4, 6)
        torch.testing.assert_close(found.enhanced[n], spread + found.multiscale[n], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scales", [(1.0,), SCALES, (0.5, 2.0)])
@torch.no_grad()
def test_multiscale_map_equals_a_loop_over_photos_and_scales(images: torch.Tensor, scales: tuple[float, ...]) -> None:
    network = toy_network().eval()
    found = activations(network, images, scales).multiscale
    for n in range(2):
        total = torch.zeros(3, 4, 6)
        for scale in scales:
            view = images[n : n + 1]
            if scale != 1:
                size = (round(64 * scale), round(96 * scale))
                view = F.interpolate(view, size, mode="bilinear", align_corners=False, antialias=scale < 1)
            total += cam(network, view[0], (4, 6))
        torch.testing.assert_close(found[n], total / len(scales), rtol=1e-4, atol=1e-5)


# Gradient


def test_only_scale_one_carries_gradient(images: torch.Tensor) -> None:
    network = toy_network().eval()
    parameters = [*network.backbone.parameters(), network.head.weight]
    several = torch.autograd.grad(activations(network, images, SCALES).multiscale.sum(), parameters)
    one = torch.autograd.grad(network.maps(images).relu().sum() / len(SCALES), parameters)
    for ours, expected in zip(several, one, strict=True):
        torch.testing.assert_close(ours, expected)
    assert several[-1].any()
    assert not activations(network, images, (0.5, 2.0)).multiscale.requires_grad


def test_merged_map_carries_the_gradient_of_the_tiles(images: torch.Tensor) -> None:
    network = toy_network().eval()
    merged = activations(network, images).merged
    assert merged is not None
    (ours,) = torch.autograd.grad(merged.sum(), network.head.weight)
    by_hand = sum(tiled_maps(images, n, 16, network.maps).relu().sum() for n in (2, 4)) / 2
    (expected,) = torch.autograd.grad(by_hand, network.head.weight)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("expands", [False, True])
def test_enhanced_map_teaches_the_fusion_and_nothing_else(images: torch.Tensor, expands: bool) -> None:
    network = toy_network(altered(expansion={"enabled": expands})).eval()
    activations(network, images, SCALES).enhanced.square().sum().backward()
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert reached == {"fusion.theta.weight"}


@pytest.mark.parametrize("expands", [False, True])
def test_enhanced_map_without_fusion_carries_no_gradient(images: torch.Tensor, expands: bool) -> None:
    network = toy_network(altered(expansion={"enabled": expands}, fusion={"enabled": False})).eval()
    found = activations(network, images, SCALES)
    assert not found.enhanced.requires_grad
    assert found.multiscale.requires_grad


def test_warm_up_leaves_fusion_and_segmentation_alone(images: torch.Tensor) -> None:
    network = toy_network().eval()
    output = network(images, SCALES, warm_up=True)
    assert output.cams is None
    assert output.segmentation is None
    (output.logits.sum() + sum(maps.sum() for maps in output.tiles.values())).backward()
    reached = {name.split(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert reached == {"backbone", "head", "prior"}


# Segmentation branch


@pytest.mark.parametrize(("stride", "dilation"), [(8, 12), (16, 6), (32, 3)])
def test_dilation_covers_the_same_part_of_a_photo(stride: int, dilation: int) -> None:
    branch = toy_network(stride=stride).segmentation
    convolutions = [layer for layer in branch if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation for layer in convolutions] == [(dilation, dilation)] * 2
    assert [layer.padding for layer in convolutions] == [(dilation, dilation)] * 2


@torch.no_grad()
def test_segmentation_reads_the_last_stage_through_two_convolutions(large: torch.Tensor) -> None:
    network = toy_network(altered(norm="none")).eval()
    first, last = network.segmentation[0], network.segmentation[3]
    c5 = network.backbone(large)[3]
    hidden = F.conv2d(c5, first.weight, first.bias, padding=6, dilation=6).clamp_min(0)
    expected = F.conv2d(hidden, last.weight, last.bias, padding=6, dilation=6)
    assert expected.shape == (1, 4, 8, 14)
    torch.testing.assert_close(network.segment(large), expected)
    assert torch.equal(network(large).segmentation, network.segment(large))


def test_segmentation_reads_the_stage_and_not_the_imagenet_head_behind_it() -> None:
    with torch.device("meta"):
        backbone = build_backbone(BackboneSettings(name="efficientnet_lite0"), load=False)
        network = Oste(backbone, 3, 0.5, 64, "group", EXPANSION, FUSION)
    assert backbone.levels[-1].name == "head"
    assert network.head.in_channels == 1280
    assert network.segmentation[0].in_channels == backbone.levels[-2].channels == 320


def test_paper_network_has_its_number_of_parameters() -> None:
    """ResNet38d, 20 classes, the paper's branch of 512 channels without normalisation, no further module."""
    with torch.device("meta"):
        backbone = build_backbone(BackboneSettings(name="resnet38d", output_stride=8), load=False)
        off = EXPANSION.model_copy(update={"enabled": False}), FUSION.model_copy(update={"enabled": False})
        network = Oste(backbone, 20, 0.5, 512, "none", *off)
    by_part = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert by_part["head"] == (4096 + 1) * 20  # the bias that centres the maps is not trained
    assert by_part["segmentation"] == (9 * 4096 + 1) * 512 + (9 * 512 + 1) * 21
    assert sum(by_part.values()) == 124_124_501 + 20


# On disk


def saved(path: Path, settings: Any = SETTINGS) -> Oste:
    torch.manual_seed(0)
    shape = {
        "dropout": settings.dropout,
        "channels": settings.channels,
        "norm": settings.norm,
        "expansion": json.loads(settings.expansion.model_dump_json()),
        "fusion": json.loads(settings.fusion.model_dump_json()),
    }
    card = NetworkCard("oste", BackboneSettings(name="tiny", weights="random"), shape, CLASSES, "random")
    network = build_oste(card, load_weights=True)
    nn.init.normal_(network.head.weight, std=0.1)
    for layer in (network.segmentation[0], network.segmentation[3]):
        nn.init.normal_(layer.weight, std=0.1)
    save_network(path, network, card)
    return network.eval()


@torch.no_grad()
def test_file_gives_the_same_network_back(tmp_path: Path, images: torch.Tensor) -> None:
    changed = altered(expansion={"tilings": (4, 2), "merge": "sum"}, fusion={"levels": ("c2", "c5"), "tied": False})
    before = saved(tmp_path / "a.pt", changed)
    after, card = load_oste(tmp_path / "a.pt", CLASSES)
    assert not after.training
    assert after.expansion == changed.expansion
    assert after.fusion is not None
    assert after.fusion.chosen == [0, 3]
    ours, theirs = before(images, SCALES), after(images, SCALES)
    assert torch.equal(ours.cams.enhanced, theirs.cams.enhanced)
    assert torch.equal(ours.segmentation, theirs.segmentation)
    save_network(tmp_path / "b.pt", after, card)
    assert (tmp_path / "b.pt").read_bytes() == (tmp_path / "a.pt").read_bytes()


@torch.no_grad()
def test_finer_grid_keeps_the_values_at_the_common_positions(tmp_path: Path, large: torch.Tensor) -> None:
    """Class maps, and the segmentation branch where no normalisation looks at the number of positions."""
    coarse = saved(tmp_path / "a.pt", altered(norm="none"))
    fine, card = load_oste(tmp_path / "a.pt", CLASSES, output_stride=8)
    assert (fine.stride, card.backbone.output_stride) == (8, 8)
    assert fine.maps(large).shape == (1, 3, 16, 28)
    torch.testing.assert_close(fine.maps(large)[..., ::2, ::2], coarse.maps(large))
    torch.testing.assert_close(fine.segment(large)[..., ::2, ::2], coarse.segment(large))
    assert coarse.segment(large).std() > 0.1
