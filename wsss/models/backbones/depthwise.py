"""Depthwise convolution at stride 1 whose gradient is fast on a CPU.

torch's gradient of a dilated depthwise convolution takes 10 to 100 times as long as the convolution itself: in
EfficientNet-Lite at output stride 16, a quarter of a whole training step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from wsss.numeric.compiled import compiled

LARGEST = 24 * 24
"""Positions of a map above which torch's own gradient of an undilated kernel is the faster one."""


def depthwise(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...], dilation: tuple[int, ...]
) -> Tensor:
    """Depthwise convolution, stride 1. `x`: (N, C, H, W); `weight`: (C, 1, k, k); `bias`: (C,).

    The values are those of `conv2d`; the gradient is this file's where that pays, and torch's elsewhere.
    """
    if _pays(x, weight, padding, dilation):
        y: Tensor = _Depthwise.apply(x, weight, bias, dilation[0])  # type: ignore[no-untyped-call]
        return y
    return F.conv2d(x, weight, bias, 1, padding, dilation, len(weight))


def _pays(x: Tensor, weight: Tensor, padding: tuple[int, ...], dilation: tuple[int, ...]) -> bool:
    kernel = weight.shape[2]
    centred = weight.shape[3] == kernel and dilation[0] == dilation[1] and set(padding) == {dilation[0] * (kernel // 2)}
    return (
        torch.is_grad_enabled()
        and (x.requires_grad or weight.requires_grad)
        and centred
        and (dilation[0] > 1 or x.shape[2] * x.shape[3] <= LARGEST)
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolve(x, weight, bias, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            # With an odd kernel that is centred, the transposed convolution is the convolution by the flipped kernel.
            to_x = _convolve(gradient, weight.flip(2, 3), None, ctx.dilation)
        if ctx.needs_input_grad[1]:
            sums = np.zeros((*weight.shape[2:], len(weight)), np.float32)
            _correlate(_channels_last(x), _channels_last(gradient), ctx.dilation, sums)
            to_weight = torch.from_numpy(sums).permute(2, 0, 1)[:, None]
        if ctx.needs_input_grad[2]:
            to_bias = gradient.sum((0, 2, 3))
        return to_x, to_weight, to_bias, None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    return F.conv2d(x, weight, bias, 1, dilation * (weight.shape[2] // 2), dilation, len(weight))


def _channels_last(x: Tensor) -> np.ndarray:
    """(N, C, H, W) → (N, H, W, C), contiguous; without a copy where it lies so already."""
    array: np.ndarray = x.detach().permute(0, 2, 3, 1).contiguous().numpy()
    return array


@compiled
def _correlate(x: np.ndarray, y: np.ndarray, dilation: int, sums: np.ndarray) -> None:
    """Add Σ x[n, p + dilation · tap, c] · y[n, p, c] to `sums` (k, k, C), for maps (N, H, W, C) float32.

    128 channels at a time stay in the nearest cache with the rows they meet; four positions at once save three of four
    loads and stores of their sums.
    """
    photos, height, width, channels = x.shape
    half = sums.shape[0] // 2
    for first in range(0, channels, 128):
        last = min(channels, first + 128)
        for n in range(photos):
            for row in range(height):
                for i in range(-half, half + 1):
                    other = row + i * dilation
                    if other < 0 or other >= height:
                        continue
                    for j in range(-half, half + 1):
                        total = sums[i + half, j + half, first:last]
                        shift = j * dilation
                        place, end = max(0, -shift), min(width, width - shift)
                        while place + 4 <= end:
                            x0, y0 = x[n, other, place + shift, first:last], y[n, row, place, first:last]
                            x1, y1 = x[n, other, place + shift + 1, first:last], y[n, row, place + 1, first:last]
                            x2, y2 = x[n, other, place + shift + 2, first:last], y[n, row, place + 2, first:last]
                            x3, y3 = x[n, other, place + shift + 3, first:last], y[n, row, place + 3, first:last]
                            for c in range(last - first):
                                total[c] += x0[c] * y0[c] + x1[c] * y1[c] + x2[c] * y2[c] + x3[c] * y3[c]
                            place += 4
                        while place < end:
                            x0, y0 = x[n, other, place + shift, first:last], y[n, row, place, first:last]
                            for c in range(last - first):
                                total[c] += x0[c] * y0[c]
                            place += 1
