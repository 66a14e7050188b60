"""How long to train, and on crops of which size: the rules behind every setting that is left at 0.

A network learns by steps, not by passes: a set of 50 photos needs many passes, one of 50,000 hardly two. All numbers
that depend on the data set are derived here, from the number of photos and classes and from the photos' sizes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from wsss.data.index import Record
from wsss.data.transforms import AugmentSettings
from wsss.training.schedule import OptimSettings

STEPS = {"pretrain": 28.0, "train": 5.0, "distill": 50.0}
"""Steps for each unit of √(photos · classes beyond `CLASSES`), by stage; both rounds of `distill` together."""
BATCH = 8
"""The photos of the steps that `STEPS` counts."""
CLASSES = 16
"""More classes than this lengthen a training, because each step then shows a smaller part of them."""
GRID = 64
"""Sides of crops are multiples of it: the tiles of 4 × 4 at stride 16 then lie on the grid of the maps."""
LARGEST = 512
"""Of a crop that is chosen here, pixels: memory."""


def steps(stage: str, photos: int, classes: int) -> float:
    """Steps that `stage` takes for so many training photos and foreground classes."""
    return STEPS[stage] * math.sqrt(photos * max(1.0, classes / CLASSES))


def planned(settings: OptimSettings, stage: str, photos: int, classes: int, least: int = 1) -> OptimSettings:
    """`settings` with a number of epochs: their own or, where it is 0, that of the rule, at least `least`."""
    if settings.epochs:
        return settings
    a_pass = max(1, photos // settings.batch)
    # In steps of the batch that the rule was found with: a larger batch needs fewer.
    wanted = steps(stage, photos, classes) * BATCH / settings.batch
    return settings.model_copy(update={"epochs": max(least, round(wanted / a_pass))})


def pixels(records: Sequence[Record], share: float) -> int:
    """Side of a square crop, pixels: `share` of the photos' median longer side, on the grid."""
    longer = statistics.median(max(record.height, record.width) for record in records)
    return int(min(LARGEST, max(GRID, round(share * longer / GRID) * GRID)))


def cropped(settings: AugmentSettings, records: Sequence[Record], share: float) -> AugmentSettings:
    """`settings` with a crop in pixels: as they say or, where they say 0, `share` of the photos' longer side."""
    if settings.crop > 1:
        return settings
    return settings.model_copy(update={"crop": pixels(records, settings.crop or share)})
