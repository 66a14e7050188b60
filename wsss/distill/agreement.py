"""How well the student agrees with the pseudo-labels of photos that it was not trained on: a verdict without masks.

A student that has learnt something gives new photos much the same masks as tags, CAMs and correction do. Where it does
not, the labels contradict each other or the training went wrong. Agreement is no accuracy: both may be wrong alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.interrupt import check_stop
from wsss.core.log import Progress, say, warn
from wsss.data.batches import size_batches, to_batch
from wsss.data.index import IGNORE, Index, Record
from wsss.data.photos import Photos
from wsss.data.tables import csv_text
from wsss.distill.data import LabelSource
from wsss.models.base_student import BaseStudent
from wsss.numeric.device import enough_memory
from wsss.numeric.precision import mean_known
from wsss.predict.collapse import Spread, spread_of
from wsss.training.judge import HELD_OUT
from wsss.training.probe import evenly

MOST, BATCH = 200, 8
WEAK, POOR, FINE = 0.2, 0.35, 0.5
"""Agreement (IoU) below which a class is disputed, below which a student is poor, and from which it is fine; between
them it is doubtful. Chosen on the zoo, with its scores in view: docs/experiments.md has both."""


@dataclass(frozen=True)
class Agreement:
    """Of `photos` held-out photos: `iou` (K+1,) of student and labels on labelled pixels, the student held to the
    photo's tags, NaN for a class in neither; `labelled`, `predicted`: (K+1,) int64 pixels of each class, the student
    free; `spread`: how the predicted pixels are distributed.
    """

    photos: int
    iou: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray
    spread: Spread | None

    @property
    def mean(self) -> float:
        """Mean IoU over the classes that are in either."""
        return mean_known(self.iou)

    @property
    def verdict(self) -> str:
        """``collapsed``, ``poor``, ``doubtful``, ``fine``, or ``not measured``."""
        if self.spread is None or np.isnan(self.mean):
            return "not measured"
        if self.spread.collapsed:
            return "collapsed"
        return "poor" if self.mean < POOR else "doubtful" if self.mean < FINE else "fine"


@torch.inference_mode()
def agreement(student: BaseStudent, index: Index, photos: Photos, labels: LabelSource, label: str) -> Agreement:
    """Compare `student` at scale 1 with `labels` on the photos of split val that have some: imported masks may not."""
    held = [record for record in index.records if record.split == HELD_OUT and record.id in labels]
    records = evenly(held, MOST)
    classes = len(index.classes)
    pairs = np.zeros((classes, classes), np.int64)
    predicted, labelled = np.zeros(256, np.int64), np.zeros(256, np.int64)
    where, training = next(student.parameters()).device, student.training
    student.eval()
    with Progress(f"{label}: agreement", len(records), "photos") as progress:
        for batch in size_batches(records, BATCH):
            check_stop()
            with enough_memory(label, f"on {batch[0].width}×{batch[0].height} pixels", "lower dataset.long_side"):
                seen = student(to_batch([photos.image(record) for record in batch], where)).float()
                logits = F.interpolate(seen, (batch[0].height, batch[0].width), mode="bilinear", align_corners=False)
            free = logits.argmax(1).byte().cpu().numpy()
            given = logits.masked_fill(untagged(batch, classes, where)[:, :, None, None], -torch.inf)
            held_to_tags = given.argmax(1).byte().cpu().numpy()
            for record, mask, tagged in zip(batch, free, held_to_tags, strict=True):
                truth = labels.label(record.id)
                predicted += np.bincount(mask.ravel(), minlength=256)
                labelled += np.bincount(truth.ravel(), minlength=256)
                known = truth != IGNORE
                codes = truth[known].astype(np.int64) * classes + tagged[known]
                pairs += np.bincount(codes, minlength=classes**2).reshape(classes, classes)
            progress.advance(len(batch))
    student.train(training)
    union = pairs.sum(0) + pairs.sum(1) - np.diag(pairs)
    iou = np.where(union > 0, np.diag(pairs) / np.maximum(union, 1), np.nan)
    spread = spread_of(records, predicted, labelled) if records else None
    return Agreement(len(records), iou, labelled[:classes], predicted[:classes], spread)


def untagged(records: Sequence[Record], classes: int, where: torch.device) -> torch.Tensor:
    """(N, K+1) bool: classes, background excepted, that a photo is not tagged with."""
    absent = torch.ones(len(records), classes, dtype=torch.bool)
    for row, record in zip(absent, records, strict=True):
        row[[0, *record.tags]] = False
    return absent.to(where)


def agreement_csv(found: Agreement, index: Index) -> str:
    """A line for each class: its fraction of the labelled and of the predicted pixels, the IoU of both, and a word on
    the class and on the student as a whole.
    """
    labelled, predicted = (pixels / max(1, pixels.sum()) for pixels in (found.labelled, found.predicted))
    rows = []
    for k, name in enumerate(index.classes):
        both = "" if np.isnan(found.iou[k]) else f"{found.iou[k]:.4f}"
        judged = "" if np.isnan(found.iou[k]) else "disputed" if found.iou[k] < WEAK else "agreed"
        rows.append([name, found.photos, f"{labelled[k]:.4f}", f"{predicted[k]:.4f}", both, judged, found.verdict])
    return csv_text(("class", "photos", "labelled", "predicted", "agreement", "verdict", "student"), rows)


def judge_agreement(stage: str, found: Agreement, index: Index) -> str:
    """Say and warn of what `found` tells; return it in few words, for the stage's last line."""
    if found.spread is None or found.verdict == "not measured":
        return f"agreement not measured (no labelled {HELD_OUT} photo)"
    says = f"agreement with the labels of {found.photos} {HELD_OUT} photos {found.mean:.2f}"
    fix = "look at the labels in the gallery: if they are good, train longer (distill.optim.epochs) or more gently (lr)"
    if found.verdict == "collapsed":
        warn(stage, f"the student has collapsed: {found.spread.describe(index.classes)}", fix)
    elif found.verdict == "poor":
        warn(stage, f"{says}: the student has not learnt what the labels show", fix)
    elif found.verdict == "doubtful":
        warn(stage, f"{says}: less than half, so the labels may contradict each other", fix)
    weak = [k for k in range(1, len(index.classes)) if found.iou[k] < WEAK]
    if weak:
        listed = ", ".join(f"{index.classes[k]} {found.iou[k]:.2f}" for k in weak)
        say(f"{stage}: classes on which student and labels hardly agree: {listed}")
    return says
