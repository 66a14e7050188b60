"""Row `confusion`: counting pixels of one photo against torchmetrics."""

from __future__ import annotations

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from benchmarks.timing import Result, alternate
from wsss.data.index import IGNORE
from wsss.evaluation.confusion import Confusion

CLASSES, PHOTOS, SIZE = 21, 20, (375, 500)


def run() -> list[Result]:
    """20 label maps of 375×500 with 21 classes and a border of 255, as VOC has it, around what is known."""
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.integers(0, CLASSES, SIZE, np.uint8) for _ in range(2)) for _ in range(PHOTOS)]
    for truth, _ in pairs:
        truth[:10] = truth[-10:] = IGNORE
    tensors = [tuple(torch.from_numpy(part.astype(np.int64)) for part in pair) for pair in pairs]
    scores: dict[str, float] = {}

    def ours() -> None:
        matrix = Confusion(CLASSES)
        for truth, prediction in pairs:
            matrix.update(truth, prediction)
        scores["ours"] = matrix.scores().miou

    def reference() -> None:
        # Its own check of the values (the default) would take another ten times as long; ours is included.
        metric = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=IGNORE, validate_args=False)
        for truth, prediction in tensors:
            metric.update(prediction, truth)
        scores["reference"] = float(metric.compute())

    timing = alternate(ours, reference)
    quality = {"miou_difference": abs(scores["ours"] - scores["reference"]), "photos_per_s": PHOTOS / timing.ours}
    name = "torchmetrics MulticlassJaccardIndex, ignore_index=255, validate_args=False"
    return [timing.row("confusion", name, 10.0, quality)]
