"""Files of weights: MXNet's and safetensors' formats, containers, and damage of every kind."""

import contextlib
import json
import math
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from wsss.core.errors import IntegrityError, UserError
from wsss.models.backbones import mxnet_params
from wsss.models.backbones.mxnet_params import public_key, read_params
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.backbones.resnet38d import ResNet38d
from wsss.models.backbones.tiny import Tiny
from wsss.models.backbones.weights import read_tensors

FIX = "fetch the file again, and compare its checksum with the source's"
MXNET_TYPES = {tensor: number for number, tensor in mxnet_params.DTYPES.items()}


def raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


# MXNet


def mxnet_array(tensor: Tensor, version: int) -> bytes:
    """One array as MXNet's versions 0 (before 2017), 1 and 2 write it, of a GPU's memory."""
    start = {0: b"", 1: struct.pack("<I", 0xF993FAC8), 2: struct.pack("<Ii", 0xF993FAC9, 0)}[version]
    shape = struct.pack(f"<I{tensor.ndim}{'q' if version else 'I'}", tensor.ndim, *tensor.shape)
    return start + shape + struct.pack("<iii", 2, 0, MXNET_TYPES[tensor.dtype]) + raw(tensor)


def mxnet_file(arrays: dict[str, Tensor], version: int = 2) -> bytes:
    names = [name.encode() for name in arrays]
    return b"".join(
        [
            struct.pack("<QQQ", 0x112, 0, len(arrays)),
            *(mxnet_array(tensor, version) for tensor in arrays.values()),
            struct.pack("<Q", len(names)),
            *(struct.pack("<Q", len(name)) + name for name in names),
        ]
    )


def mxnet_name(key: str) -> str:
    """`b2_1.bn_branch2a.weight` → `arg:bn2b1_branch2a_gamma`: the reverse of what is tested."""
    unit, kind = key.rsplit(".", 1)
    group = "aux" if kind.startswith("running") else "arg"
    norm = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}[kind]
    if unit == "conv1a":
        return f"{group}:conv1a_weight"
    if unit == "bn7":
        return f"{group}:bn7_{norm}"
    block, layer = unit.split(".")
    layer, branch = layer.split("_")
    stage, _, repeat = block[1:].partition("_")
    place = f"{stage}b{repeat}" if repeat else f"{stage}a"
    return f"{group}:{'res' if layer == 'conv' else 'bn'}{place}_{branch}_{'weight' if layer == 'conv' else norm}"


@pytest.mark.parametrize("version", [0, 1, 2])
def test_mxnet_arrays_of_all_types_are_read(tmp_path: Path, version: int) -> None:
    torch.manual_seed(0)
    arrays = {f"arg:{dtype}": (torch.randn(2, 3, 1, 5) * 50).to(dtype) for dtype in MXNET_TYPES}
    arrays["aux:ä"] = torch.arange(7.0)
    path = tmp_path / "a.params"
    path.write_bytes(mxnet_file(arrays, version))
    found = read_params(path)
    assert list(found) == list(arrays)
    assert all(found[name].dtype == tensor.dtype for name, tensor in arrays.items())
    assert all(torch.equal(found[name], tensor) for name, tensor in arrays.items())


@pytest.mark.parametrize("version", [0, 2])
def test_resnet38d_is_loaded_from_mxnets_file(tmp_path: Path, version: int) -> None:
    torch.manual_seed(0)
    source = ResNet38d(width=1 / 8)
    for tensor in source.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1)
    public = {source.pretrained_key(key): tensor for key, tensor in source.state_dict().items()}
    arrays = {mxnet_name(key): tensor for key, tensor in public.items() if "num_batches" not in key}
    arrays |= {"arg:linear1000_weight": torch.zeros(1000, 512), "arg:linear1000_bias": torch.zeros(1000)}
    path = tmp_path / "ilsvrc-cls_rna-a1_cls1000_ep-0001.params"
    path.write_bytes(mxnet_file(arrays, version))
    settings = BackboneSettings(name="resnet38d", output_stride=8, width=1 / 8, weights=str(path))
    loaded = build_backbone(settings).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in source.state_dict().items())

    with pytest.raises(UserError, match=r"not the tensors of resnet38d: \d+ of another shape \(conv1a.weight \(8, 3"):
        build_backbone(settings.model_copy(update={"width": 1 / 4}))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("arg:conv1a_weight", "conv1a.weight"),
        ("arg:res2a_branch2a_weight", "b2.conv_branch2a.weight"),
        ("arg:res2a_branch1_weight", "b2.conv_branch1.weight"),
        ("arg:res4b5_branch2b1_weight", "b4_5.conv_branch2b1.weight"),
        ("arg:bn2a_branch2a_gamma", "b2.bn_branch2a.weight"),
        ("arg:bn2b1_branch2b1_beta", "b2_1.bn_branch2b1.bias"),
        ("aux:bn6a_branch2b2_moving_mean", "b6.bn_branch2b2.running_mean"),
        ("aux:bn7_moving_var", "bn7.running_var"),
        ("arg:linear1000_bias", "fc8.bias"),
        ("res7a_branch2b2_weight", "b7.conv_branch2b2.weight"),
        ("arg:bn7_momentum", "arg:bn7_momentum"),
        ("arg:stage1_unit1_conv1_weight", "arg:stage1_unit1_conv1_weight"),
    ],
)
def test_mxnet_names(name: str, key: str) -> None:
    assert public_key(name) == key


