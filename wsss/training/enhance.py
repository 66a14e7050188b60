"""Foreground–background enhancement, Eqs (9)–(13) of OSTE, for the crops of one training step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from wsss.correct.fixed import FixedSettings, fixed_pseudo_label
from wsss.data.index import IGNORE


class Enhancer:
    """Labels whole batches, one crop a thread; the compiled CRF runs without the GIL.

    `start` returns at once, so that the network goes on while the CRF runs; `labels` waits.
    """

    def __init__(self, settings: FixedSettings, threads: int) -> None:
        self.settings = settings
        self.pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="enhance")

    def start(self, images: torch.Tensor, cams: torch.Tensor, tags: torch.Tensor) -> list[Future[np.ndarray]]:
        """Start to label `images` (N, 3, H, W) float 0..255, M̂ `cams` (N, K, h, w), `tags` (N, K) in {0, 1}."""
        photos = as_photos(images)
        maps, present = cams.detach().float().cpu().numpy(), tags.cpu().numpy() > 0
        return [
            self.pool.submit(_label, photo, maps_of[there], np.flatnonzero(there) + 1, self.settings)
            for photo, maps_of, there in zip(photos, maps, present, strict=True)
        ]

    @staticmethod
    def labels(started: Sequence[Future[np.ndarray]], inside: torch.Tensor) -> torch.Tensor:
        """(N, H, W) uint8 labels of the crops, 255 where ignored and where `inside` (N, H, W) bool is False."""
        found = torch.from_numpy(np.stack([future.result() for future in started])).to(inside.device)
        return found.masked_fill(~inside, IGNORE)


def _label(image: np.ndarray, cams: np.ndarray, classes: np.ndarray, settings: FixedSettings) -> np.ndarray:
    if not np.isfinite(cams).all():
        # Then the loss of this step is not finite either, and the training loop can name the step and its photos.
        return np.full(image.shape[:2], IGNORE, np.uint8)
    return fixed_pseudo_label(image, cams, classes, settings).label


def as_photos(images: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) float 0..255 → (N, H, W, 3) uint8."""
    return images.detach().round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
