"""ResNet-38: the table, the public names and the maps against a functional second implementation."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.base import freeze_batch_norm
from wsss.models.backbones.resnet38d import ResNet38d

WIDTH = 1 / 8


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(output_stride: int = 8, seed: int = 0) -> ResNet38d:
    """Width 1/8, in double precision, with BatchNorms that do something, in evaluation mode."""
    torch.manual_seed(seed)
    backbone = ResNet38d(output_stride, width=WIDTH).double().eval()
    for norm in backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5)
            for tensor in (norm.bias.data, norm.running_mean):
                tensor -= 1
    return backbone


def public(backbone: ResNet38d) -> dict[str, Tensor]:
    return {backbone.pretrained_key(key): tensor for key, tensor in backbone.state_dict().items()}


# Blocks of the papers at output stride 8: name, stride, dilation of branch2a's and of branch2b1's convolution.
BASIC = [
    *(("b2", 2, 1, 1), ("b2_1", 1, 1, 1), ("b2_2", 1, 1, 1)),
    *(("b3", 2, 1, 1), ("b3_1", 1, 1, 1), ("b3_2", 1, 1, 1)),
    *(("b4", 2, 1, 1), *((f"b4_{i}", 1, 1, 1) for i in range(1, 6))),
    *(("b5", 1, 1, 2), ("b5_1", 1, 2, 2), ("b5_2", 1, 2, 2)),
]


def reference(tensors: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Normalised image → activated maps at output stride 8, by public names and plain functions."""

    def norm_relu(x: Tensor, name: str) -> Tensor:
        mean, var, scale, shift = (
            tensors[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / torch.sqrt(var + 1e-5) * scale + shift).clamp_min(0)

    def conv(x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        kernel = tensors[f"{name}.weight"]
        padding = dilation if kernel.shape[2] == 3 else 0
        return F.conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation)

    maps = {}
    x = conv(x, "conv1a")
    for name, stride, first, second in BASIC:
        start = norm_relu(x, f"{name}.bn_branch2a")
        maps[name] = start
        y = conv(start, f"{name}.conv_branch2a", stride, first)
        y = conv(norm_relu(y, f"{name}.bn_branch2b1"), f"{name}.conv_branch2b1", dilation=second)
        x = y + (x if "_" in name else conv(start, f"{name}.conv_branch1", stride))
    for name in ("b6", "b7"):
        start = norm_relu(x, f"{name}.bn_branch2a")
        maps[name] = start
        y = conv(start, f"{name}.conv_branch2a")
        y = conv(norm_relu(y, f"{name}.bn_branch2b1"), f"{name}.conv_branch2b1", dilation=4)
        y = conv(norm_relu(y, f"{name}.bn_branch2b2"), f"{name}.conv_branch2b2")
        x = y + conv(start, f"{name}.conv_branch1")
    return maps | {"end": norm_relu(x, "bn7")}


@pytest.mark.parametrize("size", [(40, 56), (33, 47)])
@torch.inference_mode()
def test_maps_equal_the_functional_implementation(size: tuple[int, int]) -> None:
    backbone = small()
    x = torch.rand(2, 3, *size, dtype=torch.float64) * 255
    mean, std = (torch.tensor(v).double().view(3, 1, 1) for v in (backbone.mean, backbone.std))
    expected = reference(public(backbone), (x - mean) / std)
    found = backbone(x)
    # A level is what the next stage reads.
    for level, map_, name in zip(backbone.levels, found, ("b3", "b4", "b5", "b6", "b7", "end"), strict=True):
        assert expected[name].std() > 0.01
        torch.testing.assert_close(map_, expected[name], msg=lambda text, name=level.name: f"{name}: {text}")


def test_image_is_normalised_by_imagenets_statistics() -> None:
    torch.testing.assert_close(torch.tensor(ResNet38d.mean) / 255, torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(torch.tensor(ResNet38d.std) / 255, torch.tensor([0.229, 0.224, 0.225]))


def test_parameters_are_the_124_million_of_the_papers_network() -> None:
    with torch.device("meta"):
        backbone = ResNet38d()
        classification = nn.Conv2d(4096, 20, 1, bias=False)
        segmentation = nn.Sequential(nn.Conv2d(4096, 512, 3), nn.ReLU(), nn.Conv2d(512, 21, 3))

    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert (count(backbone), count(classification), count(segmentation)) == (105_070_912, 81_920, 18_971_669)
    assert count(nn.ModuleList([backbone, classification, segmentation])) == 124_124_501


def test_grid_of_the_papers_input() -> None:
    with torch.device("meta"):
        backbone = ResNet38d().eval()
        maps = backbone(torch.empty(1, 3, 320, 320))
    shapes = [(128, 160), (256, 80), (512, 40), (1024, 40), (2048, 40), (4096, 40)]
    assert [tuple(m.shape) for m in maps] == [(1, channels, side, side) for channels, side in shapes]


@pytest.mark.parametrize(
    ("output_stride", "coarsest"), [(8, [8, 8, 8, 8]), (16, [8, 16, 16, 16]), (32, [8, 16, 32, 32])]
)
def test_levels(output_stride: int, coarsest: list[int]) -> None:
    with torch.device("meta"):
        levels = ResNet38d(output_stride).levels
    assert [level.name for level in levels] == ["c2", "c3", "c4", "c5", "c6", "c7"]
    assert [level.stride for level in levels] == [2, 4, *coarsest]


def test_dilations_at_stride_8_are_the_papers() -> None:
    with torch.device("meta"):
        backbone = ResNet38d()
    dilations: dict[str, set[int]] = {}
    for name, layer in backbone.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            dilations.setdefault(backbone.pretrained_key(f"{name}.weight")[:2], set()).add(layer.dilation[0])
    assert dilations == {"co": {1}, "b2": {1}, "b3": {1}, "b4": {1}, "b5": {1, 2}, "b6": {4}, "b7": {4}}


def test_public_names() -> None:
    names = set(public(small()))
    listed = {
        *("conv1a.weight", "b2.bn_branch2a.weight", "b2.conv_branch2a.weight", "b2.bn_branch2b1.running_var"),
        *("b2.conv_branch2b1.weight", "b2.conv_branch1.weight", "b2_1.bn_branch2a.bias", "b4_5.conv_branch2b1.weight"),
        *("b6.bn_branch2b1.weight", "b6.conv_branch2b1.weight", "b6.bn_branch2b2.weight", "b7.conv_branch2b2.weight"),
        *("b7.conv_branch1.weight", "bn7.running_mean"),
    }
    assert listed <= names
    assert not {"b2_1.conv_branch1.weight", "b2.conv_branch2b2.weight"} & names
    # 15 basic blocks of 2 convolutions and 2 norms, 2 of 3 and 3, a shortcut in each of 6 stages, stem and bn7.
    assert len(names) == 1 + 15 * (2 + 2 * 5) + 2 * (3 + 3 * 5) + 6 + 5


def test_dropout_is_the_papers_and_only_in_training() -> None:
    backbone = small()
    rates = {name: block.dropout.p for name, block in backbone.blocks.items() if block.dropout.p}
    assert rates == {"b6": 0.3, "b7": 0.5}
    freeze_batch_norm(backbone)
    x = torch.rand(1, 3, 24, 24, dtype=torch.float64) * 255
    still = backbone(x)
    noisy = backbone.train()(x)
    changed = [not torch.equal(a, b) for a, b in zip(still, noisy, strict=True)]
    assert changed == [False, False, False, False, True, True]
    for block in backbone.blocks.values():
        block.dropout.p = 0.0
    torch.testing.assert_close(backbone(x)[-1], still[-1])


def test_frozen_batch_norm_keeps_its_statistics_in_training() -> None:
    backbone = small()
    freeze_batch_norm(backbone)
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    backbone.train()(torch.rand(2, 3, 24, 24, dtype=torch.float64) * 255)[-1].mean().backward()
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())
    assert all((p.grad is None) == (p.ndim == 1) for p in backbone.parameters())


@pytest.mark.parametrize("size", [(96, 96), (65, 83)])
def test_narrowest_network_trains_in_channels_last(size: tuple[int, int]) -> None:
    """Float32, as trainings run: a strided 1×1 convolution of 8 channels ended the process in its backward pass."""
    backbone = ResNet38d(width=0.125).train()
    for _ in range(3):
        images = (torch.rand(2, 3, *size) * 255).contiguous(memory_format=torch.channels_last)
        backbone(images)[-1].square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in backbone.parameters())


@pytest.mark.parametrize("width", [0.0, -1.0, 1.5])
def test_impossible_width(width: float) -> None:
    with pytest.raises(ValueError, match="expected 0 < width ≤ 1"):
        ResNet38d(width=width)


def test_impossible_output_stride() -> None:
    with pytest.raises(ValueError, match="output_stride 4: expected 8, 16 or 32"):
        ResNet38d(4)
