"""Checkpoints as bytes that depend on their values alone."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any

import torch


def canonical_bytes(content: Any) -> bytes:
    """`torch.save` bytes that depend on the values alone.

    Pickle writes an object that it met before as a reference, and a tensor with all of its storage; both depend on
    history (a resumed run shares fewer strings), so strings are interned and tensors copied to the CPU first.
    """
    buffer = io.BytesIO()
    torch.save(_canonical(content), buffer)
    return buffer.getvalue()


def _canonical(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True).contiguous()
    if isinstance(value, Mapping):
        return {_canonical(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, str):
        return sys.intern(str(value))
    return value
