"""`.safetensors` files, read without the package of that name.

The format: uint64 length of the header, little-endian; the header, a JSON object of `{name: {dtype, shape,
data_offsets: [begin, end]}}` and an optional `__metadata__`; then the data of all tensors, without holes.
"""

from __future__ import annotations

import json
import math
import reprlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsss.core.errors import IntegrityError

MAX_HEADER = 100_000_000
MAX_DIMENSIONS = 8
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of the file by name. Raises `IntegrityError` if it is truncated, damaged or of another format."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise _damaged(path, "truncated, or not a .safetensors file")
        header = _header(path, file.read(length))
        spans = {name: _span(path, name, entry) for name, entry in header.items()}
        end = 0
        tensors = {}
        for name, (begin, stop, dtype, shape) in sorted(spans.items(), key=lambda item: item[1][:2]):
            if begin != end or stop > size - 8 - length:
                raise _damaged(path, f"truncated, or {name!r} lies at {begin}…{stop}, expected from {end}")
            end = stop
            tensors[name] = _tensor(path, file, dtype, shape)
    if end != size - 8 - length:
        raise _damaged(path, f"{size - 8 - length - end} bytes more than its tensors")
    return {name: tensors[name] for name in header}


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """What the header says of each tensor, not checked yet."""
    try:
        header = json.loads(content.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not JSON, or names a tensor twice") from error
    if not isinstance(header, dict):
        raise _damaged(path, f"its header is a {type(header).__name__}, expected an object")
    header.pop("__metadata__", None)
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _span(path: Path, name: str, entry: Any) -> tuple[int, int, torch.dtype, list[int]]:
    """(begin, end, dtype, shape) of a tensor, in agreement with each other."""
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [begin, end]} if (
            kind in DTYPES and len(shape) <= MAX_DIMENSIONS
        ):
            # Sizes of 0 are legal, but no network has such a tensor.
            numbers = [*shape, begin, end]
            whole = all(type(number) is int for number in numbers) and all(number > 0 for number in shape)
            if whole and begin >= 0 and end - begin == math.prod(shape) * DTYPES[kind].itemsize:
                return begin, end, DTYPES[kind], shape
    raise _damaged(path, f"its header says of {name[:80]!r}: {reprlib.repr(entry)}")


def _tensor(path: Path, file: BufferedReader, dtype: torch.dtype, shape: list[int]) -> Tensor:
    data = bytearray(math.prod(shape) * dtype.itemsize)
    if file.readinto(data) != len(data):
        raise _damaged(path, "truncated while it was read")
    return torch.frombuffer(data, dtype=dtype).reshape(shape)


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(path, what, "fetch the file again, and compare its checksum with the source's")
