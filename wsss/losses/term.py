"""A loss as a weighted sum and its total weight, so that several processes can compute one common mean."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Term(NamedTuple):
    """`total` is the sum of a loss over its elements (with gradient), `weight` the sum of their weights (without).

    The loss is total / weight. The training loop sums `weight` over all processes first: two processes with unevenly
    spread ignored pixels then give the gradient of one. A term without any weight counts as exactly 0.
    """

    total: torch.Tensor
    weight: torch.Tensor

    def mean(self) -> torch.Tensor:
        """total / weight; 0 (with a gradient of 0) if the weight is 0."""
        # Not clamped to the smallest float: its reciprocal times any factor above 4 is infinite, and 0 · ∞ is not 0.
        return self.total / torch.where(self.weight > 0, self.weight, 1.0)
