"""The last words of the pipeline: usable or not, which classes, what to add, and what the verdict rests on.

It is composed of what the stages have judged without masks: how well the classifier tells held-out tags, and how far
the student agrees with the labels of photos that it was not trained on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsss.core.errors import IntegrityError, UserError
from wsss.core.words import counted
from wsss.data.companions import inseparable, never_alone
from wsss.data.index import Index
from wsss.data.tables import plain
from wsss.formats.problems import some
from wsss.report.agreed import agreed_classes, less_sure
from wsss.report.class_table import BAD, PER_CLASS, is_behind
from wsss.report.last_words import Verdict
from wsss.report.masked import better_labels, left_out_reason, mean_of_masked, unmasked_classes, unmasked_reason
from wsss.report.scores import Source, best_row

TABLES = ("train_tags.csv", "agreement.csv")
"""What is read, from the folder of reports."""
MODEST = 0.4
"""mIoU on masks, where there are some, below which a student is usable in part at most; below `BAD` it is not usable.
IoU on masks below which a class is doubtful, as is one that `is_behind` the others. Chosen by hand.
"""
SHAKY = 0.3
"""Where no mask shows a class: agreement of student and labels below which it is doubtful, even if it passed as agreed.
Chosen by hand.
"""
FEW = 30
"""Held-out photos below which a score may be chance: a class has a handful of them at most."""
HELD_OUT = "held-out photo"
THIN = 3
"""Held-out photos of a class below which what is said of it may be chance."""
WORDS = "The student is the network that makes your masks, the labels are what it learned from."
"""The two words that a newcomer has to know."""
LOOK = (
    "The gallery's table of classes opens their photos and has their IoU at each step. Where the CAM is bad already, "
    "add photos that show them elsewhere."
)
"""What to do about classes that are doubtful by the masks."""
UNSURE = "They may be wrong in every photo: look at their masks before you use them; a few drawn by hand would tell."
"""What to do about classes on which student and labels agree somewhat."""
UNSEEN = (
    "It rests on tags and on agreement, which do not see a fault that labels and student share. No mask was read; a "
    "dozen masks would tell the accuracy."
)
"""What the verdict rests on where no photo has a mask."""
BETTER = 0.01
"""mIoU by which OSTE's branch has to be better than the student to be named instead."""


