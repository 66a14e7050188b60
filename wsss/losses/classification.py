"""The image-level classification loss."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from wsss.losses.term import Term


def multilabel_soft_margin(logits: torch.Tensor, tags: torch.Tensor, known: torch.Tensor | None = None) -> Term:
    """Binary cross-entropy of every class of every photo, Eq (14) of OSTE.

    `logits`: (N, K) float; `tags`: (N, K) in {0, 1}; `known`: (N, K) bool, False where a tag says nothing. Weight: the
    number of known tags.
    """
    weights = torch.ones_like(logits) if known is None else known.to(logits.dtype)
    total = (F.binary_cross_entropy_with_logits(logits.float(), tags.float(), reduction="none") * weights).sum()
    return Term(total, weights.sum())
