"""What masks of val photos tell beside a score: which classes they do not show, and whether labels are better."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from wsss.core.words import counted
from wsss.data.index import Index
from wsss.formats.problems import some
from wsss.report.plots import read_table
from wsss.report.scores import Source, best_row
from wsss.stores.labels import LABEL_STORES, PseudoStore

CONFUSION = "confusion.csv"
CLEARLY = 0.05
"""mIoU by which labels, or the student read in another way, have to be better to be proposed. Chosen by hand."""
FEW_MASKS = 10
"""Photos with masks below which these decide nothing: a score of them may be chance, or that of the worst photos, which
a person corrects first.
"""
STORES = {kind.source: kind.place.name for kind in LABEL_STORES}
"""Folder of `artifacts` by kind of labels, as the table of scores calls them."""


def masks_decide(photos: int, own: int) -> bool:
    """Whether masks of so many photos may decide: those that are a network's `own` do not count."""
    return photos - own >= FEW_MASKS


def masks_warning(photos: int, own: int, split: str) -> str:
    """What is said of a score on the masks of so many photos of `split`, `own` of them still as wsss wrote them;
    nothing where all are a person's, and enough to decide.
    """
    decide = masks_decide(photos, own)
    if own:
        said = (
            f"{own} of {counted(photos, f'{split} mask')} are still as wsss wrote them: the score says how far the "
            "network agrees with itself."
        )
        theirs = f"{photos - own} of them" if photos > own else "none"
        few = f" A person's are {theirs}, and {FEW_MASKS} or more would decide: the verdict is that without masks."
        return said + ("" if decide else few)
    if decide:
        return ""
    them, worst = ("it", "it was") if photos == 1 else ("them", "they were")
    return (
        f"Masks of {counted(photos, f'{split} photo')} are too few to decide, all the more if {worst} chosen as the "
        f"worst: the verdict is that without {them}. {FEW_MASKS} or more would decide."
    )


def unmasked_classes(reports: Path) -> frozenset[str]:
    """Classes in no mask of the photos that `CONFUSION` of the folder `reports` counts; none where there is no such
    table, or nothing in it.
    """
    if not (reports / CONFUSION).exists():
        return frozenset()
    table = read_table(reports / CONFUSION)
    if not table.rows:
        return frozenset()
    actual = list(zip(table.texts("actual"), table.numbers("pixels"), strict=True))
    return frozenset(name for name, _ in actual) - {name for name, pixels in actual if pixels}


def mean_of_masked(ious: Sequence[tuple[float, str]], unmasked: Collection[str], miou: float) -> float:
    """Mean IoU of the classes that masks show. `ious`: IoU and name of all that have one; `miou`: the mean over them.

    By VOC's definition, which `miou` follows, a class in no mask counts as 0 where it is predicted.
    """
    shown = [iou for iou, name in ious if name not in unmasked]
    return sum(shown) / len(shown) if shown and len(shown) < len(ious) else miou


def unmasked_reason(ious: Sequence[tuple[float, str]], unmasked: Collection[str], split: str, miou: float) -> str:
    """What is said of classes that are in no mask, in the order of their names; nothing where there are none."""
    if not unmasked:
        return ""
    text = f"In no {split} mask: {some(sorted(unmasked))}."
    wrong = sorted(name for _, name in ious if name in unmasked)
    if not wrong:
        return text
    others = mean_of_masked(ious, unmasked, miou)
    return (
        f"{text} What is predicted there as {some(wrong)} counts as wrong, and as 0 in the mean: the mean of the other "
        f"classes is {100 * others:.2f} %."
    )


def left_out_reason(index: Index, split: str, unmasked: Collection[str]) -> str:
    """What is said where photos of `split` are tagged with classes that their masks lack; nothing where none is."""
    masked = [record for record in index.records if record.split == split and record.mask is not None]
    tagged = {index.classes[tag] for record in masked for tag in record.tags} & set(unmasked)
    if not tagged:
        return ""
    return f"Photos with a mask are tagged with {some(sorted(tagged))} all the same: do the masks leave that out?"


def better_way(sources: Sequence[Source], split: str, final: Source) -> str:
    """What is said where another row of the student is clearly better than its `final` one; nothing if none is."""
    best = best_row(sources, split, "student")
    if best is None or best.miou is None or final.miou is None or best.miou < final.miou + CLEARLY:
        return ""
    # Rows: at scale 1 without the flip, then with scales and flip, then with the CRF.
    options = "--scales 1 --no-flip --no-crf" if best.source == "student" else "--no-crf"
    return (
        f"Read in another way the student is better on these masks ({best.source}: {100 * best.miou:.2f} %): with "
        f"`wsss predict {options}`."
    )


def better_labels(sources: Sequence[Source], split: str, student: Source, imported: bool = False) -> tuple[str, str]:
    """The store of labels of the pipeline that are clearly better than `student` on the same photos of `split`, and
    what is said of them; nothing twice if none is. `imported`: the student learned from others.
    """
    for kind, store in STORES.items():
        labels = best_row(sources, split, kind)
        if labels is None or labels.miou is None or student.miou is None or labels.images != student.images:
            continue
        if labels.miou >= student.miou + CLEARLY:
            which = "the pipeline's own labels" if imported and kind == PseudoStore.source else "the labels"
            text = (
                f"On the same photos {which} are better ({labels.source}: {100 * labels.miou:.2f} %). They know the "
                "photos' tags, and the student of this score does not: with them, as `wsss predict` has them, it may "
                "be as good. Compare both where photos have tags."
            )
            return store, text
    return "", ""