def sparse(tensor: Tensor) -> bytes:
    return struct.pack("<Ii", 0xF993FAC9, 1) + mxnet_array(tensor, 2)[8:]


def one(array: bytes, name: bytes = b"a", names: int = 1, end: bytes = b"") -> bytes:
    return struct.pack("<QQQ", 0x112, 0, 1) + array + struct.pack("<QQ", names, len(name)) + name + end


GOOD = mxnet_array(torch.zeros(3), 2)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "truncated, or not a .params file of MXNet"),
        (b"PK\x03\x04" + bytes(50), "not a .params file of MXNet (its first number is not 0x112)"),
        (struct.pack("<QQQ", 0x112, 0, 2**64 - 1), "truncated, or not a .params file of MXNet"),
        (one(sparse(torch.zeros(3))), "a sparse array, expected dense ones"),
        (one(mxnet_array(torch.zeros(0, 3), 2)), "an array of shape (0, 3) and type 0"),
        (one(struct.pack("<IIqiii", 0xF993FAC8, 1, -4, 1, 0, 0)), "an array of shape (-4,) and type 0"),
        (one(struct.pack("<IIqiii", 0xF993FAC8, 1, 2**62, 1, 0, 0)), "truncated, or not a .params file of MXNet"),
        (one(struct.pack("<IIqiii", 0xF993FAC8, 1, 1, 1, 0, 99)), "an array of shape (1,) and type 99"),
        (one(struct.pack("<I", 0)), "an array of 0 dimensions, or of an unknown version"),
        (one(struct.pack("<I", 0xF993FACA)), f"an array of {0xF993FACA} dimensions, or of an unknown version"),
        (one(GOOD, names=2), "1 arrays with 2 names"),
        (one(GOOD, name=b"\xff\xfe"), "a name that is not UTF-8"),
        (one(GOOD, name=bytes(5000)), "a name of 5000 bytes"),
        (one(GOOD, end=b"more"), "4 bytes more than its arrays and names"),
        (one(GOOD)[:-1], "truncated, or not a .params file of MXNet"),
    ],
)
def test_damaged_mxnet_file(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        read_tensors(path)
    assert (caught.value.where, caught.value.what, caught.value.fix) == (str(path), what, FIX)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("arg:bn7_beta",) * 2, "two arrays of one name"),
        (("arg:bn7_beta", "aux:bn7_beta"), "two arrays for one tensor"),
    ],
)
def test_mxnet_names_twice(tmp_path: Path, names: tuple[str, str], what: str) -> None:
    content = mxnet_file({"arg:bn7_beta": torch.zeros(2), "aux:bn7_beta": torch.zeros(2)})
    (tmp_path / "a.params").write_bytes(content.replace(b"aux:bn7_beta", names[1].encode()))
    with pytest.raises(IntegrityError, match=what):
        read_tensors(tmp_path / "a.params")


# safetensors


def safe_raw(header: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header.encode())) + header.encode() + data


def test_safetensors_of_all_types_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    types = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    tensors = {str(dtype): (torch.randn(2, 3, 5) * 50).to(dtype) for dtype in types} | {"scalar": torch.tensor(3)}
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    found = read_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(found[name].dtype == tensor.dtype for name, tensor in tensors.items())
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("suffix", [".safetensors", ".SAFETENSORS"])
def test_backbone_is_loaded_from_safetensors_of_half_precision(tmp_path: Path, suffix: str) -> None:
    source = {
        key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in Tiny().state_dict().items()
    }
    path = tmp_path / f"tiny{suffix}"
    save_file(source, path)
    loaded = build_backbone(BackboneSettings(name="tiny", weights=str(path))).state_dict()
    assert all(torch.equal(loaded[key], tensor.to(loaded[key].dtype)) for key, tensor in source.items())


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> str:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "header too small"),
        (b"PK\x03\x04" + bytes(50), "invalid header length"),
        (struct.pack("<Q", 2**63) + b"{}", "header too large"),
        (safe_raw("[" * 100_000), "invalid JSON in header"),
        (safe_raw("[]"), "invalid JSON in header"),
        (safe_raw(f'{{"a": {"9" * 5000}}}'), "invalid JSON in header"),
        (safe_raw('{"a": ' + "[" * 300 + "]" * 300 + "}"), "invalid JSON in header: recursion limit"),
        (safe_raw(entry("F31"), bytes(8)), "invalid JSON in header: unknown variant `F31`"),
        (safe_raw(entry("F4", (2,), (0, 1)), bytes(1)), "'F4'"),
        (safe_raw(entry(shape=(3,)), bytes(8)), "invalid shape, data type, or offset"),
        (safe_raw(entry(shape=(True, 2)), bytes(8)), "invalid JSON in header"),
        (safe_raw(entry(shape=(-1, -2)), bytes(8)), "invalid JSON in header"),
        (safe_raw(entry(offsets=(-8, 0)), bytes(8)), "invalid JSON in header"),
        (safe_raw(entry(shape=(2**60,), offsets=(0, 2**62)), bytes(8)), "overflow computing buffer size"),
        (safe_raw(entry(offsets=(4, 12)), bytes(12)), "invalid offset for tensor `a`"),
        (safe_raw(entry(), bytes(7)), "incomplete metadata, file not fully covered"),
        (safe_raw(entry(), bytes(9)), "incomplete metadata, file not fully covered"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        IntegrityError, match=re.escape(f"{path}: truncated, or not a .safetensors file ({what}")
    ) as caught:
        read_tensors(path)
    assert caught.value.fix == FIX


