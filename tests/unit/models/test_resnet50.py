"""ResNet-50: both conventions against a functional second implementation by torchvision's names."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.backbones.resnet50 import ResNet50, Variant

WIDTH = 1 / 16
REAL = "WSSS_RESNET50_V1"


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(variant: Variant, output_stride: int) -> ResNet50:
    torch.manual_seed(0)
    backbone = ResNet50(output_stride, variant=variant, width=WIDTH).double().eval()
    for norm in backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5)
            norm.running_var.mul_(1e-2)  # small enough for eps to matter
            norm.weight.data.mul_(0.2)
    return backbone


def public(backbone: ResNet50) -> dict[str, Tensor]:
    return {backbone.pretrained_key(key): tensor for key, tensor in backbone.state_dict().items()}


def reference(tensors: dict[str, Tensor], x: Tensor, variant: Variant) -> list[Tensor]:
    """Normalised image → maps at output stride 32, by torchvision's names and plain functions."""
    eps = {"v1": 1e-3, "v1.5": 1e-5}[variant]

    def unit(x: Tensor, conv: str, bn: str, stride: int = 1) -> Tensor:
        kernel = tensors[f"{conv}.weight"]
        y = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)
        mean, var, scale, shift = (
            tensors[f"{bn}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / torch.sqrt(var + eps) * scale + shift

    x = F.max_pool2d(unit(x, "conv1", "bn1", 2).clamp_min(0), 3, 2, 1)
    maps = []
    for layer, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for i in range(blocks):
            name = f"layer{layer}.{i}"
            stride = 2 if layer > 1 and i == 0 else 1
            y = unit(x, f"{name}.conv1", f"{name}.bn1", stride if variant == "v1" else 1).clamp_min(0)
            y = unit(y, f"{name}.conv2", f"{name}.bn2", 1 if variant == "v1" else stride).clamp_min(0)
            y = unit(y, f"{name}.conv3", f"{name}.bn3")
            if i == 0:
                x = unit(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            x = (x + y).clamp_min(0)
        maps.append(x)
    return maps


@pytest.mark.parametrize("variant", ["v1", "v1.5"])
@pytest.mark.parametrize("size", [(64, 96), (61, 90)])
@torch.inference_mode()
def test_maps_equal_the_functional_implementation_at_every_stride(variant: Variant, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64) * 255
    whole = small(variant, 32)
    mean, std = (torch.tensor(v).double().view(3, 1, 1) for v in (whole.mean, whole.std))
    expected = reference(public(whole), (x - mean) / std, variant)
    assert all(m.std() > 0.01 for m in expected)
    for output_stride in (32, 16, 8):
        backbone = small(variant, output_stride)
        backbone.load_state_dict(whole.state_dict())
        for level, found, map_ in zip(whole.levels, backbone(x), expected, strict=True):
            step = max(1, level.stride // output_stride)
            torch.testing.assert_close(found[:, :, ::step, ::step], map_)


def test_parameters_and_levels_are_resnet50s() -> None:
    with torch.device("meta"):
        backbone = ResNet50()
    parameters = sum(p.numel() for p in backbone.parameters())
    assert parameters == 23_508_032
    assert parameters + 2048 * 1000 + 1000 == 25_557_032
    assert [(level.name, level.channels, level.stride) for level in backbone.levels] == [
        *(("c2", 256, 4), ("c3", 512, 8), ("c4", 1024, 16), ("c5", 2048, 16))
    ]


def test_public_names_are_torchvisions() -> None:
    names = set(public(small("v1.5", 32)))
    listed = {
        *("conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer1.0.bn3.bias"),
        *("layer1.0.downsample.0.weight", "layer4.0.downsample.1.running_mean", "layer3.5.conv3.weight"),
    }
    assert listed <= names
    # 53 convolutions, each with a norm of 4 tensors and its counter; torchvision's file has fc beside them.
    assert len(names) == 53 * 6


def test_file_with_its_classifier_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    backbone = ResNet50(32)
    path = tmp_path / "resnet50.pth"
    torch.save(public(backbone) | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, path)
    loaded = build_backbone(BackboneSettings(name="resnet50", weights=str(path))).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in backbone.state_dict().items())


def test_impossible_output_stride() -> None:
    with pytest.raises(ValueError, match="output_stride 4: expected 8, 16 or 32"):
        ResNet50(4)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(("photo", "classes"), [("chelsea", range(281, 286)), ("coffee", (504, 967, 968))])
def test_photos_are_recognised_with_real_weights(photo: str, classes: tuple[int, ...], output_stride: int) -> None:
    path = os.environ.get(REAL)
    if path is None:
        pytest.skip(f"{REAL} does not name a ResNet-50 v1 file with its classifier")
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    file = torch.load(path, weights_only=True)
    image = torch.from_numpy(getattr(data, photo)()).permute(2, 0, 1)[None].float()
    left = (image.shape[3] - image.shape[2]) // 2
    square = F.interpolate(image[..., left : left + image.shape[2]], size=(224, 224), mode="bilinear", antialias=True)
    settings = BackboneSettings(name="resnet50_v1", output_stride=output_stride, weights=path)
    with torch.inference_mode():
        pooled = build_backbone(settings).eval()(square)[-1].mean((2, 3))
    assert int(F.linear(pooled, file["fc.weight"], file["fc.bias"]).argmax()) in classes
