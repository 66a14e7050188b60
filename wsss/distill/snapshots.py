"""Writes the student's masks of a few photos after each epoch, to show a failing training before its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.live import aside
from wsss.data.answers import show_masks
from wsss.data.batches import to_batch
from wsss.data.images import save_mask_png
from wsss.data.index import Record
from wsss.data.photos import Photos
from wsss.models.base_student import BaseStudent
from wsss.numeric.device import enough_memory
from wsss.stores.snapshots import shown, snapshot_file


class Snapshots:
    """Writes the masks of `student` at scale 1 into `folder`, for the `shown` of `photos`.

    `classes`: all names, background first; `before`: number of epochs of an earlier round; the numbering continues
    after them.
    """

    def __init__(
        self, student: BaseStudent, classes: Sequence[str], photos: Photos, folder: Path, before: int = 0
    ) -> None:
        self.student, self.classes, self.photos, self.folder, self.before = student, classes, photos, folder, before

    def __call__(self, epoch: int) -> None:
        """Write the masks of `epoch`, counted from 1. Keeps the student's mode and draws no random number."""
        student = self.student
        where, training = next(student.parameters()).device, student.training
        student.eval()
        seen: list[tuple[Record, np.ndarray, np.ndarray]] = []
        with torch.inference_mode():
            for record in shown(self.photos.records):
                image = self.photos.image(record)
                doing = f"on {record.width}×{record.height} pixels ({record.id})"
                with enough_memory("distill", doing, "set a smaller dataset.long_side"):
                    logits = student(to_batch([image], where)).float()
                    whole = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)
                mask = whole[0].argmax(0).byte().cpu().numpy()
                save_mask_png(snapshot_file(self.folder, self.before + epoch, record), mask)
                seen.append((record, image, mask))
        student.train(training)
        aside(lambda: show_masks(seen, epoch, self.classes))
