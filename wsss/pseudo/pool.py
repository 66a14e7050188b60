"""Dense CRF of the crops of one training step, one crop a thread; the compiled engine runs without the GIL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from wsss.pseudo.crf import CrfSettings, dense_crf


class CrfPool:
    """Threads that stay from step to step."""

    def __init__(self, settings: CrfSettings, threads: int) -> None:
        self.settings = settings
        self.pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="crf")

    def posteriors(self, images: torch.Tensor, scores: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
        """`images` (N, 3, H, W) float 0..255, `scores` (N, K+1, H, W) in [0, 1], `tags` (N, K) in {0, 1}
        → (N, K+1, H, W) float32 on the device of `scores`, 0 for classes that are not in the photo.

        A CRF's time grows with its classes: it gets background and those of the tags.
        """
        maps, present = scores.detach().float().cpu().numpy(), tags.cpu().numpy() > 0
        there = [np.flatnonzero(np.append(True, row)) for row in present]
        smooth = self.pool.map(partial(_smooth, settings=self.settings), as_photos(images), maps, there)
        return torch.from_numpy(np.stack(list(smooth))).to(scores.device)


def as_photos(images: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) float 0..255 → (N, H, W, 3) uint8."""
    return images.detach().round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _smooth(image: np.ndarray, scores: np.ndarray, there: np.ndarray, settings: CrfSettings) -> np.ndarray:
    if len(there) < 2 or not np.isfinite(scores).all():
        # Without a tag all is background; NaN is left for the training loop, which can name the step and its photos.
        return scores
    smooth = np.zeros_like(scores)
    smooth[there] = dense_crf(image, scores[there], settings)
    return smooth