def final_verdict(reports: Path, sources: Sequence[Source], index: Index, split: str, rests_on: str = "") -> Verdict:
    """Compose the verdict from `TABLES` in the folder `reports`, the tags of the training photos in `index`, and, where
    photos of `split` have masks, the scores `sources`. `rests_on`: what beside tags the student's labels rest on.
    """
    tags, agreed = (_rows(reports / name) for name in TABLES)
    told = {row["class"]: float(row["kept"]) for row in tags if row["kept"]}
    unlearnt = [row["class"] for row in tags if row["verdict"] == "not learnt"]
    overall = agreed[0]["student"] if agreed else "not measured"
    best, branch = best_row(sources, split, "student"), best_row(sources, split, "oste")
    miou = None if best is None else best.miou
    unseen, labels = miou is None, ""
    ious = [] if best is None or miou is None else _ious(reports / PER_CLASS, best.source)
    unmasked = frozenset() if miou is None else unmasked_classes(reports)
    seen = [(iou, name) for iou, name in ious if name not in unmasked]
    others = 1.0 if miou is None else mean_of_masked(ious, unmasked, miou)
    low = [(name, iou) for iou, name in seen if iou < MODEST or is_behind(iou, others)]
    # Masks know better than agreement, of the classes that they show.
    judged = [name for _, name in seen]
    disputed = [row["class"] for row in agreed if _is_disputed(row) and row["class"] not in (*unlearnt, *judged)]
    photos = tags[0]["photos"] if tags else "0"
    unjudged = [row["class"] for row in tags if row["tagged"] == "0"]
    thin = [f"{row['class']} ({row['tagged']})" for row in tags if 0 < int(row["tagged"]) < THIN]
    reasons = []
    if told:
        mean = _mean(told.values())
        few = " These are few photos, and a class may come or go by chance." if int(photos) < FEW else ""
        reasons.append(f"The classifier tells the tags of {counted(int(photos), HELD_OUT)}: mean AP {mean}.{few}")
    else:
        reasons.append("No held-out photo has a tag that others lack: nothing says whether the tags were learnt.")
    shared = [float(row["agreement"]) for row in agreed if row["agreement"]]
    if shared:
        compared = counted(int(agreed[0]["photos"]), HELD_OUT)
        alike = f"{100 * sum(shared) / len(shared):.0f} %"
        between = f"mean IoU between the two on {compared}; both can be wrong alike, so it is no accuracy"
        reasons += [f"Student and labels agree on {alike} ({between}).", WORDS]
    if rests_on:
        reasons.append(f"It is no result of tags alone: the student learned from {rests_on}.")
    if overall in ("poor", "doubtful"):
        reasons.append("That is less than half: look at the labels in the gallery before you use any mask.")
    if unlearnt:
        reasons.append(
            f"Not learnt: {some(unlearnt)}. Check their tags, add photos of them, or drop them (dataset.drop)."
        )
    if disputed:
        reasons.append(f"Doubtful: {some(disputed)}. Look at their labels in the gallery before you use their masks.")
    if unjudged and told:
        reasons.append(f"Not judged: {some(unjudged)}. No photo of split val shows them: give it some.")
    if thin and told:
        reasons.append(f"Judged on one or two held-out photos, perhaps by chance: {some(thin)}. Look at their masks.")
    agreed_on = agreed_classes(agreed)
    unsure = less_sure(agreed_on, [index.classes[0], *unlearnt, *disputed, *judged])
    if unsure:
        reasons.append(f"Less sure: {some(each.words for each in unsure)}. {UNSURE}")
    for group in inseparable(index.split("train"), index.foreground):
        names = some([index.classes[k] for k in group])
        reasons.append(f"Hardly told apart by tags: {names}. Add photos that show one of them without the others.")
    if never := [index.classes[k] for k in never_alone(index.split("train"), index.foreground)]:
        reasons.append(f"Never alone in a training photo: {some(never)}. Masks may include what they come with.")
    if overall == "collapsed":
        reasons.append("The student predicts one class nearly everywhere. Look at the labels in the gallery.")
    if best is None or miou is None:
        reasons.append(UNSEEN)
    else:
        masked = counted(int(best.images), f"{split} photo")
        reasons.append(f"On the masks of {masked}, the student has mIoU {100 * miou:.2f} % ({best.source}).")
        no_mask = unmasked_reason(ious, unmasked, split, miou), left_out_reason(index, split, unmasked)
        reasons += [text for text in no_mask if text]
        if low:
            named = some(f"{name} {100 * iou:.1f} %" for name, iou in low)
            reasons.append(f"Doubtful by these masks, the lowest IoU first: {named}. {LOOK}")
        if branch is not None and branch.miou is not None and branch.miou >= miou + BETTER:
            found = f"{branch.source}: {100 * branch.miou:.2f} %"
            reasons.append(f"OSTE's own branch is better ({found}): give its network, oste.pt, to `wsss predict`.")
        labels, better = better_labels(sources, split, best)
        reasons += [better] if better else []
    hopeless = overall in ("collapsed", "poor") or (bool(tags) and len(unlearnt) == len(tags)) or others < BAD
    wrong = len(seen) < len(ious)  # a class in no mask is predicted
    any_bad = unlearnt or disputed or unsure or low or wrong or unjudged or (thin and unseen)
    doubtful = bool(any_bad) or overall != "fine" or not told or others < MODEST
    # Agreement with labels is no accuracy: only masks can tell more than that it is worth looking at.
    fine = "usable as a first draft" if unseen else "usable"
    headline = "not usable" if hopeless else "usable in part" if doubtful else fine
    bad = hopeless or overall in ("poor", "doubtful")
    # The worst first: it is the one that is proposed to be left out. The background cannot be.
    shaky = sorted((row for row in agreed if row["class"] in disputed), key=lambda row: float(row["agreement"] or 0))
    weak = dict.fromkeys((*unlearnt, *(name for name, _ in low), *(row["class"] for row in shaky)))
    named_weak = tuple(name for name in weak if name != index.classes[0])
    return Verdict(headline, tuple(reasons), bad, named_weak, agreed=agreed_on, labels=labels)


def _ious(path: Path, source: str) -> list[tuple[float, str]]:
    """IoU on the masks and name of each class that has one in `source`, the weakest first."""
    return sorted((float(row[source]), row["class"]) for row in _rows(path) if row.get(source))


def _is_disputed(row: Mapping[str, str]) -> bool:
    return row["verdict"] == "disputed" or (row["verdict"] == "agreed" and float(row["agreement"] or 1.0) < SHAKY)


def _rows(path: Path) -> list[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Mapping[str, str]] = list(csv.DictReader(file))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row has another number of cells than the header")
        rows = [{name: plain(cell) for name, cell in row.items()} for row in rows]
    except FileNotFoundError as error:
        raise UserError(path, "no such file", "run the stages before: dvc repro") from error
    except (OSError, ValueError, csv.Error) as error:
        raise IntegrityError(path, f"cannot be read ({error})", "make it again: dvc repro") from error
    return rows


def _mean(values: Iterable[float]) -> str:
    numbers = list(values)
    return f"{sum(numbers) / len(numbers):.2f}"
