"""The work of a linear student's training step, on cells of no meaning, for `plan.probe` to time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import torch

from wsss.data.index import Record
from wsss.distill.cells import Cells
from wsss.distill.linear import adamw, update
from wsss.distill.settings import DistillSettings
from wsss.models.linear_student import LinearStudent


def linear_step(
    student: LinearStudent, records: Sequence[Record], settings: DistillSettings, where: torch.device
) -> Callable[[int], None]:
    """An update by as many cells as so many photos have, at most as many photos as `records`."""
    side, channels, photos = student.stride, student.channels, len(records)
    each = round(statistics.fmean(math.ceil(r.height / side) * math.ceil(r.width / side) for r in records))
    photo, place = np.repeat(np.arange(photos), each), np.tile(np.arange(each), photos)
    scale = torch.zeros(2 * channels), torch.ones(2 * channels)
    features = torch.randn(photos * each, channels).half()
    cells = Cells(features, torch.randn(photos, channels), photo, place, *scale, side)
    weight, bias = (part.to(where).requires_grad_() for part in student.cpu().linear(*scale))
    student.to(where)
    updater, order = adamw(weight, bias, settings.optim), np.random.default_rng(0).permutation(len(features))
    labels = torch.from_numpy(place % len(bias)).to(where)

    def run(units: int) -> None:
        chosen = order[: units * each]
        known = labels[torch.from_numpy(chosen).to(where)]
        update(updater, 1.0, cells.inputs(chosen).to(where), known, torch.ones(len(chosen), device=where), settings)

    return run
