"""The last words of the pipeline: usable or not, which classes, what to add, and what the verdict rests on.

It is composed of what the stages have judged without masks: how well the classifier tells held-out tags, and how far
the student agrees with the labels of photos that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from wsss.core.words import counted
from wsss.data.companions import never_alone
from wsss.data.index import Index
from wsss.formats.problems import some
from wsss.report.findings import Findings
from wsss.report.interval import Interval
from wsss.report.last_words import Verdict
from wsss.report.masked import better_labels, better_way, left_out_reason, masks_warning, unmasked_reason
from wsss.report.scores import Source, best_row

FEW = 30
"""Held-out photos below which a score may be chance: a class has a handful of them at most."""
HELD_OUT = "held-out photo"
WORDS = "The student is the network that makes your masks, the labels are what it learned from."
"""The two words that a newcomer has to know."""
TABLE = "The gallery's table of classes says where their pixels went, and opens their photos."
LOOK = f"{TABLE} Where the CAM is bad already, add photos that show them elsewhere."
"""What to do about classes that are doubtful by the masks."""
LOOK_IMPORTED = f"{TABLE} Where the imported labels are bad already, mend these."
"""The same where the student learned from labels that no stage made."""
UNSURE = "They may be wrong in every photo: look at their masks before you use them; a dozen drawn by hand would tell."
"""What to do about classes on which student and labels agree somewhat."""
RESTS = "It rests on tags and on agreement, which do not see a fault that labels and student share."
"""What the verdict rests on where masks do not decide."""
UNSEEN = f"{RESTS} No mask was read; a dozen masks would tell the accuracy."
"""The same where no photo has a mask."""
NAMED = 12
"""Classes that the first line names of each kind; the rest are counted."""
BETTER = 0.01
"""mIoU by which OSTE's branch has to be better than the student to be named instead."""


def final_verdict(
    reports: Path,
    sources: Sequence[Source],
    index: Index,
    split: str,
    rests_on: str = "",
    own: int = 0,
    interval: Interval | None = None,
    imported: bool = False,
) -> Verdict:
    """Compose the verdict from the tables in the folder `reports`, the tags of the training photos in `index`, and,
    where photos of `split` have masks, the scores `sources`. `rests_on`: what beside tags the student's labels rest on;
    `own`: how many of the masks of `split` are as wsss wrote them; `interval`: of the student's last score, if it is
    known; `imported`: the student learned from labels that no stage made. Errors are those of `Findings.read`.
    """
    found = Findings.read(reports, sources, index, split, own, imported)
    score, by_masks = found.score, found.by_masks
    labels, better = better_labels(sources, split, score, imported) if score is not None and by_masks else ("", "")
    warning = "" if score is None else masks_warning(int(score.images), own, split)
    reasons = (
        *_of_tags(found),
        *_of_agreement(found, rests_on),
        *_of_classes(found),
        *_of_companions(found),
        *_of_masks(found, sources, interval),
        *([better] if better else []),
    )
    bad = found.hopeless or found.overall in ("poor", "doubtful")
    return Verdict(
        *(_headline(found), reasons, bad, found.weak),
        agreed=found.agreed,
        labels=labels,
        longer=found.longer,
        warning=warning,
        by_masks=by_masks,
        classes="" if found.hopeless else "; ".join(f"{w}: {some(k, NAMED)}" for w, k in found.sorted_out.items()),
    )


def _headline(found: Findings) -> str:
    if found.hopeless:
        return "not usable"
    if found.doubtful:
        return "usable in part"
    # Agreement with labels is no accuracy: only masks can tell more than that it is worth looking at.
    return "usable" if found.by_masks else "usable as a first draft"


def _of_tags(found: Findings) -> Iterator[str]:
    """How well the classifier tells the tags."""
    if not found.told:
        yield "No held-out photo has a tag that others lack: nothing says whether the tags were learnt."
        return
    photos, aps = int(found.tags[0]["photos"]), found.told.values()
    few = " These are few photos, and a class may come or go by chance." if photos < FEW else ""
    mean = sum(aps) / len(aps)
    held_out = counted(photos, HELD_OUT)
    yield f"The classifier tells the tags of {held_out}: mean AP {mean:.2f} (tags recognised; 1 is all).{few}"