def test_overlapping_safetensors_are_refused(tmp_path: Path) -> None:
    part = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    (tmp_path / "a.safetensors").write_bytes(safe_raw(json.dumps({"a": part, "b": part}), bytes(8)))
    with pytest.raises(IntegrityError, match=r"invalid offset for tensor `[ab]`"):
        read_tensors(tmp_path / "a.safetensors")


# Both, at random


ARRAYS = {"arg:a": torch.ones(2, 3), "arg:bb": torch.ones(4, dtype=torch.int32), "aux:c": torch.ones(1, 1, 2)}


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        *((".params", lambda version=version: mxnet_file(ARRAYS, version)) for version in (0, 1, 2)),
        (".safetensors", lambda: save(ARRAYS)),
    ],
)
def test_any_damage_is_an_integrity_error_or_other_values(
    tmp_path: Path, suffix: str, write: Callable[[], bytes]
) -> None:
    whole, path, chance = write(), tmp_path / f"a{suffix}", random.Random(0)
    cut = [whole[:length] for length in range(len(whole))]
    changed = []
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(len(content))
            content[at : at + chance.choice((1, 1, 0, 2))] = chance.choice(
                (bytes([chance.randrange(256)]), b"\xff" * 8, b"\0", b"", struct.pack("<I", 0xF993FAC9))
            )
        changed.append(bytes(content))
    refused = 0
    for number, content in enumerate((*cut, *changed)):
        path.write_bytes(content)
        found: dict[str, Tensor] | None = None
        with contextlib.suppress(IntegrityError):
            found = read_tensors(path)
        if found is None:
            refused += 1
            continue
        assert number >= len(cut), "a truncated file was read"
        assert sum(math.prod(tensor.shape) * tensor.itemsize for tensor in found.values()) <= len(content)
    assert refused > len(cut) + 500


@pytest.mark.filterwarnings("ignore")  # torch's own, about the format it guesses
def test_any_damage_of_a_pth_file_is_an_error_of_ours_or_other_values(tmp_path: Path) -> None:
    path, chance = tmp_path / "a.pth", random.Random(0)
    torch.save(ARRAYS, path)
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(8):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            read_tensors(path)
        except (IntegrityError, UserError):
            refused += 1
    assert refused > 100


# Containers of .pth files, and settings


@pytest.mark.parametrize("container", ["state_dict", "model"])
def test_state_dict_inside_a_training_checkpoint(tmp_path: Path, container: str) -> None:
    source, path = Tiny().state_dict(), tmp_path / "tiny.pth"
    torch.save({container: source, "epoch": 3, "optimizer": {"lr": 0.1}}, path)
    loaded = build_backbone(BackboneSettings(name="tiny", weights=str(path))).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in source.items())


def test_container_of_something_else(tmp_path: Path) -> None:
    torch.save({"model": {"width": 3}}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"found other things in it \(model\)"):
        read_tensors(tmp_path / "a.pth")


def test_tensor_named_model_is_a_tensor(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(2)}, tmp_path / "a.pth")
    assert list(read_tensors(tmp_path / "a.pth")) == ["model"]


def test_width_of_a_network_that_has_one() -> None:
    with pytest.raises(UserError) as caught:
        build_backbone(BackboneSettings(name="resnet50", weights="random", width=0.5))
    assert str(caught.value) == (
        "error: backbone.width: found 0.5, but resnet50 has one width"
        "\nfix: remove width or set it to 1.0, or choose resnet38d"
    )


def test_width_of_resnet38d() -> None:
    backbone = build_backbone(BackboneSettings(name="resnet38d", output_stride=16, weights="random", width=0.125))
    assert [(level.channels, level.stride) for level in backbone.levels][-1] == (512, 16)


@pytest.mark.parametrize("name", ["vit_b16", "deit_b16"])
def test_output_stride_of_a_transformer(name: str) -> None:
    with pytest.raises(UserError) as caught:
        build_backbone(BackboneSettings(name=name, weights="random", output_stride=32))
    assert str(caught.value) == (
        f"error: backbone.output_stride: found 32, expected 8 or 16 for {name}, whose patches are of 16 pixels"
        "\nfix: set output_stride to 16"
    )
