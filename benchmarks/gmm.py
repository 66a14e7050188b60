"""Row `gmm`: a Gaussian mixture per score map against `sklearn.mixture.GaussianMixture`, map by map.

Maps as networks make them: objects of any size with a blurred edge, on noise. `label_agreement`: pixels on the same
side of the two posteriors. Row `correct`: the whole correction of 356 photos of 240×320 without the CRF.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.timing import Result, alternate
from tests.oracles import em_sklearn
from wsss.correct import em
from wsss.correct.fixed import FixedSettings
from wsss.correct.gmm import corrected_label
from wsss.correct.labels import foreground_scores
from wsss.correct.mixtures import FLOOR, TABLE, GmmSettings, Mixture, Shared, count_scores, fit_maps, posteriors
from wsss.numeric.device import set_threads

TOLERANCE, STEPS = 1e-4, 500
PHOTOS, SECONDS = 356, 10.0
FIXED = FixedSettings(gamma=4.0, alpha=0.5, crf=None)
SETTINGS = GmmSettings(crf=None)


def run() -> list[Result]:
    """Two components; CAM grid 60×80 and image size 375×500; then the correction as a whole."""
    set_threads(1)
    return [_fits((60, 80), 24, 5, 20.0), _fits((375, 500), 4, 3, 200.0), _correction()]


def score_maps(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(count, h, w) float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((count, *size))
    for map_ in maps:
        height, width = (int(side * rng.uniform(0.2, 0.8)) for side in size)
        top, left = rng.integers(0, size[0] - height), rng.integers(0, size[1] - width)
        map_[top : top + height, left : left + width] = 1.0
        map_[:] = gaussian_filter(map_, size[1] / 25) + 0.5 * gaussian_filter(rng.random(size), size[1] / 40)
    return foreground_scores(maps)


def _fits(size: tuple[int, int], count: int, repeats: int, target: float) -> Result:
    maps = score_maps(count, size)
    scores = [map_[map_ > FLOOR].astype(np.float64) for map_ in maps]
    starts = [em.start(em.histogram(map_, FLOOR), 2) for map_ in maps]
    found: dict[str, list[Mixture]] = {}

    def ours() -> None:
        fitted = em.fit(np.array([em.histogram(map_, FLOOR) for map_ in maps]), 2, TOLERANCE, STEPS)
        rows = zip(fitted.weights, fitted.means, fitted.deviations, strict=True)
        found["ours"] = [Mixture("", *row) for row in rows]

    def reference() -> None:
        found["reference"] = []
        for values, start in zip(scores, starts, strict=True):
            model = em_sklearn.fit_values(values, start, TOLERANCE, STEPS)
            order = np.argsort(model.means_[:, 0])
            parts = model.weights_[order], model.means_[order, 0], np.sqrt(model.covariances_[order, 0, 0])
            found["reference"].append(Mixture("", *parts))

    timing = alternate(ours, reference, repeats)
    pairs = list(zip(found["ours"], found["reference"], strict=True))
    agreement = [_agreement(map_, *pair) for map_, pair in zip(maps, pairs, strict=True)]
    quality = {
        "size": f"{size[0]}x{size[1]}",
        "label_agreement_min": min(agreement),
        "means_difference_max": max(float(np.abs(a.means - b.means).max()) for a, b in pairs),
        "maps_per_s": count / timing.ours,
    }
    name = "sklearn.mixture.GaussianMixture, map by map, the same start"
    return timing.row("gmm", name, target, quality)


def _agreement(map_: np.ndarray, first: Mixture, second: Mixture) -> float:
    places = np.rint(map_ * (TABLE - 1)).astype(np.int64)
    one, two = (posteriors(mixture, SETTINGS, 0.16, 0.5)[1][places] >= 0.5 for mixture in (first, second))
    return float((one == two).mean())


def _correction() -> Result:
    """`ratio`: how often 10 seconds of one core would suffice; processor time, since nothing is compared with it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (240, 320, 3), np.uint8)
    photos = [(score_maps(1 + number % 2, (15, 20), number), np.arange(1, 2 + number % 2)) for number in range(PHOTOS)]
    start = time.process_time()
    counts = np.zeros(em.BINS)
    for maps, _ in photos:
        counts += count_scores(maps).sum(0)
    for first in range(0, PHOTOS, 32):
        part = photos[first : first + 32]
        for (maps, classes), mixtures in zip(
            part, fit_maps([maps for maps, _ in part], SETTINGS, Shared(counts)), strict=True
        ):
            corrected_label(image, maps, classes, mixtures, FIXED, SETTINGS)
    seconds = time.process_time() - start
    quality = {"photos_per_s": PHOTOS / seconds}
    return Result("correct", f"{SECONDS:.0f} seconds of one core", seconds, SECONDS, SECONDS / seconds, 1.0, quality)
