"""Mixed precision: the forward pass computes in 16 bit where torch holds that to be safe, all else in 32 bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from wsss.numeric.half import Precision

TYPES: dict[Precision, torch.dtype] = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Mixed(nn.Module):
    """`network` under autocast on devices of type `kind` (cpu, cuda): 16 bit in, 32 bit out, so losses are in 32."""

    def __init__(self, network: nn.Module, precision: Precision, kind: str) -> None:
        super().__init__()
        self.network, self.dtype, self.kind = network, TYPES[precision], kind

    def forward(self, *arguments: Any) -> Any:
        """What `network` gives for `arguments`: tensors, or tuples and dictionaries of them."""
        with torch.autocast(self.kind, self.dtype):
            output = self.network(*converted(arguments, self.dtype))
        return converted(output, torch.float32)


def converted(value: Any, dtype: torch.dtype) -> Any:
    """`value` with its floating-point tensors as `dtype`, also in tuples, named or not, and dictionaries."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: converted(item, dtype) for key, item in value.items()}
    if isinstance(value, tuple):
        items = [converted(item, dtype) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value
