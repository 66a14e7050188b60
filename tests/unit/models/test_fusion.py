"""Eqs (6)–(8) against a loop over pairs of positions; what θ preserves, who gets gradient, how much memory it takes."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from wsss.core.errors import UserError
from wsss.losses.cams import ecr_loss
from wsss.models.backbones.base import Level
from wsss.models.backbones.tiny import Tiny
from wsss.models.fusion import EPS, Fusion, FusionSettings, balance, directions, propagate, resize

LEVELS = (Level("c2", 4, 4), Level("c3", 6, 8), Level("c4", 8, 16))
CLASSES = 3
GRID = (4, 5)


def settings(**changes: Any) -> FusionSettings:
    values: dict[str, Any] = {"levels": ("c3", "c4"), "grid": "coarsest", "channels": 8, "tied": True, "g": "mean"}
    return FusionSettings(**{"enabled": True, "loss": "ecr", "hardest": 0.2, **values, **changes})


def maps_of(levels: tuple[Level, ...] = LEVELS, batch: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand(batch, level.channels, 64 // level.stride, 80 // level.stride, generator=generator)
        for level in levels
    )


def cams(size: tuple[int, int] = GRID) -> tuple[torch.Tensor, torch.Tensor]:
    """M^merge and M^MS."""
    merged, multiscale = torch.rand(2, 2, CLASSES, *size, generator=torch.Generator().manual_seed(1))
    return merged, multiscale


def by_pair(theta: torch.Tensor, phi: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """First term of Eq (8) for one photo. (P, c), (P, c), (K, P) → (K, P)."""
    result = torch.zeros_like(maps)
    for i in range(maps.shape[1]):
        similar = [max(0.0, float(theta[i] @ phi[j])) for j in range(maps.shape[1])]
        for k in range(maps.shape[0]):
            result[k, i] = sum(f * float(m) for f, m in zip(similar, maps[k], strict=True)) / (sum(similar) + EPS)
    return result


def unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.stack([row / math.sqrt(float(row @ row)) for row in rows])


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_equation_8_equals_a_loop_over_pairs(tied: bool) -> None:
    torch.manual_seed(0)
    fusion = Fusion(LEVELS, settings(tied=tied), CLASSES)
    if fusion.phi is not None:
        torch.nn.init.normal_(fusion.phi.weight)
    features, (merged, multiscale) = maps_of(), cams()
    ours = fusion(features, merged, multiscale)
    for n in range(2):
        x = []
        for level in (F.avg_pool2d(features[1], 2)[n], features[2][n]):
            rows = level.flatten(1).T
            rows = rows - sum(rows) / len(rows)
            x.append(rows / math.sqrt(sum(float(row @ row) for row in rows) / len(rows)))
        theta, phi = (
            unit(torch.cat(x, 1) @ projection.weight[:, :, 0, 0].T)
            for projection in (fusion.theta, fusion.phi or fusion.theta)
        )
        expected = by_pair(theta, phi, merged[n].flatten(1)).reshape(CLASSES, *GRID) + multiscale[n]
        torch.testing.assert_close(ours[n], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_positions_that_resemble_none_but_themselves_keep_their_value() -> None:
    # Corners of a simplex: every cosine between two of them is negative.
    positions = GRID[0] * GRID[1]
    level = Level("c4", positions, 16)
    fusion = Fusion((level,), settings(levels=("c4",), channels=positions), CLASSES)
    merged, multiscale = cams()
    features = torch.eye(positions).reshape(1, positions, *GRID).expand(2, -1, -1, -1)
    torch.testing.assert_close(fusion((features,), merged, multiscale), merged + multiscale, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_positions_that_look_alike_share_their_mean() -> None:
    fusion = Fusion(LEVELS[2:], settings(levels=("c4",)), CLASSES)
    merged, multiscale = cams()
    half = torch.zeros(2, 8, *GRID)
    half[..., :2, :] = torch.rand(8, 1, 1)
    fused = fusion((half,), merged, multiscale) - multiscale
    for part in (slice(0, 2), slice(2, 4)):
        mean = merged[..., part, :].mean((2, 3), keepdim=True)
        torch.testing.assert_close(fused[..., part, :], mean.expand(-1, -1, 2, 5), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_features_without_contrast_leave_the_multiscale_map() -> None:
    fusion = Fusion(LEVELS, settings(), CLASSES)
    merged, multiscale = cams()
    flat = tuple(torch.zeros_like(level) for level in maps_of())
    assert torch.equal(fusion(flat, merged, multiscale), multiscale)


@pytest.mark.parametrize("grid", ["coarsest", "finest", "cam"])
@torch.no_grad()
def test_result_lies_on_the_grid_of_the_maps(grid: str) -> None:
    fusion = Fusion(LEVELS, settings(grid=grid, levels=("c2", "c4")), CLASSES)
    merged, multiscale = cams((8, 10))
    at = {"coarsest": (4, 5), "finest": (16, 20), "cam": (8, 10)}[grid]
    seen: list[tuple[int, ...]] = []
    fusion.theta.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[2:])))
    assert fusion(maps_of(), merged, multiscale).shape == multiscale.shape
    assert seen == [at]


@torch.no_grad()
def test_permuted_classes_are_permuted_maps_and_photos_do_not_mix() -> None:
    fusion = Fusion(LEVELS, settings(), CLASSES)
    features, (merged, multiscale) = maps_of(), cams()
    whole = fusion(features, merged, multiscale)
    order = [2, 0, 1]
    torch.testing.assert_close(fusion(features, merged[:, order], multiscale[:, order]), whole[:, order])
    alone = fusion([level[1:] for level in features], merged[1:], multiscale[1:])
    torch.testing.assert_close(alone, whole[1:])


@torch.no_grad()
def test_learnt_g_and_untied_phi_start_as_the_plain_module() -> None:
    features, maps = maps_of(), cams()
    results = []
    for changes in ({}, {"g": "conv"}, {"tied": False}):
        torch.manual_seed(0)
        results.append(Fusion(LEVELS, settings(**changes), CLASSES)(features, *maps))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def off_diagonal_cosines(x: torch.Tensor) -> torch.Tensor:
    rows = directions(x)[0]
    cosines = rows @ rows.T
    return cosines[~torch.eye(len(rows), dtype=torch.bool)]


@torch.no_grad()
def test_untrained_theta_keeps_the_cosines_of_the_features() -> None:
    torch.manual_seed(0)
    backbone = Tiny().eval()
    photo = F.interpolate(255 * torch.rand(1, 3, 7, 7), (192, 192), mode="bicubic").clamp(0, 255)
    fusion = Fusion(backbone.levels, settings(levels=("c3", "c4", "c5"), channels=32), CLASSES)
    maps = [resize(level, (12, 12)) for level in backbone(photo)[1:]]
    x = torch.cat([balance(level) for level in maps], 1)
    pairs = torch.stack([off_diagonal_cosines(fusion.theta(x)), off_diagonal_cosines(x)])
    assert float(torch.corrcoef(pairs)[0, 1]) > 0.8


@pytest.mark.parametrize("factor", [1e-2, 1e3])
@torch.no_grad()
def test_no_level_dominates_whatever_its_magnitude(factor: float) -> None:
    fusion = Fusion(LEVELS, settings(), CLASSES)
    features, maps = maps_of(), cams()
    louder = (features[0], features[1], factor * features[2])
    torch.testing.assert_close(fusion(louder, *maps), fusion(features, *maps), rtol=1e-3, atol=1e-3)
    for level in features:
        lengths = balance(level).square().sum(1).mean((1, 2))
        torch.testing.assert_close(lengths, torch.ones(2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("changes", [{}, {"tied": False}, {"g": "conv"}])
def test_consistency_reaches_all_of_the_module_and_no_backbone(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    fusion = Fusion(LEVELS, settings(**changes), CLASSES)
    features = tuple(level.requires_grad_() for level in maps_of())
    merged, multiscale = cams()
    fused = fusion(features, merged, multiscale)
    ecr_loss(fused, multiscale, torch.tensor([[1, 0, 1], [0, 1, 0]]), 0.2).mean().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert all(level.grad is None for level in features)


def test_gradient_of_propagation_equals_finite_differences() -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(2, 7, width, dtype=torch.float64, requires_grad=True) for width in (3, 3, 2)]
    assert torch.autograd.gradcheck(propagate, tensors)


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return (q @ k.mT).relu() @ v


@pytest.mark.parametrize("fixed", [0, 1, 2])
def test_blocks_give_the_gradient_of_the_whole_matrix(fixed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.models.fusion.BLOCK", 2 * 50 * 7)  # 7 rows a time: the last block has one
    tensors = [torch.randn(2, 50, width, dtype=torch.float64, requires_grad=True) for width in (4, 4, 3)]
    tensors[fixed] = tensors[fixed].detach()
    free = [tensor for tensor in tensors if tensor.requires_grad]

    def gradients(function: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(function(*tensors).sin().sum(), free)

    torch.testing.assert_close(propagate(*tensors), dense(*tensors))
    for ours, expected in zip(gradients(propagate), gradients(dense), strict=True):
        torch.testing.assert_close(ours, expected)


class Memory(TorchDispatchMode):
    """Bytes of all tensors made and still alive, at their most."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.alive:
                    weakref.finalize(storage, self.alive.pop, storage.data_ptr(), None)
                self.alive[storage.data_ptr()] = storage.nbytes()
        self.peak = max(self.peak, sum(self.alive.values()))
        return result


def test_memory_of_forward_and_backward_is_bounded_on_a_large_grid() -> None:
    fusion = Fusion(LEVELS[2:], settings(levels=("c4",), channels=16), CLASSES)
    level, (merged, multiscale) = torch.rand(4, 8, 64, 64), torch.rand(2, 4, CLASSES, 64, 64)
    with Memory() as memory:
        fusion((level,), merged, multiscale).sum().backward()
    assert 1e6 < memory.peak < 50e6, "the whole affinity of four photos would be 268 MB"


def test_unknown_level_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no level 'c33' \(did you mean 'c3'\?\)\nfix: choose among c2, c3, c4"):
        Fusion(LEVELS, settings(levels=("c33",)), CLASSES)


def test_half_precision_maps_are_fused_in_full() -> None:
    fusion = Fusion(LEVELS, settings(), CLASSES)
    with torch.autocast("cpu", torch.bfloat16):
        fused = fusion([level.bfloat16() for level in maps_of()], *(maps.bfloat16() for maps in cams()))
    assert fused.dtype == torch.float32
    assert fused.isfinite().all()
