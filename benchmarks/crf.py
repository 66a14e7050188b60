"""Row `crf`: the fully connected CRF on real photos against `pydensecrf` as its README runs it, in one process.

Ours takes two photos at a time in two threads (its loops hold no GIL); `one_core` is the same one photo at a time.
The scores are what a network's class maps look like: the photo's masks, blurred and noisy on a grid 16 times coarser,
brought to full size. Masks are read here because this only measures.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.timing import Result, alternate
from wsss.core.errors import UserError
from wsss.correct.labels import foreground_scores, upsample, with_background
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED

SIZE, PHOTOS, FOREGROUND = (375, 500), 12, 2
DATA = [Path(os.environ.get("WSSS_BENCH_ROOT", "../shared/data")) / name for name in ("msrc_v2", "voc20_mix")]
FAST = PUBLISHED
REFERENCE = FAST.model_copy(update={"engine": "pydensecrf"})


def run() -> list[Result]:
    """Twelve photos of 375×500, 3 labels, 10 iterations, bilateral 10 · (80, 13), spatial 3 · 3."""
    inputs = [pair for folder in DATA for pair in cam_like(folder, PHOTOS // len(DATA))]
    labels: dict[str, list[np.ndarray]] = {}

    def one(pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.asarray(dense_crf(*pair, FAST).argmax(0))

    def one_core() -> None:
        labels["ours"] = [one(pair) for pair in inputs]

    def reference() -> None:
        labels["reference"] = [dense_crf(*pair, REFERENCE).argmax(0) for pair in inputs]

    with ThreadPoolExecutor(2) as pool:

        def ours() -> None:
            labels["ours"] = list(pool.map(one, inputs))

        timing = alternate(ours, reference)
    single = alternate(one_core, reference, warm_up=False)
    agreement = [float((a == b).mean()) for a, b in zip(labels["ours"], labels["reference"], strict=True)]
    quality = {
        "agreement_min": min(agreement),
        "agreement_mean": float(np.mean(agreement)),
        "one_core_ratio": single.reference / single.ours,
        "photos_per_s": len(inputs) / timing.ours,
    }
    return [timing.row("crf", "pydensecrf, one process", 5.0, quality)]


def cam_like(root: Path, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`count` photos (H, W, 3) uint8 with scores (1 + 2, H, W) float32 in [0, 1]; the largest region is background."""
    files = sorted((root / "SegmentationClass").glob("*.png"))
    if not files:
        raise UserError(root, "no photos to measure on", "set WSSS_BENCH_ROOT to a folder with msrc_v2 and voc20_mix")
    rng, found = np.random.default_rng(0), []
    for file in files[:: max(1, len(files) // (2 * count))]:
        with Image.open(file) as opened:
            mask = np.asarray(_landscape(opened, Image.Resampling.NEAREST))
        ids, areas = np.unique(mask[mask != 255], return_counts=True)
        things = ids[np.argsort(-areas)][1 : 1 + FOREGROUND]
        photo = next((root / "JPEGImages").glob(f"{file.stem}.*"), None)
        if len(things) < FOREGROUND or photo is None:
            continue
        with Image.open(photo) as opened:
            image = np.asarray(_landscape(opened.convert("RGB"), Image.Resampling.BICUBIC))
        found.append((image, with_background(foreground_scores(_coarse_maps(mask, things, rng)), 4.0)))
        if len(found) == count:
            break
    return found


def _coarse_maps(mask: np.ndarray, things: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = SIZE[0] // 16, SIZE[1] // 16
    maps = np.empty((len(things), height, width), np.float32)
    for index, thing in enumerate(things):
        region = Image.fromarray((mask == thing).astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        blurred = gaussian_filter(np.asarray(region), 1.5)
        maps[index] = blurred / blurred.max() + rng.normal(0, 0.08, blurred.shape)
    return upsample(maps, SIZE)


def _landscape(image: Image.Image, how: Image.Resampling) -> Image.Image:
    upright = image.height > image.width
    return (image.transpose(Image.Transpose.ROTATE_90) if upright else image).resize(SIZE[::-1], how)
