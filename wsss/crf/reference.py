"""The dense CRF by `pydensecrf`, the code of Krähenbühl & Koltun (2011): the reference for the fast engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsss.core.errors import EnvError
from wsss.crf.settings import CrfSettings


def infer(image: np.ndarray, unary: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """`image`: (H, W, 3) uint8, `unary`: (C, H, W) float32 energies → (C, H, W) float32, sums to 1 over C.

    Raises `EnvError` where pydensecrf is not installed. It does not check its input; the caller does.
    """
    count, height, width = unary.shape
    field = _densecrf()(width, height, count)
    field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(count, -1)))
    field.addPairwiseGaussian(sxy=settings.spatial_xy, compat=settings.spatial_weight)
    field.addPairwiseBilateral(
        sxy=settings.bilateral_xy,
        srgb=settings.bilateral_rgb,
        rgbim=np.require(image, requirements=["C", "W"]),
        compat=settings.bilateral_weight,
    )
    return np.asarray(field.inference(settings.iterations), np.float32).reshape(count, height, width)


def _densecrf() -> Any:
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError as error:
        raise EnvError(
            "pydensecrf",
            f"cannot be imported ({error})",
            "set crf.engine: fast, or pip install pydensecrf2 (needs a C++ compiler)",
        ) from error
    return DenseCRF2D
