"""MXNet's `.params` files, read without MXNet, and ResNet-38's names in them.

The format (NDArray list of MXNet's C++ sources), all little-endian: uint64 0x112, uint64 reserved, uint64 count and
the arrays, uint64 count and the names (uint64 length, UTF-8). An array is its shape (uint32 count, then sizes), its
device (2 × int32), its type (int32) and its data. Version 2 starts with 0xF993FAC9 and an int32 storage type and has
sizes of 64 bits, as has version 1, which starts with 0xF993FAC8. Files of before 2017, such as the public ImageNet
file of ResNet-38, have neither: they start with the count and have sizes of 32 bits.
"""

from __future__ import annotations

import math
import re
import struct
from io import BufferedReader
from pathlib import Path

import torch
from torch import Tensor

from wsss.core.errors import IntegrityError

LIST_MAGIC, V1_MAGIC, V2_MAGIC = 0x112, 0xF993FAC8, 0xF993FAC9
DENSE = 0
MAX_DIMENSIONS = 8
MAX_NAME = 4096
DTYPES = {
    0: torch.float32,
    1: torch.float64,
    2: torch.float16,
    3: torch.uint8,
    4: torch.int32,
    5: torch.int8,
    6: torch.int64,
}


def read_params(path: Path) -> dict[str, Tensor]:
    """The arrays of a `.params` file by their names in it, such as `arg:conv1a_weight`.

    Raises `IntegrityError` if the file is truncated, damaged, not of this format, or holds sparse arrays.
    """
    with path.open("rb") as file:
        stream = _Stream(path, file)
        if stream.numbers("<Q")[0] != LIST_MAGIC:
            raise stream.damaged("not a .params file of MXNet (its first number is not 0x112)")
        _, count = stream.numbers("<QQ")
        arrays = [stream.array() for _ in range(count)]
        (named,) = stream.numbers("<Q")
        if named != count:
            raise stream.damaged(f"{count} arrays with {named} names")
        names = [stream.name() for _ in range(count)]
        if stream.left:
            raise stream.damaged(f"{stream.left} bytes more than its arrays and names")
    if len(set(names)) < count:
        raise stream.damaged("two arrays of one name")
    return dict(zip(names, arrays, strict=True))


def read_resnet38(path: Path) -> dict[str, Tensor]:
    """The arrays of a `.params` file by the names of ResNet-38's `.pth` conversions; others keep their own."""
    arrays = read_params(path)
    renamed = {public_key(name): array for name, array in arrays.items()}
    if len(renamed) < len(arrays):
        raise IntegrityError(path, "two arrays for one tensor of the network", _FIX)
    return renamed


def public_key(name: str) -> str:
    """`arg:bn2b1_branch2a_gamma` → `b2_1.bn_branch2a.weight`. A name of no such pattern remains as it is."""
    plain = re.sub(r"^(arg|aux):", "", name)
    if found := re.fullmatch(r"(res|bn)(\d)(?:a|b(\d+))_(branch\w+?)_([a-z]+|moving_[a-z]+)", plain):
        layer, stage, block, branch, kind = found.groups()
        parent = f"b{stage}_{block}" if block else f"b{stage}"
        unit = f"{parent}.{'conv' if layer == 'res' else 'bn'}_{branch}"
    elif found := re.fullmatch(r"(conv1a|bn7|linear\d+)_([a-z]+|moving_[a-z]+)", plain):
        unit, kind = found.groups()
        # The 1000 classes of ImageNet, where the conversions have the 20 of VOC: the backbone loads neither.
        unit = "fc8" if unit.startswith("linear") else unit
    else:
        return name
    return f"{unit}.{_KINDS[kind]}" if kind in _KINDS else name


_KINDS = {
    "weight": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_var": "running_var",
}
_FIX = "fetch the file again, and compare its checksum with the source's"


class _Stream:
    """The parts of a file in order. Nothing is read or allocated that the file is not long enough for."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path, self.file = path, file
        self.left = path.stat().st_size

    def damaged(self, what: str) -> IntegrityError:
        return IntegrityError(self.path, what, _FIX)

    def take(self, length: int) -> bytearray:
        data = bytearray(length) if length <= self.left else bytearray()
        if length > self.left or self.file.readinto(data) != length:
            raise self.damaged("truncated, or not a .params file of MXNet")
        self.left -= length
        return data

    def numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def name(self) -> str:
        (length,) = self.numbers("<Q")
        if length > MAX_NAME:
            raise self.damaged(f"a name of {length} bytes")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise self.damaged("a name that is not UTF-8") from error

    def array(self) -> Tensor:
        (start,) = self.numbers("<I")
        if start == V2_MAGIC and self.numbers("<i")[0] != DENSE:
            raise self.damaged("a sparse array, expected dense ones")
        wide = start in (V1_MAGIC, V2_MAGIC)
        dimensions = self.numbers("<I")[0] if wide else start
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise self.damaged(f"an array of {dimensions} dimensions, or of an unknown version")
        shape = self.numbers(f"<{dimensions}{'q' if wide else 'I'}")
        *_device, kind = self.numbers("<iii")
        if min(shape) < 1 or kind not in DTYPES:
            raise self.damaged(f"an array of shape {shape} and type {kind}")
        dtype = DTYPES[kind]
        return torch.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype=dtype).reshape(shape)
