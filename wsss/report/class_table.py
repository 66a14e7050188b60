"""IoU of each class at each step of the pipeline, the weakest class first, and why a doubtful one is weak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wsss.report.masked import unmasked_classes
from wsss.report.plots import read_table
from wsss.report.swatch import Swatch
from wsss.report.templates import percent
from wsss.report.wrong_pixels import WrongPixels, wrong_pixels
from wsss.stores.imported import ImportedStore

PER_CLASS = "per_class.csv"
CAM, ORACLE = "cam", "cam oracle"
"""The CAM at the fixed threshold, and at the one that is best for mIoU: one for all classes, and no upper bound of any
class. Where both are known, the CAM of a class is the better of the two."""
PSEUDO, IMPORTED = "pseudo-label", ImportedStore.source
STEPS = {
    CAM: ("CAM", "CAM", ""),
    ORACLE: ("CAM, oracle", "CAM", ""),
    PSEUDO: ("Pseudo-label", "pseudo-label", "label 1"),
    IMPORTED: ("Imported labels", "label", "label 1"),
    "relabelled": ("Relabelled", "relabelling", ""),
}
"""By source of `PER_CLASS`: title of the step, what a class is lost at, the order of photos that shows its worst."""
OF_NO_PART = (CAM, ORACLE, PSEUDO)
"""Steps that nothing is lost at where the student learned from imported labels."""
LAST = ("Student", "student", "iou 1")
"""The last source that a student has, whatever it is called."""
UNKNOWN = "label or the student"
"""What a class is lost at where the labels that the student learned from have no score."""
MODEST, BEHIND = 0.4, 0.5
"""A class is doubtful by the masks if its IoU is below `MODEST`, or below this fraction of the mean. Chosen by hand."""


@dataclass(frozen=True)
class ClassRow:
    """A class: its IoU in [0, 1] at each step, None where there is none; `wrong`: what became of its pixels, where that
    is known; `lost`: the step that a doubtful class was lost at, and `why` it is weak, in words; else nothing.
    """

    name: str
    ious: tuple[float | None, ...]
    wrong: WrongPixels | None = None
    lost: str = ""
    why: str = ""


@dataclass(frozen=True)
class ClassTable:
    """`steps`: title of each, and the name of an order of photos (or nothing); `rows`: the weakest last step first;
    `swatches`: those of a legend, by name; `imported`: the student learned from labels that no stage made.
    """

    steps: tuple[tuple[str, str], ...]
    rows: tuple[ClassRow, ...]
    swatches: Mapping[str, Swatch]
    imported: bool = False

    @property
    def wrong(self) -> bool:
        """Whether it is known what became of the pixels."""
        return any(row.wrong for row in self.rows)

    def without_judgement(self) -> ClassTable:
        """The same numbers, of masks that are too few to call a class doubtful."""
        return replace(self, rows=tuple(replace(row, lost="", why="") for row in self.rows))


def class_table(reports: Path, legend: Sequence[Swatch] = (), imported: bool = False) -> ClassTable | None:
    """Read `PER_CLASS` in the folder `reports`; None where no class was scored. `legend`: all classes, for a page;
    `imported`: the student learned from labels that no stage made, and nothing is said to be lost before these.
    """
    table = read_table(reports / PER_CLASS)
    students = [name for name in table.header if name.partition(" ")[0] == "student"]
    steps = STEPS | ({students[-1]: LAST} if students else {})
    if imported:  # photos are sorted by the labels that the student learned from
        steps |= {PSEUDO: (*STEPS[PSEUDO][:2], "")}
    found = {source: step for source, step in steps.items() if source in table.header}
    if not found or not table.rows:
        return None
    values = np.stack([table.numbers(source) for source in found], axis=1)
    unmasked = unmasked_classes(reports)
    names = table.texts("class")
    values[[name in unmasked for name in names]] = np.nan  # 0 where predicted, and measured by nothing
    last = values[:, -1]
    limit = doubtful_below(float(np.nanmean(last)) if np.isfinite(last).any() else 0.0)
    pixels = wrong_pixels(reports) if students else {}  # which are of the last step, and that is a student's
    chain = [source for source in found if source not in OF_NO_PART] if imported else []
    chain = chain or [source for source in found if source != CAM or ORACLE not in found]
    known = [list(found).index(source) for source in chain]
    reached = values[:, known]
    if chain[0] == ORACLE and CAM in found:
        # One threshold is the oracle's for all classes: the fixed one may suit a class better.
        reached[:, 0] = np.fmax(values[:, list(found).index(CAM)], reached[:, 0])
    fixed_better = reached[:, 0] > values[:, known[0]]
    rows = []
    for place in np.argsort(last, kind="stable"):  # NaN comes last
        name, ious = names[place], tuple(None if np.isnan(iou) else float(iou) for iou in values[place])
        step = lost_at(reached[place], limit)
        wrong = None if name in unmasked else pixels.get(name)
        if step is None:
            rows.append(ClassRow(name, ious, wrong))
            continue
        lost = UNKNOWN if imported and chain == students[-1:] else found[chain[step]][1]
        why = f"Lost at the {lost}: {_lost_words(chain, reached[place], step, bool(fixed_better[place]))}."
        words = f" The student {wrong.words}." if wrong and wrong.words else ""
        rows.append(ClassRow(name, ious, wrong, lost, why + words))
    shown = {swatch.name: swatch for swatch in legend}
    return ClassTable(tuple((title, order) for title, _, order in found.values()), tuple(rows), shown, imported)


def doubtful_below(mean: float) -> float:
    """IoU below which a class is doubtful by the masks, where `mean` is that of all classes that they show."""
    return max(MODEST, BEHIND * mean)


def lost_at(ious: np.ndarray, limit: float) -> int | None:
    """Number of the step that a class was lost at, by its (steps,) IoU, NaN where there is none; None if its last one
    is not below `limit`.

    It is the first step after the last one that was not below; the first of all if each is.
    """
    if np.isnan(ious[-1]) or ious[-1] >= limit:
        return None
    passed = np.flatnonzero(ious >= limit)
    after = passed[-1] + 1 if len(passed) else 0
    return int(after + np.flatnonzero(~np.isnan(ious[after:]))[0])


def _lost_words(chain: Sequence[str], ious: np.ndarray, step: int, fixed_better: bool) -> str:
    """IoU at this step of `chain`, and at the one before; `fixed_better`: that of the CAM is of the fixed threshold,
    though there is an oracle's.
    """
    text = f"IoU {percent(ious[step])}"
    if chain[step] == ORACLE:
        other = "better here than the one threshold for all classes that is best for mIoU (oracle)"
        best = "at the one threshold for all classes that is best for mIoU (oracle), better here than the fixed one"
        return f"{text} {f'at the fixed threshold, {other}' if fixed_better else best}"
    before = [place for place in range(step) if not np.isnan(ious[place])]
    if not before:
        return text
    source = chain[before[-1]]
    threshold = " at the fixed threshold" if fixed_better else " at the oracle's threshold"
    return f"{text}, after {percent(ious[before[-1]])} at the {STEPS[source][1]}{threshold if source == ORACLE else ''}"
