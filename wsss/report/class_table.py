"""IoU of each class at each step of the pipeline, the weakest class first, and the step at which it got lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss.report.masked import unmasked_classes
from wsss.report.plots import read_table
from wsss.report.swatch import Swatch

PER_CLASS = "per_class.csv"
STEPS = {"cam": ("CAM", "CAM", ""), "pseudo-label": ("Pseudo-label", "pseudo-label", "label 1")}
"""By source of `PER_CLASS`: title of the step, the name under which it is to be looked at, the order of photos that
shows its worst.
"""
RELABELLED = ("Relabelled", "relabelling", "")
LAST = ("Student", "student", "iou 1")
"""The last source that a student has, whatever it is called."""
BAD, BEHIND = 0.2, 0.5
"""A class is behind the others if its IoU is below `BAD`, or below this fraction of mIoU. Chosen by hand."""
LOST = 0.5
"""A class is lost if its IoU ends below this fraction of its best step's."""


@dataclass(frozen=True)
class ClassRow:
    """A class: its IoU in [0, 1] at each step, None where there is none; the step to `look` at, or nothing."""

    swatch: Swatch
    ious: tuple[float | None, ...]
    look: str


@dataclass(frozen=True)
class ClassTable:
    """`steps`: title of each, and the name of an order of photos (or nothing); `rows`: the weakest last step first."""

    steps: tuple[tuple[str, str], ...]
    rows: tuple[ClassRow, ...]


def class_table(reports: Path, legend: Sequence[Swatch]) -> ClassTable | None:
    """Read `PER_CLASS` in the folder `reports`; None where no class was scored. `legend`: all classes."""
    table = read_table(reports / PER_CLASS)
    students = [name for name in table.header if name.partition(" ")[0] == "student"]
    steps = STEPS | {"relabelled": RELABELLED} | ({students[-1]: LAST} if students else {})
    found = {source: step for source, step in steps.items() if source in table.header}
    if not found or not table.rows:
        return None
    values = np.stack([table.numbers(source) for source in found], axis=1)
    unmasked = unmasked_classes(reports)
    values[[name in unmasked for name in table.texts("class")]] = np.nan  # 0 where predicted, and measured by nothing
    last = values[:, -1]
    miou = float(np.nanmean(last)) if np.isfinite(last).any() else 0.0
    swatches = {swatch.name: swatch for swatch in legend}
    names = table.texts("class")
    looks = [look for _, look, _ in found.values()]
    rows = [
        ClassRow(
            swatches[names[place]],
            tuple(None if np.isnan(iou) else float(iou) for iou in values[place]),
            step_to_look_at(values[place], looks, miou),
        )
        for place in np.argsort(last, kind="stable")  # NaN comes last
        if names[place] in swatches
    ]
    return ClassTable(tuple((title, order) for title, _, order in found.values()), tuple(rows))


def step_to_look_at(ious: np.ndarray, steps: Sequence[str], miou: float) -> str:
    """The step that a class was lost at, by its (steps,) IoU, NaN where there is none; empty if nothing is wrong.

    A class that ends below half of its best step was lost at the first step after that one below half of it. One that
    never was much better than it is, and is behind the others in the end, was lost by the first step.
    """
    if np.isnan(ious[-1]):
        return ""
    best = int(np.nanargmax(ious))
    low = LOST * ious[best]
    if ious[-1] < low:
        return next(step for step, iou in zip(steps[best + 1 :], ious[best + 1 :], strict=True) if iou < low)
    return steps[0] if is_behind(float(ious[-1]), miou) else ""


def is_behind(iou: float, miou: float) -> bool:
    """Whether a class is so much worse than the others that it is to be named."""
    return iou < max(BAD, BEHIND * miou)
