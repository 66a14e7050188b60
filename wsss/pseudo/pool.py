"""Dense CRF of the crops of one training step, one crop a thread; the compiled engine runs without the GIL."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from wsss.pseudo.crf import CrfSettings, dense_crf


class CrfPool:
    """`start` returns at once, so that the network's next work runs beside the CRF; `posteriors` waits."""

    def __init__(self, settings: CrfSettings, threads: int) -> None:
        self.settings = settings
        self.pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="crf")

    def start(self, images: torch.Tensor, scores: torch.Tensor, tags: torch.Tensor) -> list[Future[np.ndarray]]:
        """Begin with `images` (N, 3, H, W) float 0..255, `scores` (N, K+1, H, W) in [0, 1], `tags` (N, K) in {0, 1}.

        A CRF's time grows with its classes: it gets background and those of the tags.
        """
        photos = as_photos(images)
        maps, present = scores.detach().float().cpu().numpy(), tags.cpu().numpy() > 0
        return [
            self.pool.submit(_smooth, photo, maps_of, np.flatnonzero(np.append(True, there)), self.settings)
            for photo, maps_of, there in zip(photos, maps, present, strict=True)
        ]

    @staticmethod
    def posteriors(started: Sequence[Future[np.ndarray]], device: torch.device) -> torch.Tensor:
        """(N, K+1, H, W) float32, 0 for classes that are not in the photo."""
        return torch.from_numpy(np.stack([future.result() for future in started])).to(device)


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
