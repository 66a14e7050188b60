"""Eq (17) against a loop over pixels, and the crop without labels that turns so many trainings into NaN."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from wsss.losses.segmentation import balanced_cross_entropy


def case(seed: int, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, classes, 6, 5, generator=generator, dtype=torch.float64).float()
    labels = torch.randint(0, classes + 2, (2, 6, 5), generator=generator)
    labels[labels >= classes] = 255
    return logits, labels.byte(), torch.rand(2, 6, 5, generator=generator)


def by_pixel(logits: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor) -> list[tuple[float, float]]:
    """(total, weight) of background and foreground."""
    sums = [[0.0, 0.0], [0.0, 0.0]]
    for n in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                label = int(labels[n, y, x])
                if label == 255:
                    continue
                scores = [float(value) for value in logits[n, :, y, x]]
                top = max(scores)
                loss = top + math.log(sum(math.exp(s - top) for s in scores)) - scores[label]
                weight = float(confidence[n, y, x])
                sums[label != 0][0] += weight * loss
                sums[label != 0][1] += weight
    return [(total, weight) for total, weight in sums]


@pytest.mark.parametrize("seed", range(5))
def test_terms_equal_a_loop_over_pixels(seed: int) -> None:
    logits, labels, confidence = case(seed)
    for term, (total, weight) in zip(
        balanced_cross_entropy(logits, labels, confidence), by_pixel(logits, labels, confidence), strict=True
    ):
        assert float(term.total) == pytest.approx(total, rel=1e-5)
        assert float(term.weight) == pytest.approx(weight, rel=1e-5)


def test_coarse_logits_are_raised_to_the_labels_bilinearly() -> None:
    logits, labels, confidence = case(0)
    labels, confidence = labels.repeat(1, 4, 4), confidence.repeat(1, 4, 4)
    raised = F.interpolate(logits, (24, 20), mode="bilinear", align_corners=False)
    for ours, reference in zip(
        balanced_cross_entropy(logits, labels, confidence),
        balanced_cross_entropy(raised, labels, confidence),
        strict=True,
    ):
        torch.testing.assert_close(ours.total, reference.total)


def test_gradient_equals_torchs_weighted_mean() -> None:
    logits, labels, _ = case(1)
    logits.requires_grad_()
    background, foreground = balanced_cross_entropy(logits, labels, torch.ones(2, 6, 5))
    (ours,) = torch.autograd.grad(background.mean() + foreground.mean(), logits)
    expected = 0.0
    for keep in (labels == 0, (labels > 0) & (labels != 255)):
        only = torch.where(keep, labels.long(), torch.tensor(255))
        expected = expected + F.cross_entropy(logits, only, ignore_index=255)
    torch.testing.assert_close(ours, torch.autograd.grad(expected, logits)[0])


def test_ignored_pixels_do_not_matter_whatever_the_network_says_there() -> None:
    logits, labels, confidence = case(2)
    changed = torch.where((labels == 255)[:, None], torch.full_like(logits, 1e30), logits)
    for ours, reference in zip(
        balanced_cross_entropy(changed, labels, confidence),
        balanced_cross_entropy(logits, labels, confidence),
        strict=True,
    ):
        assert torch.equal(ours.total, reference.total)
        assert torch.equal(ours.weight, reference.weight)


def test_permuting_classes_permutes_nothing_but_names() -> None:
    logits, labels, confidence = case(3)
    order = torch.tensor([0, 3, 1, 2])  # background stays
    table = torch.full((256,), 255)
    table[order] = torch.arange(4)
    for ours, reference in zip(
        balanced_cross_entropy(logits[:, order], table[labels.long()], confidence),
        balanced_cross_entropy(logits, labels, confidence),
        strict=True,
    ):
        torch.testing.assert_close(ours.total, reference.total)


@pytest.mark.parametrize("value", [0, 2])
def test_only_one_kind_of_pixel_leaves_the_other_term_at_zero(value: int) -> None:
    logits = case(4)[0].requires_grad_()
    terms = balanced_cross_entropy(logits, torch.full((2, 6, 5), value), torch.ones(2, 6, 5))
    empty, full = terms[value == 0], terms[value != 0]
    assert empty.total.item() == empty.mean().item() == empty.weight.item() == 0.0
    assert float(full.weight) == 60.0
    assert not torch.autograd.grad(empty.mean(), logits)[0].any()


def test_no_confidence_is_no_weight() -> None:
    logits, labels, _ = case(5)
    for term in balanced_cross_entropy(logits, labels, torch.zeros(2, 6, 5)):
        assert float(term.mean()) == 0.0
