"""Fully connected CRF (Krähenbühl & Koltun 2011): settings, checks and the choice of an engine.

`fast`: numba, needs no compiler, the same labels on 99.9 % of the pixels; `pydensecrf`: the authors' C++; `attention`:
every pair of pixels, without an approximation.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from wsss.core.errors import WsssError
from wsss.core.params import Settings
from wsss.pseudo import exact, mean_field, reference

MIN_PROBABILITY = 1e-5
"""Keeps the unary energy finite where a score is 0."""
ENGINES = {"fast": mean_field.infer, "pydensecrf": reference.infer, "attention": exact.infer}


class CrfSettings(Settings):
    """Mean-field iterations and the two pairwise kernels. Distances are pixels, colours 0..255."""

    enabled: bool
    iterations: int = Field(ge=1, le=100)
    bilateral_weight: float = Field(ge=0, description="appearance kernel")
    bilateral_xy: float = Field(gt=0)
    bilateral_rgb: float = Field(gt=0)
    spatial_weight: float = Field(ge=0, description="smoothness kernel")
    spatial_xy: float = Field(gt=0)
    engine: Literal["fast", "pydensecrf", "attention"] = Field(
        default="fast", description="attention: exact, for small photos"
    )


DSRG = CrfSettings(
    enabled=True,
    iterations=10,
    bilateral_weight=10,
    bilateral_xy=80,
    bilateral_rgb=13,
    spatial_weight=3,
    spatial_xy=3,
)
"""The constants of Eq (11), which OSTE took over from DSRG."""


def dense_crf(image: np.ndarray, scores: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """Posterior after mean-field inference, unary ``−log clip(scores, 1e-5)``. Eq (11) of OSTE.

    `image`: (H, W, 3) uint8; `scores`: (C, H, W) float in [0, 1], C ≥ 2 → (C, H, W) float32 summing to 1 over C.
    Raises `WsssError` for scores or an image that an engine would turn into silent nonsense: one class, another size,
    NaN.
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
