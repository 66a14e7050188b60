"""What tests of the Gaussian correction share: settings, and maps with two hills of scores."""

from __future__ import annotations

import numpy as np

from wsss.correct.fixed import FixedSettings
from wsss.correct.mixtures import GmmSettings
from wsss.crf.settings import CrfSettings

WITH_CRF = CrfSettings(iterations=5, bilateral_weight=4.0, bilateral_xy=40.0)
FIXED = FixedSettings(gamma=4.0, alpha=0.5, crf=None)
GMM = GmmSettings(scope="image", prior_cells=50.0, min_scores=50, agree=False, crf=None)


def hills(seed: int, share: float = 0.3, size: tuple[int, int] = (14, 20)) -> np.ndarray:
    """(h, w) float32 in [0, 1]: scores around .2, and `share` of them, on the left, around .75."""
    rng = np.random.default_rng(seed)
    map_ = rng.normal(0.2, 0.05, size)
    wide = round(share * size[1])
    map_[:, :wide] = rng.normal(0.75, 0.07, (size[0], wide))
    map_[0, -1], map_[0, 0] = 0.0, 1.0
    return np.clip(map_, 0.0, 1.0).astype(np.float32)
