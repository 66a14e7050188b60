"""Eq (14) against torch's own and against the formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from wsss.losses.classification import multilabel_soft_margin


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 20)])
def test_value_and_gradient_equal_torchs(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    logits = (10 * torch.randn(size)).requires_grad_()
    tags = torch.randint(0, 2, size).float()
    ours = multilabel_soft_margin(logits, tags)
    assert float(ours.weight) == tags.numel()
    (gradient,) = torch.autograd.grad(ours.mean(), logits)
    theirs = F.multilabel_soft_margin_loss(logits, tags)
    torch.testing.assert_close(ours.mean(), theirs)
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs, logits)[0])


def test_value_by_hand() -> None:
    logits, tags = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    expected = math.log(2) + math.log(1 + math.exp(2))
    assert float(multilabel_soft_margin(logits, tags).total) == pytest.approx(expected, rel=1e-6)


def test_confident_and_wrong_is_finite() -> None:
    term = multilabel_soft_margin(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]]))
    assert float(term.mean()) == pytest.approx(1e4)


def test_half_precision_is_summed_in_full() -> None:
    logits = torch.randn(64, 20).half()
    tags = torch.randint(0, 2, (64, 20)).half()
    assert multilabel_soft_margin(logits, tags).total.dtype == torch.float32
