"""The image-level classification loss."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from wsss.losses.term import Term


def multilabel_soft_margin(logits: torch.Tensor, tags: torch.Tensor) -> Term:
    """Binary cross-entropy of every class of every photo, Eq (14) of OSTE.

    `logits`: (N, K) float; `tags`: (N, K) in {0, 1}. Weight: N·K.
    """
    total = F.binary_cross_entropy_with_logits(logits.float(), tags.float(), reduction="sum")
    return Term(total, torch.tensor(float(tags.numel()), device=logits.device))
