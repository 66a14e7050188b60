"""Exact attention against the Gaussian matrix; the lattice behind the same function: adjoint, threads, memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from wsss.crf.lattice import build
from wsss.losses import gaussian
from wsss.losses.gaussian import gaussian_filter


@pytest.mark.parametrize("channels", [1, 5, 30])
def test_filter_is_the_gaussian_matrix(channels: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 33, 5, dtype=torch.float64)
    values = torch.randn(2, 33, channels, dtype=torch.float64, requires_grad=True)
    matrix = torch.exp(-torch.cdist(features, features).square() / 2)
    filtered, own = gaussian_filter(features, values)
    assert torch.equal(own, torch.ones(2, 33, dtype=torch.float64))
    torch.testing.assert_close(filtered, matrix @ values)
    upstream = torch.randn_like(filtered)
    torch.testing.assert_close(torch.autograd.grad(filtered, values, upstream)[0], matrix.mT @ upstream)


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [part for part in (result if isinstance(result, tuple) else (result,)) if torch.is_tensor(part)]
        self.elements = max([self.elements, *(tensor.numel() for tensor in tensors)])
        return result


def test_no_matrix_of_all_pairs_is_held() -> None:
    values = torch.rand(1, 1600, 21, requires_grad=True)
    with Largest() as seen:
        gaussian_filter(torch.randn(1, 1600, 5), values)[0].sum().backward()
    assert 1600 * 21 < seen.elements < 1600 * 100


def test_far_apart_features_do_not_overflow() -> None:
    features = torch.tensor([[[0.0, 0.0], [1e3, 0.0], [1e3, 1e-3]]])
    filtered, _ = gaussian_filter(features, torch.tensor([[[1.0], [2.0], [4.0]]]))
    assert filtered.flatten().tolist() == [1.0, 6.0, 6.0]


@pytest.fixture
def on_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian, "EXACT_CELLS", 0)


@pytest.mark.usefixtures("on_lattice")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lattice_filters_each_photo_on_its_own(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    features, values = torch.randn(3, 200, 5, dtype=dtype), torch.rand(3, 200, 6, dtype=dtype)
    filtered, own = gaussian_filter(features, values)
    assert filtered.dtype == own.dtype == dtype
    for sample, given, found, diagonal in zip(features, values, filtered, own, strict=True):
        lattice = build(sample.float().numpy())
        assert torch.equal(found.float(), torch.from_numpy(lattice.filter(given.float().numpy())))
        assert torch.equal(diagonal.float(), torch.from_numpy(lattice.diagonal()))


@pytest.mark.usefixtures("on_lattice")
def test_gradient_on_the_lattice_is_the_adjoint() -> None:
    """⟨Kx, y⟩ = ⟨x, Kᵀy⟩; the map is not symmetric, K in place of Kᵀ would not do."""
    torch.manual_seed(0)
    features, x, y = 0.7 * torch.randn(2, 500, 5), torch.rand(2, 500, 9), torch.rand(2, 500, 9)
    x.requires_grad_()
    filtered, _ = gaussian_filter(features, x)
    (back,) = torch.autograd.grad(filtered, x, y)
    left, right = (filtered.detach().double() * y).sum(), (back.double() * x.detach()).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-5)
    forward, _ = gaussian_filter(features, y)
    assert not torch.allclose(forward, back, rtol=1e-3)


@pytest.mark.usefixtures("on_lattice")
def test_lattice_gives_the_same_bytes_for_any_number_of_threads() -> None:
    torch.manual_seed(0)
    features, values = torch.randn(5, 300, 5), torch.rand(5, 300, 4, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            filtered, own = gaussian_filter(features, values)
            results.append((filtered, own, torch.autograd.grad(filtered.square().sum(), values)[0]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_grids_up_to_the_bound_are_exact_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    features, values = torch.randn(1, 50, 5), torch.rand(1, 50, 2)
    monkeypatch.setattr(gaussian, "EXACT_CELLS", 50)
    exact, _ = gaussian_filter(features, values)
    monkeypatch.setattr(gaussian, "EXACT_CELLS", 49)
    approximate, own = gaussian_filter(features, values)
    assert not torch.allclose(exact, approximate, rtol=1e-3)
    assert float(own.max()) < 1
