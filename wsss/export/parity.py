"""An exported file is kept only if it gives what the network gives, for odd and even sizes and several photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from wsss.core.errors import IntegrityError
from wsss.models.base_student import IMPROBABLE
from wsss.predict.segment import Network

TOLERANCE = 1e-4
"""Largest difference of a logit, as a share of the largest where that is above 1; classes left out are not measured."""

SHAPES = ((1, 64, 64), (2, 65, 97), (1, 50, 33), (3, 31, 128))
"""(N, H, W) of the random photos: odd and even sides in all pairs, several batches."""


def largest_difference(network: Network, exported: Network, photos: Sequence[np.ndarray]) -> float:
    """Over random inputs and `photos`, each (H, W, 3) uint8; relative to the largest logit where that is above 1."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.rand(count, 3, height, width, generator=generator) * 255 for count, height, width in SHAPES]
    inputs += [torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() for photo in photos]
    worst = 0.0
    for images in inputs:
        with torch.inference_mode():
            expected = network(images)
            try:
                found = exported(images)
            except Exception:  # torch's and onnxruntime's, where a size was taken for a constant
                return float("inf")
        if found.shape != expected.shape:
            return float("inf")
        largest = expected.masked_fill(expected <= IMPROBABLE, 0.0).abs().max()
        difference = float((found - expected).abs().max() / largest.clamp_min(1))
        worst = max(worst, difference) if difference == difference else float("inf")
    return worst


def refuse_difference(out: Path, difference: float) -> None:
    """Raise `IntegrityError` if the export does not compute what the network does."""
    if not difference <= TOLERANCE:
        what = f"the exported network gives other logits (difference {difference:.2g}, expected ≤ {TOLERANCE:g})"
        raise IntegrityError(out, f"not written: {what}", "export a network with another backbone, and report this one")