def _of_agreement(found: Findings, rests_on: str) -> Iterator[str]:
    """How far the student agrees with the labels, and what these rest on."""
    if shared := [float(row["agreement"]) for row in found.agreement if row["agreement"]]:
        compared = counted(int(found.agreement[0]["photos"]), HELD_OUT)
        alike = f"{100 * sum(shared) / len(shared):.0f} %"
        between = f"mean IoU between the two on {compared}; both can be wrong alike, so it is no accuracy"
        yield from (f"Student and labels agree on {alike} ({between}).", WORDS)
    if rests_on:
        yield f"It is no result of tags alone: the student learned from {rests_on}."
    if found.overall in ("poor", "doubtful"):
        yield "That is less than half: look at the labels in the gallery before you use any mask."


def _of_classes(found: Findings) -> Iterator[str]:
    """Classes that failed, and those of which too little is known, by what is judged without masks."""
    if unlearnt := found.unlearnt:
        yield f"Not learnt: {some(unlearnt)}. Check their tags, add photos of them, or drop them (dataset.drop)."
    if disputed := found.disputed:
        yield f"Doubtful: {some(disputed)}. Look at their labels in the gallery before you use their masks."
    if found.told and (unjudged := found.unjudged):
        yield f"Not judged: {some(unjudged)}. No photo of split val shows them: give it some."
    if found.told and (thin := found.thin):
        yield f"Judged on one or two held-out photos, perhaps by chance: {some(thin)}. Look at their masks."
    if unsure := found.unsure:
        yield f"Less sure: {some(each.words for each in unsure)}. {UNSURE}"


def _of_companions(found: Findings) -> Iterator[str]:
    """Classes that come together, by tags or in what the student predicts."""
    index = found.index
    for group in found.together:
        names = some([index.classes[k] for k in group])
        yield f"Hardly told apart by tags: {names}. Add photos that show one of them without the others."
    if never := [index.classes[k] for k in never_alone(index.split("train"), index.foreground)]:
        yield f"Never alone in a training photo: {some(never)}. Masks may include what they come with."
    if found.overall == "collapsed":
        yield "The student predicts one class nearly everywhere. Look at the labels in the gallery."


def _unseen(index: Index, split: str) -> str:
    """What is said where no photo of `split` has a mask: others may have some, which a person expects to count."""
    masked = [record.split for record in index.records if record.mask is not None and record.split != split]
    held_out = [record.id for record in index.records if record.split == split]
    if not masked or not held_out:
        return UNSEEN
    one, where = len(masked) == 1, " and ".join(dict.fromkeys(masked))
    yours = f"Your mask is of a {where} photo" if one else f"Your {len(masked)} masks are of {where} photos"
    named = f"correct masks of {split} photos: {some(held_out)}"
    return f"{RESTS} {yours}, which score{'s' if one else ''} nothing; for the accuracy, {named}."


def _of_masks(found: Findings, sources: Sequence[Source], interval: Interval | None) -> Iterator[str]:
    """What masks say, where there are some. `interval`: of the student's score."""
    score, split = found.score, found.split
    if score is None or score.miou is None:
        yield _unseen(found.index, split)
        return
    miou, masked = score.miou, counted(int(score.images), f"{split} photo")
    sure = f", {interval.words}" if interval else ""
    yield f"On the masks of {masked}, the student has mIoU {100 * miou:.2f} % ({score.source}){sure}."
    if not found.by_masks:
        yield RESTS
        return
    no_mask = unmasked_reason(found.ious, found.unmasked, split, miou)
    yield from filter(None, (no_mask, left_out_reason(found.index, split, found.unmasked)))
    if low := found.low:
        lost = {name: f" (lost at the {step})" for name, step in found.lost.items()}
        named = some(f"{name} {100 * iou:.1f} %{lost.get(name, '')}" for name, iou in low)
        yield f"Doubtful by these masks, the lowest IoU first: {named}. {LOOK_IMPORTED if found.imported else LOOK}"
    if way := better_way(sources, split, score):
        yield way
    branch = best_row(sources, split, "oste")
    if branch is not None and branch.miou is not None and branch.miou >= miou + BETTER:
        better = f"{branch.source}: {100 * branch.miou:.2f} %"
        yield f"OSTE's own branch is better ({better}): give its network, oste.pt, to `wsss predict`."
