"""Depthwise convolution: its gradient on a CPU, and maps of any size on a GPU, without waiting.

torch's gradient of a dilated, strided or wide depthwise convolution takes 3 to 100 times as long as the convolution
itself: in EfficientNet-Lite at output stride 16, a quarter of a whole training step. In 16 bit all of its gradients do,
and make bf16-mixed slower than 32-true, where the rest of the network takes half the time. On an H200, photos of many
sizes wait for a compiler nine tenths of the time (docs/benchmarks.md#on-a-gpu).
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
"""Positions of a map above which torch's own gradient of a 3×3 kernel, neither dilated nor strided, is the faster."""


def depthwise(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, ...], dilation: int
) -> Tensor:
    """Depthwise convolution. `x`: (N, C, H, W); `weight`: (C, 1, k, k); `bias`: (C,); `padding`: by axis.

    The values are those of `conv2d`, also under autocast; the gradient is this file's where that pays, and torch's
    elsewhere.
    """
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    square = weight.shape[2] == weight.shape[3] and len(set(padding)) == 1
    if learns and square and x.device.type == "cpu":
        half = torch.is_autocast_enabled("cpu")
        if half or (x.dtype == weight.dtype == torch.float32 and _pays(x, weight, stride, dilation)):
            y: Tensor = _Depthwise.apply(x, weight, bias, stride, padding[0], dilation)  # type: ignore[no-untyped-call]
            return y
    if x.device.type == "cuda":
        # Channels last, cuDNN compiles a kernel for every new size of a map. Contiguous, torch has one for all sizes.
        whole = F.conv2d(x.contiguous(), weight.contiguous(), bias, stride, padding, dilation, len(weight))
        return whole.contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, weight, bias, stride, padding, dilation, len(weight))


def _pays(x: Tensor, weight: Tensor, stride: int, dilation: int) -> bool:
    return stride > 1 or dilation > 1 or weight.shape[2] > 3 or x.shape[2] * x.shape[3] <= LARGEST


class _Depthwise(torch.autograd.Function):
    """Under autocast: maps and their gradients in 16 bit, sums over positions in 32."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int
    ) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        ctx.place, ctx.given = (stride, padding, dilation), x.dtype
        x = x.to(dtype)
        ctx.save_for_backward(x, weight)
        added = None if bias is None else bias.to(dtype)
        return F.conv2d(x, weight.to(dtype), added, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.place
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            if stride == 1:
                # The transposed convolution is the convolution by the flipped kernel.
                rest = dilation * (weight.shape[2] - 1) - padding
                flipped = weight.to(x.dtype).flip(2, 3)
                to_x = F.conv2d(gradient, flipped, None, 1, rest, dilation, len(weight))
            else:
                to_x = _by_torch(gradient, x, weight, ctx.place, (True, False))[0]
            to_x = to_x.to(ctx.given)
        if ctx.needs_input_grad[1]:
            if _pays(x, weight, stride, dilation):
                sums = np.zeros((*weight.shape[2:], len(weight)), np.float32)
                _correlate(_channels_last(x), _channels_last(gradient), stride, padding, dilation, sums)
                to_weight = torch.from_numpy(sums).permute(2, 0, 1)[:, None]
            else:
                to_weight = _by_torch(gradient, x, weight, ctx.place, (False, True))[1]
        if ctx.needs_input_grad[2]:
            to_bias = gradient.sum((0, 2, 3), dtype=torch.float32)
        return to_x, to_weight, to_bias, None, None, None


def _by_torch(
    gradient: Tensor, x: Tensor, weight: Tensor, place: tuple[int, int, int], wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """The gradients of `x` and `weight` that are `wanted`, by torch, in 32 bit."""
    stride, padding, dilation = ([number, number] for number in place)
    rest = (None, stride, padding, dilation, False, [0, 0], len(weight), [*wanted, False])
    to_x, to_weight, _ = torch.ops.aten.convolution_backward(gradient.float(), x.float(), weight, *rest)
    return to_x, to_weight


def _channels_last(x: Tensor) -> np.ndarray:
    """(N, C, H, W) → (N, H, W, C) float32, contiguous; without a copy where it lies so already."""
    array: np.ndarray = x.detach().permute(0, 2, 3, 1).float().contiguous().numpy()
    return array


@compiled
def _correlate(x: np.ndarray, y: np.ndarray, stride: int, padding: int, dilation: int, sums: np.ndarray) -> None:
    """Add Σ x[n, stride · p + dilation · tap - padding, c] · y[n, p, c] to `sums` (k, k, C).

    `x`: (N, H, W, C) and `y`: (N, rows, columns, C), float32. 128 channels at a time stay in the nearest cache with the
    rows they meet; four positions at once save three of four loads and stores of their sums.
    """
    photos, height, width, channels = x.shape
    for first in range(0, channels, 128):
        last = min(channels, first + 128)
        for n in range(photos):
            for row in range(y.shape[1]):
                for i in range(sums.shape[0]):
                    other = row * stride + i * dilation - padding
                    if other < 0 or other >= height:
                        continue
                    for j in range(sums.shape[1]):
                        total = sums[i, j, first:last]
                        shift = j * dilation - padding
                        # The first column that meets the map, and the one after the last.
                        place, end = max(0, -(shift // stride)), min(y.shape[2], (width - 1 - shift) // stride + 1)
                        at = place * stride + shift
                        while place + 4 <= end:
                            x0, y0 = x[n, other, at, first:last], y[n, row, place, first:last]
                            x1, y1 = x[n, other, at + stride, first:last], y[n, row, place + 1, first:last]
                            x2, y2 = x[n, other, at + 2 * stride, first:last], y[n, row, place + 2, first:last]
                            x3, y3 = x[n, other, at + 3 * stride, first:last], y[n, row, place + 3, first:last]
                            for c in range(last - first):
                                total[c] += x0[c] * y0[c] + x1[c] * y1[c] + x2[c] * y2[c] + x3[c] * y3[c]
                            place, at = place + 4, at + 4 * stride
                        while place < end:
                            x0, y0 = x[n, other, at, first:last], y[n, row, place, first:last]
                            for c in range(last - first):
                                total[c] += x0[c] * y0[c]
                            place, at = place + 1, at + stride
