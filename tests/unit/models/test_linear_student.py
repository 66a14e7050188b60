"""A linear student computes what its two layers say, on the levels of every backbone, and is written and read again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.helpers import CLASSES
from tests.toy_networks import write_student
from wsss.models.backbones.registry import BACKBONES, BackboneSettings, build_backbone
from wsss.models.base_student import IMPROBABLE
from wsss.models.linear_student import LinearStudent, linear_levels
from wsss.models.student import Student, load_student

SIZES = [(64, 64), (65, 97), (50, 33), (1, 1), (7, 200)]


def student(stride: int = 16, threshold: float | None = None) -> LinearStudent:
    torch.manual_seed(3)
    backbone = build_backbone(BackboneSettings(name="tiny", output_stride=stride, weights="random"))  # type: ignore[arg-type]
    network = LinearStudent(backbone, 4, threshold)
    for layer in (network.local, network.context):
        nn.init.normal_(layer.weight)
    return network.eval()


def photos(height: int, width: int, count: int = 2) -> torch.Tensor:
    return 255 * torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_folded_standardisation_is_the_explicit_one() -> None:
    network = student()
    generator = torch.Generator().manual_seed(0)
    size = 2 * network.channels
    weight, bias = torch.randn(4, size, generator=generator), torch.randn(4, generator=generator)
    mean, spread = torch.randn(size, generator=generator), 0.1 + torch.rand(size, generator=generator)
    network.set_linear(weight, bias, mean, spread)
    images = photos(65, 97)
    cells = network.cells(network.backbone(images))
    seen = torch.cat([cells, cells.mean((2, 3), keepdim=True).expand_as(cells)], 1)
    standardised = (seen - mean[:, None, None]) / spread[:, None, None]
    expected = torch.einsum("kc,nchw->nkhw", weight, standardised) + bias[:, None, None]
    torch.testing.assert_close(network(images), expected, atol=1e-3, rtol=1e-4)
    for found, given in zip(network.linear(mean, spread), (weight, bias), strict=True):
        torch.testing.assert_close(found, given, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("size", SIZES)
def test_grid_and_means_of_finer_levels(stride: int, size: tuple[int, int]) -> None:
    """A cell of the coarsest level holds the mean of those finer ones that lie in it, also at the border."""
    network, images = student(stride), photos(*size)
    features = network.backbone(images)
    cells = network.cells(features)
    assert network.stride == stride
    assert cells.shape[2:] == network(images).shape[2:] == (-(-size[0] // stride), -(-size[1] // stride))
    first, step = features[network.levels[0]], stride // network.backbone.levels[network.levels[0]].stride
    corner = first[:, :, (cells.shape[2] - 1) * step :, (cells.shape[3] - 1) * step :].mean((2, 3))
    torch.testing.assert_close(cells[:, : first.shape[1], -1, -1], corner)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_its_levels(name: str) -> None:
    """Shapes alone, of networks without numbers."""
    for stride in BACKBONES[name].strides:
        with torch.device("meta"):
            backbone = BACKBONES[name].build(stride, 1.0)
            network = LinearStudent(backbone, 4, 0.1).eval()
            seen = network.look(torch.empty(1, 3, 65, 97))
        levels = [backbone.levels[number] for number in network.levels]
        assert len(levels) == 3
        assert all(level.name != "head" and network.stride % level.stride == 0 for level in levels)
        assert levels[-1] == [level for level in backbone.levels if level.name != "head"][-1]
        assert seen.logits.shape == (1, 4, -(-65 // network.stride), -(-97 // network.stride))
        assert seen.tags is not None
        assert seen.tags.shape == (1, 3)


def test_an_untrained_one_prefers_no_class() -> None:
    backbone = build_backbone(BackboneSettings(name="tiny", weights="random"))
    with torch.no_grad():
        assert (LinearStudent(backbone, 4).eval()(photos(64, 64)) == 0).all()
    assert linear_levels(backbone.levels) == (1, 2, 3)


@torch.no_grad()
def test_improbable_classes_are_left_out() -> None:
    network, images = student(threshold=0.5), photos(64, 64, 8)
    assert network.tags is not None
    nn.init.normal_(network.tags.weight, std=2.0)
    probable = network.tags(network.backbone(images)[-1].mean((2, 3))).sigmoid() >= 0.5
    assert probable.any()
    assert not probable.all()
    found = network(images)
    assert ((found == IMPROBABLE).all(3).all(2)[:, 1:] == ~probable).all()
    parts = network.segment_parts
    assert parts is not None
    kept = F.pad(probable, (1, 0), value=True)
    assert torch.equal(parts(images)[kept], found[kept])
    assert student().segment_parts is None


def test_it_is_read_from_its_file(tmp_path: Path) -> None:
    network, card = load_student(write_student(tmp_path / "linear.pt", tag_threshold=0.2, head="linear"), CLASSES)
    assert isinstance(network, LinearStudent)
    assert network.tag_threshold == 0.2
    assert card.settings == {"head": "linear", "tag_threshold": 0.2, "tag_exponent": 0.5}
    again = load_student(write_student(tmp_path / "again.pt", tag_threshold=0.2, head="linear"), CLASSES)[0]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert (tmp_path / "linear.pt").read_bytes() == (tmp_path / "again.pt").read_bytes()
    assert isinstance(load_student(write_student(tmp_path / "aspp.pt"), CLASSES)[0], Student)
