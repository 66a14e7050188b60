"""What is counted in the label maps of one photo: the numbers that the gallery sorts by and `photos.csv` lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsss.correct.labels import foreground_scores, upsample
from wsss.data.index import IGNORE, Record
from wsss.evaluation.thresholds import cut
from wsss.report.cards import Results
from wsss.report.ranking import TRACE, class_ious, coverage, mean_iou, specks, untagged
from wsss.stores.labels import LabelStore


@dataclass(frozen=True)
class Counted:
    """Numbers of one label map: mean `iou` of its classes, where there is a mask; share of pixels with a label, its
    `coverage`; tagged classes that are `missing` (less than `TRACE` of the photo). None and () without a label.
    """

    iou: float | None = None
    coverage: float | None = None
    missing: tuple[int, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Numbers of one photo, in [0, 1], None where there is nothing to measure.

    `judged`, `pseudo`, `relabelled`: of the label that the photo's split is judged by, of the pseudo-label (or of what
    stands in for it, see `Results.taught`), and of what the first round's student made of that. `disagreement`: see
    `Results.disagreement`. `before_crf`, `cam`: mean IoU of what the student predicts before the CRF, and of the CAM at
    `Results.cam_threshold`. The others are of the judged label: mean `confidence` of labelled pixels; classes that are
    `untagged`, each with its fraction of the photo; `specks`; the `largest` class, and its `fraction` of the photo.
    """

    judged: Counted = Counted()
    pseudo: Counted = Counted()
    relabelled: Counted = Counted()
    disagreement: float | None = None
    before_crf: float | None = None
    cam: float | None = None
    confidence: float | None = None
    untagged: tuple[tuple[int, float], ...] = ()
    specks: tuple[int, ...] = ()
    largest: int | None = None
    fraction: float | None = None


def measure(results: Results, judge: LabelStore | None, record: Record) -> Measured:
    """Everything that is counted in the labels of one photo; `judge` is the store that its split is judged by."""
    taught = results.taught(record)
    prediction, pseudo = (results.label(store, record) for store in (results.predictions, taught))
    relabelled = results.relabelled(record)
    label = prediction if judge is results.predictions else pseudo
    known = [each for each in (label, pseudo, relabelled) if each is not None]
    mask = results.masked.mask(record) if known else None
    judged, first, second = (_counted(results, record, each, mask) for each in (label, pseudo, relabelled))
    disputed = results.disagreement(record, prediction, pseudo)
    before, cam = _mean(results.ious(results.before_crf(record), mask)), _cam_iou(results, record, mask)
    if judge is None or label is None:
        return Measured(Counted(), first, second, disputed, before, cam)
    source = judge if judge is results.predictions else taught
    counts = np.bincount(label.ravel(), minlength=256)[:IGNORE]
    largest = int(counts.argmax()) if counts.any() else None
    return Measured(
        judged,
        first,
        second,
        disputed,
        before,
        cam,
        float(source.confidence(record.id)[label != IGNORE].mean(dtype=np.float64)) if counts.any() else None,
        untagged(label, record.tags),
        tuple(specks(label, mask, record.tags)),
        largest,
        None if largest is None else float(counts[largest] / label.size),
    )


def _counted(results: Results, record: Record, label: np.ndarray | None, mask: np.ndarray | None) -> Counted:
    if label is None:
        return Counted()
    counts = np.bincount(label.ravel(), minlength=256)
    missing = tuple(tag for tag in record.tags if counts[tag] < TRACE * label.size)
    return Counted(_mean(results.ious(label, mask)), coverage(label), missing)


def _cam_iou(results: Results, record: Record, mask: np.ndarray | None) -> float | None:
    """Of the photo's CAM, at the size of its mask and cut as stage `evaluate` cuts it."""
    if mask is None or results.cam_threshold is None or record.id not in results.cams:
        return None
    found = results.cams.read(record.id)
    scores = foreground_scores(upsample(found.scores, (mask.shape[0], mask.shape[1])))
    label = cut(scores, found.classes, results.cam_threshold)
    return mean_iou(class_ious(label, mask, len(results.index.classes)))


def _mean(ious: np.ndarray | None) -> float | None:
    return None if ious is None else mean_iou(ious)
