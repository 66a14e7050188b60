"""An exported file is kept only if it gives what the network gives, for odd and even sizes and several photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.errors import IntegrityError
from wsss.models.base_student import IMPROBABLE
from wsss.predict.segment import Network

TOLERANCE = 1e-4
"""Largest difference of a logit, as a share of the largest where that is above 1; classes left out are not measured."""

SHAPES = ((1, 64, 64), (2, 65, 97), (1, 50, 33), (3, 31, 128))
"""(N, H, W) of the random photos: odd and even sides in all pairs, several batches."""


def largest_difference(network: Network, exported: Network, photos: Sequence[np.ndarray]) -> float:
    """Over random inputs and `photos`, each (H, W, 3) uint8; relative to the largest logit where that is above 1."""
    worst = 0.0
    for images in _inputs(photos):
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


def largest_label_difference(network: Network, labels: Network, photos: Sequence[np.ndarray]) -> float:
    """As `largest_difference`, for exported `labels`, (N, 3, H, W) → (N, H, W) uint8.

    A label that is not the network's own costs half of what its logit lacks of the largest: so much each of the two may
    differ by.
    """
    worst = 0.0
    for images in _inputs(photos):
        with torch.inference_mode():
            logits = F.interpolate(network(images), images.shape[2:], mode="bilinear", align_corners=False)
            try:
                found = labels(images)
            except Exception:  # as above
                return float("inf")
        if (found.shape, found.dtype) != ((len(images), *images.shape[2:]), torch.uint8):
            return float("inf")
        if int(found.max()) >= logits.shape[1]:
            return float("inf")
        largest = logits.masked_fill(logits <= IMPROBABLE, 0.0).abs().max()
        lacking = logits.amax(1) - logits.gather(1, found[:, None].long())[:, 0]
        worst = max(worst, float(lacking.max() / 2 / largest.clamp_min(1)))
    return worst


def _inputs(photos: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    for count, height, width in SHAPES:
        yield torch.rand(count, 3, height, width, generator=generator) * 255
    for photo in photos:
        yield torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()


def refuse_difference(out: Path, difference: float) -> None:
    """Raise `IntegrityError` if the export does not compute what the network does."""
    if not difference <= TOLERANCE:
        what = f"the exported network gives other logits (difference {difference:.2g}, expected ≤ {TOLERANCE:g})"
        raise IntegrityError(out, f"not written: {what}", "export a network with another backbone, and report this one")
