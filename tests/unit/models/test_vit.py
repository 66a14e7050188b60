"""ViT-B/16: tokens against an explicit second implementation, positions on other grids, and padding."""

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.vit_b16 import Block, DeiTB16, PatchEmbedding, ViTB16


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def small(output_stride: int = 16, cls: type[ViTB16] = ViTB16) -> ViTB16:
    """Four blocks, two heads, double precision, and parameters large enough for every part to count."""
    backbone = cls(output_stride, depth=4, channels=128).double().eval()
    for parameter in backbone.parameters():
        parameter.data.normal_(std=0.2)
    return backbone


def public(backbone: ViTB16) -> dict[str, Tensor]:
    return {backbone.pretrained_key(key): tensor for key, tensor in backbone.state_dict().items()}


def reference(tensors: dict[str, Tensor], x: Tensor, positions: Tensor) -> list[Tensor]:
    """Normalised `(1, 3, H, W)` with whole patches → maps behind each block: loops over patches and heads."""

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-6)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    rows, columns = x.shape[2] // 16, x.shape[3] // 16
    kernel = tensors["patch_embed.proj.weight"]
    patches = [
        (kernel * x[0, :, 16 * r : 16 * r + 16, 16 * c : 16 * c + 16]).sum((1, 2, 3)) + tensors["patch_embed.proj.bias"]
        for r in range(rows)
        for c in range(columns)
    ]
    t = torch.stack([tensors["cls_token"][0, 0], *patches]) + positions[0]
    maps = []
    for i in range(4):
        query, key, value = linear(norm(t, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv").chunk(3, 1)
        heads = []
        for h in range(0, 128, 64):
            scores = query[:, h : h + 64] @ key[:, h : h + 64].T / math.sqrt(64)
            weights = scores.exp() / scores.exp().sum(1, keepdim=True)
            heads.append(weights @ value[:, h : h + 64])
        t = t + linear(torch.cat(heads, 1), f"blocks.{i}.attn.proj")
        hidden = linear(norm(t, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1")
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        t = t + linear(hidden, f"blocks.{i}.mlp.fc2")
        out = norm(t, "norm") if i == 3 else t
        maps.append(out[1:].T.reshape(1, 128, rows, columns))
    return maps


@pytest.mark.parametrize("size", [(224, 224), (32, 48)])
@torch.inference_mode()
def test_maps_equal_the_explicit_implementation(size: tuple[int, int]) -> None:
    backbone = small()
    x = torch.rand(1, 3, *size, dtype=torch.float64) * 255
    tensors, grid = public(backbone), (size[0] // 16, size[1] // 16)
    expected = reference(tensors, x / 127.5 - 1, backbone.embed.positions(grid))
    found = backbone(x)
    assert [level.name for level in backbone.levels] == ["b1", "b2", "b3", "b4"]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@torch.inference_mode()
def test_block_equals_torchs_encoder_layer() -> None:
    block = Block(128).eval()
    layer = nn.TransformerEncoderLayer(128, 2, 512, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True).eval()
    for parameter in block.parameters():
        parameter.normal_(std=0.2)
    pairs = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj.": "attn.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    state = block.state_dict()
    layer.load_state_dict({a + kind: state[b + kind] for a, b in pairs.items() for kind in ("weight", "bias")})
    x = torch.randn(2, 7, 128)
    torch.testing.assert_close(block(x), layer(x), rtol=1e-4, atol=1e-4)


# Positions


def test_positions_of_the_trained_grid_are_unchanged() -> None:
    embed = PatchEmbedding(64, 16)
    torch.testing.assert_close(embed.positions((14, 14)), embed.pos_embed, rtol=0, atol=0)


@pytest.mark.parametrize("grid", [(1, 1), (5, 31), (14, 20), (28, 28), (20, 7)])
@torch.inference_mode()
def test_positions_of_other_grids_are_bicubic(grid: tuple[int, int]) -> None:
    embed = PatchEmbedding(64, 16)
    learnt = embed.pos_embed[:, 1:].mT.reshape(1, 64, 14, 14)
    expected = F.interpolate(learnt, grid, mode="bicubic", antialias=True).flatten(2).mT
    found = embed.positions(grid)
    torch.testing.assert_close(found[:, 1:], expected)
    torch.testing.assert_close(found[:, :1], embed.pos_embed[:, :1])


@torch.inference_mode()
def test_positions_keep_their_orientation() -> None:
    """A position that rises with the row does so on any grid, and does not change with the column."""
    embed = PatchEmbedding(64, 16)
    embed.pos_embed[0, 1:] = torch.arange(14.0).repeat_interleave(14)[:, None]
    rows = embed.positions((9, 22))[0, 1:, 0].reshape(9, 22)
    assert (rows.diff(dim=0) > 0.5).all()
    torch.testing.assert_close(rows, rows[:, :1].expand(-1, 22))


def test_positions_pass_gradients_on() -> None:
    embed = PatchEmbedding(64, 16)
    embed.positions((6, 9)).square().sum().backward()
    assert embed.pos_embed.grad is not None
    assert (embed.pos_embed.grad.abs().sum(2) > 0).all()


# Padding, strides, normalisation


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (17, 40), (31, 33)])
@torch.inference_mode()
def test_odd_sizes_are_continued_by_the_mean(output_stride: int, size: tuple[int, int]) -> None:
    backbone = small(output_stride, DeiTB16)
    x = torch.rand(2, 3, *size, dtype=torch.float64) * 255
    height, width = (-(-side // output_stride) * output_stride for side in size)
    whole = torch.tensor(backbone.mean).double().view(1, 3, 1, 1).repeat(2, 1, height, width)
    whole[:, :, : size[0], : size[1]] = x
    for a, b in zip(backbone(x), backbone(whole), strict=True):
        assert a.shape[2:] == (height // output_stride, width // output_stride)
        torch.testing.assert_close(a, b)


@torch.inference_mode()
def test_overlapping_patches_are_centred_on_their_cells() -> None:
    """Cell c of stride 8 reads pixels 8c − 4 … 8c + 12: every second patch of an image shifted by four."""
    dense, plain = PatchEmbedding(64, 8), PatchEmbedding(64, 16)
    plain.load_state_dict(dense.state_dict())
    x = torch.randn(1, 3, 52, 68)
    found, (rows, columns) = dense(x)
    assert (rows, columns) == (7, 9)
    patches = (found - dense.positions((7, 9)))[0, 1:].reshape(7, 9, 64)[1:6:2, 1:9:2]
    expected, grid = plain(x[:, :, 4:, 4:])
    torch.testing.assert_close(patches.flatten(0, 1), (expected - plain.positions(grid))[0, 1:])


@torch.inference_mode()
def test_vit_and_deit_differ_in_normalisation_alone() -> None:
    vit, deit = small(), small(cls=DeiTB16)
    deit.load_state_dict(vit.state_dict())
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64) * 255
    mean, std = (torch.tensor(v).double().view(3, 1, 1) for v in (deit.mean, deit.std))
    torch.testing.assert_close(vit((x - mean) / std * 127.5 + 127.5)[-1], deit(x)[-1])
    torch.testing.assert_close(torch.tensor(DeiTB16.mean) / 255, torch.tensor([0.485, 0.456, 0.406]))
    assert (ViTB16.mean, ViTB16.std) == ((127.5,) * 3, (127.5,) * 3)


# Size and names


def test_parameters_and_levels_are_vit_b16s() -> None:
    with torch.device("meta"):
        backbone = ViTB16()
    parameters = sum(p.numel() for p in backbone.parameters())
    assert parameters == 85_798_656
    assert parameters + 768 * 1000 + 1000 == 86_567_656  # as published with the classifier
    levels = [(level.name, level.channels, level.stride) for level in backbone.levels]
    assert levels == [("b3", 768, 16), ("b6", 768, 16), ("b9", 768, 16), ("b12", 768, 16)]


def test_public_names_are_deits() -> None:
    with torch.device("meta"):
        names = set(public(ViTB16()))
    listed = {
        *("cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight"),
        *("blocks.0.norm1.weight", "blocks.11.attn.qkv.bias", "blocks.5.attn.proj.weight", "blocks.7.norm2.bias"),
        *("blocks.0.mlp.fc1.weight", "blocks.11.mlp.fc2.bias"),
    }
    assert listed <= names
    assert len(names) == 4 + 12 * 12 + 2


def test_final_normalisation_belongs_to_the_last_level_alone() -> None:
    backbone = small()
    assert backbone.norm in backbone.up_to(4)
    assert backbone.norm not in backbone.up_to(3)


@pytest.mark.parametrize(("wrong", "named"), [({"depth": 6}, "depth 6"), ({"channels": 96}, "channels 96")])
def test_impossible_sizes(wrong: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"{named}.*expected positive multiples of 4 and 64"):
        ViTB16(**wrong)


def test_impossible_output_stride() -> None:
    with pytest.raises(ValueError, match="output_stride 32: expected 8 or 16"):
        ViTB16(32)
