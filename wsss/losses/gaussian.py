"""Differentiable Gaussian sums between all cells of a photo: exact attention, or the lattice (large grids, CPU)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from wsss.crf.lattice import Lattice, build, padded

EXACT_CELLS = 32 * 32
"""The largest grid that a CPU filters exactly. From there on the lattice, an approximation, takes a fifth of the time
or less (41×41: 4 ms instead of 32), and its gradient has a cosine of .995 with the exact one (benchmarks/energy.py)."""
ALIGNMENT = 8
"""Attention kernels, on CPU and GPU, are fast where the length of a vector is a multiple of this."""

A = TypeVar("A")
B = TypeVar("B")


def gaussian_filter(features: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``K @ values``, not normalised, and the diagonal of K, which it includes.

    `features`: (N, P, D), without gradient; `values`: (N, P, C) → (N, P, C), and (N, P) without gradient. Memory grows
    with P. Exactly, K(i,j) = exp(−|f_i − f_j|²/2) with a diagonal of 1, and time grows with P². On a CPU and beyond
    `EXACT_CELLS`, K is the permutohedral lattice's, in float32 and linear time. That is a linear map with entries ≥ 0,
    about half of the exact ones, diagonal too, and not quite symmetric. The gradient is that of this map.
    """
    if features.device.type == "cpu" and features.shape[1] > EXACT_CELLS:
        lattices = _each(build, features.detach().float().numpy())
        own = torch.stack([torch.from_numpy(found) for found in _each(Lattice.diagonal, lattices)])
        filtered: torch.Tensor = _LatticeFilter.apply(lattices, values)  # type: ignore[no-untyped-call]
        return filtered, own.to(values.dtype)
    filtered = _ExactFilter.apply(features, values)  # type: ignore[no-untyped-call]
    return filtered, torch.ones_like(values[..., 0])


class _ExactFilter(torch.autograd.Function):
    """K is symmetric, so the gradient of ``K @ v`` in v is K @ gradient: the same filter once more, nothing stored."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(features)
        return _attend(features, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, _attend(ctx.saved_tensors[0], gradient)


class _LatticeFilter(torch.autograd.Function):
    """One lattice per photo, all channels at once. The gradient is the adjoint, on the same lattices."""

    @staticmethod
    def forward(ctx: Any, lattices: list[Lattice], values: torch.Tensor) -> torch.Tensor:
        ctx.lattices = lattices
        return _on_lattices(lattices, values, reverse=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, _on_lattices(ctx.lattices, gradient, reverse=True)


def _on_lattices(lattices: list[Lattice], values: torch.Tensor, *, reverse: bool) -> torch.Tensor:
    channels = values.shape[-1]
    given = F.pad(values.detach().float(), (0, padded(channels) - channels)).contiguous()
    found = torch.empty_like(given)

    def work(photo: int) -> None:
        lattices[photo].filter(given[photo].numpy(), reverse=reverse, out=found[photo].numpy())

    _each(work, range(len(lattices)))
    return found[..., :channels].to(values.dtype)


def _each(work: Callable[[A], B], photos: Iterable[A]) -> list[B]:
    """`work` on each photo, in no more threads than torch may use; the lattice's loops run without the GIL."""
    if torch.get_num_threads() == 1:
        return [work(photo) for photo in photos]
    with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="lattice") as pool:
        return list(pool.map(work, photos))


def _attend(features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``K @ values`` by fused attention, which never holds the P×P matrix.

    With q_i = [f_i, 1, −|f_i|²/2] and k_j = [f_j, −|f_j|²/2, 1], q_i·k_j = −|f_i − f_j|²/2 is the logarithm of
    K(i,j). Softmax divides by the row sum; one more key, k = 0, has weight exp(0) = 1 in every row. So with the value
    1 in a channel of its own it returns 1 / (W(i) + 1), the factor by which all other channels are too small.
    """
    half = features.square().sum(-1, keepdim=True) / 2
    one = torch.ones_like(half)
    channels = values.shape[-1]
    # Fused kernels need vectors of one length for queries, keys and values.
    length = -(-max(channels + 1, features.shape[-1] + 2) // ALIGNMENT) * ALIGNMENT
    queries, keys = (
        F.pad(torch.cat([features, *ends], -1), (0, length - features.shape[-1] - 2))
        for ends in ((one, -half), (-half, one))
    )
    keys, payload = F.pad(keys, (0, 0, 0, 1)), F.pad(values, (0, length - channels, 0, 1))
    payload[:, -1, -1] = 1
    # In bfloat16 differences of squares as large as |f|² ≈ 300 would be noise.
    with torch.autocast(features.device.type, enabled=False):
        rows = F.scaled_dot_product_attention(queries[:, None], keys[:, None], payload[:, None], scale=1.0)[:, 0]
    return rows[..., :channels] / rows[..., -1:]
