"""The random walk on a photo's own affinities, against loops and on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsss.cams import walk as walking
from wsss.cams.local import local_levels, local_maps
from wsss.cams.walk import SHARPNESS, coarse, walk
from wsss.models.backbones.base import Level


def by_loops(cams: np.ndarray, levels: list[np.ndarray], steps: int) -> np.ndarray:
    """(K, h, w) and (C, h, w) each → (K, h, w), position by position."""
    parts = []
    for level in levels:
        centred = level - level.mean((1, 2), keepdims=True)
        parts.append(centred / np.sqrt((centred**2).sum(0).mean()))
    seen = np.concatenate(parts).reshape(sum(map(len, levels)), -1).T
    for _ in range(steps):
        flat, made = cams.reshape(len(cams), -1), np.zeros((len(cams), len(seen)))
        for here in range(len(seen)):
            weights = np.zeros(len(seen))
            for there in range(len(seen)):
                cosine = seen[here] @ seen[there] / np.linalg.norm(seen[here]) / np.linalg.norm(seen[there])
                weights[there] = max(cosine, 0.0) ** SHARPNESS
            made[:, here] = flat @ weights / weights.sum()
        cams = made.reshape(cams.shape)
    return cams


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_equals_loops_over_positions(steps: int) -> None:
    torch.manual_seed(0)
    cams, levels = torch.rand(2, 3, 4, 5), [torch.randn(2, 6, 4, 5), 50 * torch.rand(2, 9, 4, 5)]
    found = walk(cams, levels, steps)
    for photo in range(2):
        expected = by_loops(cams[photo].double().numpy(), [level[photo].double().numpy() for level in levels], steps)
        np.testing.assert_allclose(found[photo].numpy(), expected, rtol=2e-4)


def test_a_peak_spreads_over_what_looks_like_it_and_no_further() -> None:
    """A photo of two halves, a peak in the left one: the left becomes even, the right stays empty."""
    level = torch.zeros(1, 2, 6, 8)
    level[:, 0, :, :4], level[:, 1, :, 4:] = 1.0, 1.0
    cams = torch.zeros(1, 1, 6, 8)
    cams[0, 0, 2, 1] = 24.0
    found = walk(cams, [level], 1)[0, 0]
    torch.testing.assert_close(found[:, :4], torch.ones(6, 4), rtol=1e-3, atol=1e-3)
    assert found[:, 4:].abs().max() < 1e-3


def test_a_photo_without_any_structure_keeps_its_maps() -> None:
    cams = torch.rand(1, 2, 3, 4)
    torch.testing.assert_close(walk(cams, [torch.full((1, 5, 3, 4), 7.0)], 2), cams)


def test_a_constant_map_stays_constant_and_no_score_leaves_its_range() -> None:
    levels = [torch.randn(1, 8, 5, 5)]
    torch.testing.assert_close(walk(torch.full((1, 1, 5, 5), 0.3), levels, 2), torch.full((1, 1, 5, 5), 0.3))
    found = walk(torch.rand(1, 4, 5, 5), levels, 2)
    assert found.min() >= 0
    assert found.max() <= 1


def test_large_grids_walk_on_coarser_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coarse((20, 30)) == (20, 30)
    height, width = coarse((300, 500))
    assert height * width <= walking.MOST_CELLS < 1.1 * height * width
    monkeypatch.setattr(walking, "MOST_CELLS", 24)
    found = walk(torch.rand(1, 2, 12, 16), [torch.randn(1, 3, 12, 16)], 2)
    assert found.shape == (1, 2, 12, 16)
    assert torch.isfinite(found).all()


def test_the_levels_are_the_two_before_the_last_stage() -> None:
    def named(*names: str) -> list[Level]:
        return [Level(name, 8, 16) for name in names]

    assert local_levels(named("c2", "c3", "c4", "c5", "head")) == [1, 2]
    assert local_levels(named("c2", "c3", "c4", "c5")) == [1, 2]
    assert local_levels(named("c4", "c5")) == [0]
    assert local_levels(named("c5", "head")) == [0]
    features = [torch.rand(2, 3, 8, 12), torch.rand(2, 5, 4, 6), torch.rand(2, 7, 2, 3)]
    assert [tuple(level.shape) for level in local_maps(features, [0, 1], (4, 6))] == [(2, 3, 4, 6), (2, 5, 4, 6)]
