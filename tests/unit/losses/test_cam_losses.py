"""Eq (16) and the consistency loss against loops over photos, classes and positions."""

from __future__ import annotations

import pytest
import torch

from wsss.losses.cams import FLOOR, ecr_loss, merge_consistency, normalise
from wsss.losses.term import Term
from wsss.models.cam import divide_by_peak

TAGS = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]])


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = 3 * torch.rand(2, 4, 4, 5, 6, generator=torch.Generator().manual_seed(seed))
    return first, second


def plane(maps: torch.Tensor, n: int, k: int) -> list[float]:
    """``norm`` of one map, flat."""
    values = [float(value) for value in maps[n, k].flatten()]
    return [value / max(values) for value in values]


@pytest.mark.parametrize("seed", range(3))
def test_equation_16_equals_a_loop(seed: int) -> None:
    merged, multiscale = case(seed)
    differences = [
        abs(a - b)
        for n, k in TAGS.nonzero().tolist()
        for a, b in zip(plane(merged, n, k), plane(multiscale, n, k), strict=True)
    ]
    term = merge_consistency(merged, multiscale, TAGS)
    assert float(term.total) == pytest.approx(sum(differences), rel=1e-5)
    assert float(term.weight) == len(differences)


def by_value(fused: torch.Tensor, original: torch.Tensor, hardest: float) -> tuple[float, int]:
    total, count = 0.0, 0
    for n in range(len(TAGS)):
        present = [k for k in range(4) if TAGS[n, k]]
        if not present:
            continue
        ours = {k: plane(fused, n, k) for k in present}
        clear = {k: plane(original, n, k) for k in present}
        distances = []
        for i in range(30):
            scores = {k: clear[k][i] for k in present}
            background = 1 - max(scores.values())
            for k in present:
                kept = scores[k] == max(scores.values()) and scores[k] >= background
                distances.append(abs(ours[k][i] - (scores[k] if kept else 0.0)))
        chosen = sorted(distances, reverse=True)[: max(1, round(hardest * len(distances)))]
        total, count = total + sum(chosen), count + len(chosen)
    return total, count


@pytest.mark.parametrize("hardest", [0.01, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_consistency_equals_a_loop(seed: int, hardest: float) -> None:
    fused, original = case(seed)
    term = ecr_loss(fused, original, TAGS, hardest)
    total, count = by_value(fused, original, hardest)
    assert float(term.weight) == count
    assert float(term.total) == pytest.approx(total, rel=1e-5)


def both(first: torch.Tensor, second: torch.Tensor, tags: torch.Tensor) -> tuple[Term, Term]:
    return merge_consistency(first, second, tags), ecr_loss(first, second, tags, 0.2)


def test_normalisation_is_that_of_the_cams() -> None:
    maps = case(0)[0]
    torch.testing.assert_close(normalise(maps), divide_by_peak(maps))


def test_map_without_evidence_is_not_stretched() -> None:
    maps = torch.full((1, 1, 2, 2), 1e-6, requires_grad=True)
    assert normalise(maps).max().item() == pytest.approx(1e-6 / FLOOR)
    (gradient,) = torch.autograd.grad(merge_consistency(maps, torch.ones(1, 1, 2, 2), torch.ones(1, 1)).mean(), maps)
    assert float(gradient.abs().max()) <= 1 / FLOOR


def test_scaling_a_map_costs_and_gains_nothing() -> None:
    merged, multiscale = case(1)
    merged.requires_grad_()
    for term, scaled in zip(both(merged, multiscale, TAGS), both(7 * merged, 0.5 * multiscale, TAGS), strict=True):
        torch.testing.assert_close(scaled.total, term.total)
        (gradient,) = torch.autograd.grad(term.total, merged)
        along = (gradient * merged).sum((2, 3))
        torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-4, rtol=0.0)


def test_equal_maps_are_consistent() -> None:
    maps = case(2)[0]
    assert float(merge_consistency(maps, 2 * maps, TAGS).total) == 0.0
    clear = torch.zeros(1, 2, 4, 4)
    clear[0, 0, :2], clear[0, 1, 3] = 0.9, 0.8
    assert float(ecr_loss(clear, clear, torch.ones(1, 2), 1.0).total) == 0.0


def test_unclear_positions_are_taught_background() -> None:
    original = torch.tensor([1.0, 0.6, 0.4, 0.0]).reshape(1, 1, 1, 4)
    fused = torch.tensor([1.0, 0.0, 0.3, 0.0]).reshape(1, 1, 1, 4).requires_grad_()
    term = ecr_loss(fused, original, torch.ones(1, 1), 1.0)
    assert term.total.item() == pytest.approx(0.6 + 0.3)
    (gradient,) = torch.autograd.grad(term.total, fused)
    assert gradient[0, 0, 0].sign().tolist()[1:3] == [-1.0, 1.0]


def test_gradient_reaches_both_maps_of_eq_16_and_only_the_fused_one_of_the_consistency() -> None:
    first, second = (maps.requires_grad_() for maps in case(3))
    mean, consistency = both(first, second, TAGS)
    for gradient in torch.autograd.grad(mean.mean(), (first, second)):
        assert gradient.abs().sum() > 0
        assert not gradient[TAGS == 0].any(), "absent classes are not compared"
    fused, original = torch.autograd.grad(consistency.mean(), (first, second), allow_unused=True)
    assert original is None
    assert fused.abs().sum() > 0
    assert not fused[TAGS == 0].any()


def test_halves_of_a_batch_add_up() -> None:
    first, second = case(4)
    halves = [both(first[part], second[part], TAGS[part]) for part in (slice(0, 1), slice(1, 4))]
    for whole, *parts in zip(both(first, second, TAGS), *halves, strict=True):
        torch.testing.assert_close(parts[0].total + parts[1].total, whole.total)
        torch.testing.assert_close(parts[0].weight + parts[1].weight, whole.weight)


def test_permuting_classes_changes_nothing() -> None:
    first, second = case(5)
    order = [3, 1, 0, 2]
    for term, other in zip(
        both(first, second, TAGS), both(first[:, order], second[:, order], TAGS[:, order]), strict=True
    ):
        torch.testing.assert_close(term.total, other.total)
        assert torch.equal(term.weight, other.weight)


def test_photos_without_tags_weigh_nothing() -> None:
    first, second = case(6)
    first.requires_grad_()
    for term in both(first, second, torch.zeros_like(TAGS)):
        assert term.weight.item() == term.total.item() == term.mean().item() == 0.0
        assert not torch.autograd.grad(term.mean(), first)[0].any()


def test_half_precision_is_summed_in_full() -> None:
    for term in both(*(maps.bfloat16() for maps in case(7)), TAGS):
        assert term.total.dtype == torch.float32
