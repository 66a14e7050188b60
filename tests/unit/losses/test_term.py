"""Shares of several processes add up to the loss of one."""

from __future__ import annotations

import pytest
import torch

from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_split_batch_with_uneven_labels_gives_the_gradient_of_the_whole(cut: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, 7, 7, generator=generator, requires_grad=True)
    labels = torch.randint(0, 4, (6, 7, 7), generator=generator)
    labels[0] = 255
    labels[1, 1:] = 255
    confidence = torch.rand(6, 7, 7, generator=generator)
    parts = [slice(0, cut), slice(cut, 6)]
    for which in (0, 1):
        whole = balanced_cross_entropy(logits, labels, confidence)[which]
        shares = [balanced_cross_entropy(logits[part], labels[part], confidence[part])[which] for part in parts]
        # What the loop does: sum the weights, divide each share by the sum, times two; DDP then takes the mean.
        weight = sum(share.weight for share in shares)
        joint = sum(share.total * 2 / weight for share in shares) / 2
        torch.testing.assert_close(joint, whole.mean())
        torch.testing.assert_close(torch.autograd.grad(joint, logits)[0], torch.autograd.grad(whole.mean(), logits)[0])
        naive = sum(share.mean() for share in shares) / 2
        assert not torch.isclose(naive, whole.mean(), rtol=1e-3)  # or the case could not tell the two apart


def test_split_tags_give_the_loss_of_the_whole() -> None:
    logits, tags = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    shares = [multilabel_soft_margin(logits[part], tags[part]) for part in (slice(0, 1), slice(1, 5))]
    joint = sum(share.total for share in shares) / sum(share.weight for share in shares)
    torch.testing.assert_close(joint, multilabel_soft_margin(logits, tags).mean())


def test_weightless_term_is_zero_with_a_gradient_of_zero() -> None:
    x = torch.ones(3, requires_grad=True)
    mean = Term((x * 0).sum(), torch.tensor(0.0)).mean()
    assert mean.item() == 0.0
    assert torch.equal(torch.autograd.grad(mean, x)[0], torch.zeros(3))


def test_tiny_weights_still_divide() -> None:
    assert float(Term(torch.tensor(3e-30), torch.tensor(1e-30)).mean()) == pytest.approx(3.0, rel=1e-5)
