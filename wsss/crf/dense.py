"""Fully connected CRF (Krähenbühl & Koltun 2011): checks, and the choice of an engine."""

from __future__ import annotations

import numpy as np

from wsss.core.errors import WsssError
from wsss.crf import mean_field, reference
from wsss.crf.settings import CrfSettings

MIN_PROBABILITY = 1e-5
"""Keeps the unary energy finite where a score is 0."""
ENGINES = {"fast": mean_field.infer, "pydensecrf": reference.infer}


def dense_crf(image: np.ndarray, scores: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """Posterior after mean-field inference, unary ``−log clip(scores, 1e-5)``. Eq (11) of OSTE.

    `image`: (H, W, 3) uint8; `scores`: (C, H, W) float in [0, 1], C ≥ 2 → (C, H, W) float32 summing to 1 over C.
    Raises `WsssError` for scores or an image for which an engine would silently return wrong results: one class,
    another size, NaN.
    """
    if scores.ndim != 3 or image.shape != (*scores.shape[1:], 3) or image.dtype != np.uint8:
        raise WsssError(
            "dense CRF",
            f"found image {image.dtype} {image.shape} and scores {scores.shape}, "
            "expected uint8 (H, W, 3) and (C, H, W)",
            "this is a bug in the caller",
        )
    if len(scores) < 2:
        raise WsssError("dense CRF", f"found {len(scores)} class, expected at least 2", "this is a bug in the caller")
    if not np.isfinite(scores).all():
        raise WsssError("dense CRF", "scores hold NaN or Inf", "check the CAMs or the network these scores come from")
    unary = -np.log(np.clip(scores, MIN_PROBABILITY, 1.0)).astype(np.float32)
    posterior = ENGINES[settings.engine](image, unary, settings)
    if not np.isfinite(posterior).all():
        raise WsssError(
            "dense CRF",
            "inference gave NaN or Inf",
            "lower the kernel weights or raise bilateral_xy and bilateral_rgb",
        )
    return posterior
