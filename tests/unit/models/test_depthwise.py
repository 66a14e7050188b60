"""The gradient of the depthwise convolution, against sums in float64 and against torch."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from wsss.models.backbones import depthwise as module
from wsss.models.backbones.depthwise import depthwise

CASES = [
    (1, 1, 5, 7, 3, 1, 1, 1),
    (3, 5, 4, 4, 5, 1, 4, 2),
    (2, 130, 9, 3, 3, 1, 2, 2),
    (2, 257, 2, 2, 1, 1, 0, 2),
    (1, 4, 11, 13, 5, 1, 6, 3),
    (2, 130, 9, 8, 4, 2, 1, 1),
    (1, 3, 8, 13, 6, 2, 2, 1),
    (2, 2, 1, 2, 5, 2, 2, 1),
]
"""Photos, channels, height, width, kernel, stride, padding, dilation."""


def given(photos: int, channels: int, height: int, width: int, kernel: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(photos + channels + kernel)
    x = torch.randn(photos, channels, height, width, generator=draw).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(channels, 1, kernel, kernel, generator=draw), torch.randn(channels, generator=draw)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), torch.randn(x.shape, generator=draw)


def by_definition(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, place: tuple[int, int, int], up: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Output and the three gradients, one product at a time, in float64."""
    stride, padding, dilation = place
    y, to_x, to_weight = np.zeros_like(up), np.zeros_like(x), np.zeros_like(weight)
    for n, c, row, column in np.ndindex(up.shape):
        y[n, c, row, column] += bias[c]
        for i, j in itertools.product(range(weight.shape[2]), repeat=2):
            other, across = row * stride + i * dilation - padding, column * stride + j * dilation - padding
            if 0 <= other < x.shape[2] and 0 <= across < x.shape[3]:
                y[n, c, row, column] += x[n, c, other, across] * weight[c, 0, i, j]
                to_x[n, c, other, across] += up[n, c, row, column] * weight[c, 0, i, j]
                to_weight[c, 0, i, j] += up[n, c, row, column] * x[n, c, other, across]
    return y, to_x, to_weight, up.sum((0, 2, 3))


@pytest.mark.parametrize("half", [False, True], ids=["32 bit", "autocast"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_the_definition(case: tuple[int, ...], half: bool) -> None:
    *shape, stride, padding, dilation = case
    x, weight, bias, _ = given(*shape)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = depthwise(x, weight, bias, stride, (padding, padding), dilation)
    assert y.dtype == (torch.bfloat16 if half else torch.float32)
    assert y.grad_fn is not None
    assert "Depthwise" in y.grad_fn.name()
    up = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    found = (y, *torch.autograd.grad(y, (x, weight, bias), up))
    # What is rounded to 8 bits is known: the maps and the kernel. Their products and sums are compared with it.
    rounded = [tensor.detach().to(y.dtype).double().numpy() for tensor in (x, weight, bias)]
    wanted = by_definition(*rounded, (stride, padding, dilation), up.double().numpy())
    for number, (ours, exact) in enumerate(zip(found, wanted, strict=True)):
        assert ours.dtype == (torch.float32 if number else y.dtype)
        sums = number >= 2
        close = 1e-5 if not half or sums else 8e-3
        np.testing.assert_allclose(ours.detach().double().numpy(), exact, rtol=close, atol=close * np.abs(exact).max())


def test_a_gradient_in_another_memory_layout_is_read_rightly() -> None:
    x, weight, bias, up = given(2, 6, 5, 5, 3)
    y = depthwise(x, weight, bias, 1, (2, 2), 2)
    straight, strided = (
        torch.autograd.grad(y, weight, up.contiguous(memory_format=layout), retain_graph=True)[0]
        for layout in (torch.channels_last, torch.contiguous_format)
    )
    assert torch.equal(straight, strided)


def test_only_gradients_that_are_wanted_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias, up = given(2, 6, 5, 5, 3)
    y = depthwise(x.detach(), weight, None, 1, (2, 2), 2)
    (only_weight,) = torch.autograd.grad(y, weight, up)
    monkeypatch.setattr(module, "_correlate", None)
    y = depthwise(x, weight.detach(), bias.detach(), 1, (2, 2), 2)
    (only_x,) = torch.autograd.grad(y, x, up)
    y = F.conv2d(x, weight, None, 1, 2, 2, 6)
    torch.testing.assert_close((only_x, only_weight), torch.autograd.grad(y, (x, weight), up), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("why", ["no gradient", "float64", "a large map", "off centre"])
def test_elsewhere_torch_does_it(why: str) -> None:
    side = 25 if why == "a large map" else 5
    x, weight, bias, _ = given(1, 3, side, side, 3)
    padding = (1, 1)
    if why == "no gradient":
        x, weight = x.detach(), weight.detach()
    if why == "float64":
        x, weight, bias = (tensor.detach().double().requires_grad_() for tensor in (x, weight, bias))
    if why == "off centre":
        padding = (1, 2)
    y = depthwise(x, weight, bias, 1, padding, 1)
    reference = F.conv2d(x, weight, bias, 1, padding, 1, 3)
    assert torch.equal(y, reference)
    assert y.grad_fn is None or "Depthwise" not in y.grad_fn.name()
