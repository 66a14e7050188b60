"""What a linear student sees of the training photos: the features of their cells, kept in memory, and their labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from wsss.core.errors import IntegrityError
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.batches import size_batches, to_batch
from wsss.data.index import IGNORE, Record
from wsss.distill.data import TrainingData
from wsss.models.linear_student import LinearStudent
from wsss.numeric.device import device, enough_memory
from wsss.numeric.half import Precision

MEMORY = 2**29
"""Bytes of all features: 570,000 cells of EfficientNet-Lite0, 1,400 photos of 320 × 320 pixels. Of more photos, a part
of the cells is kept, as many of each."""
BATCH, ROWS = 8, 2**14
"""Photos that are seen, and cells that are standardised, at a time."""
LEAST_SPREAD = 1e-4
"""Spreads below it count as it: a channel that is constant on the training photos tells nothing."""


@dataclass(frozen=True)
class Cells:
    """Standardised features of n cells of P photos.

    `features`: (n, C) float16; `context`: (P, C) float32, of the photos' means; `photo`, `place`: (n,) int64, each
    cell's photo and its number in that photo's grid, row by row; `mean`, `spread`: (2C,) float32 over the cells, before
    the standardisation, of their features and then of their photos' means; `stride`: pixels of a cell's side.
    """

    features: torch.Tensor
    context: torch.Tensor
    photo: np.ndarray
    place: np.ndarray
    mean: torch.Tensor
    spread: torch.Tensor
    stride: int

    def inputs(self, chosen: np.ndarray) -> torch.Tensor:
        """(n', 2C) float32: the cells of these numbers."""
        numbers = torch.from_numpy(chosen)
        context = self.context[torch.from_numpy(self.photo[chosen])]
        return torch.cat([self.features[numbers].float(), context], 1)

    def labels(self, data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
        """Of the cells, by the labels of `data`: label (n,) uint8, 255 where ignored, and confidence (n,) float32."""
        found, sure = np.full(len(self.photo), IGNORE, np.uint8), np.zeros(len(self.photo), np.float32)
        for number, name in enumerate(data.ids):
            check_stop()
            begin, end = np.searchsorted(self.photo, (number, number + 1))
            label, confidence = vote(data.labels.label(name), data.labels.confidence(name), self.stride)
            place = self.place[begin:end]
            found[begin:end], sure[begin:end] = label.ravel()[place], confidence.ravel()[place]
        return found, sure


def vote(label: np.ndarray, confidence: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """The label that most pixels of each cell have, and the mean confidence of those pixels.

    `label`: (H, W) uint8; `confidence`: (H, W) float32 → (⌈H/stride⌉, ⌈W/stride⌉) of each. 255, with confidence 0,
    where most pixels are ignored and where two labels have as many.
    """
    height, width = label.shape
    rows, columns = -(-height // stride), -(-width // stride)

    def summed(values: np.ndarray) -> np.ndarray:
        whole = np.zeros((rows * stride, columns * stride), np.float32)
        whole[:height, :width] = values
        return whole.reshape(rows, stride, columns, stride).sum((1, 3))

    values = np.unique(label)
    votes = np.stack([summed(label == value) for value in values])
    sure = np.stack([summed(np.where(label == value, confidence, 0.0)) for value in values])
    best, most = votes.argmax(0), votes.max(0)
    found = np.where((votes == most).sum(0) > 1, IGNORE, values[best]).astype(np.uint8)
    share = np.take_along_axis(sure, best[None], 0)[0] / most
    return found, np.where(found == IGNORE, 0.0, share).astype(np.float32)


def see_photos(student: LinearStudent, data: TrainingData, precision: Precision, label: str) -> Cells:
    """The cells of all training photos, seen once as they are. Raises `IntegrityError` if features are not finite."""
    student.to(device()).eval()
    records = data.photos.records
    place = chosen_cells(records, student.stride, MEMORY // (2 * student.channels), data.seed)
    ends = np.cumsum([len(part) for part in place])
    features = torch.empty(int(ends[-1]), student.channels, dtype=torch.float16)
    context = torch.empty(len(records), student.channels)
    total, squares = torch.zeros(2, student.channels, dtype=torch.float64)
    for number, cells, mean in _each_photo(student, data, precision, label):
        kept = cells[torch.from_numpy(place[number])]
        features[int(ends[number]) - len(kept) : int(ends[number])] = kept.half()
        context[number] = mean
        total += kept.double().sum(0)
        squares += kept.double().square().sum(0)
    if not torch.isfinite(total).all() or not torch.isfinite(features.sum(0, dtype=torch.float64)).all():
        raise IntegrityError("backbone", "gave NaN or Inf as features", "train it again: dvc repro -f -s pretrain")
    mean = total / len(features)
    spread = (squares / len(features) - mean.square()).clamp_min(0).sqrt().clamp_min(LEAST_SPREAD)
    share = torch.tensor([len(part) / len(features) for part in place], dtype=torch.float64)[:, None]
    mean_context = (context.double() * share).sum(0)
    deviation = ((context.double() - mean_context).square() * share).sum(0).sqrt().clamp_min(LEAST_SPREAD)
    for start in range(0, len(features), ROWS):
        rows = features[start : start + ROWS]
        rows.copy_((rows.float() - mean.float()) / spread.float())
    return Cells(
        features,
        ((context - mean_context) / deviation).float(),
        np.repeat(np.arange(len(records)), [len(part) for part in place]),
        np.concatenate(place),
        torch.cat([mean, mean_context]).float(),
        torch.cat([spread, deviation]).float(),
        student.stride,
    )


def chosen_cells(records: Sequence[Record], stride: int, most: int, seed: int) -> list[np.ndarray]:
    """Of each photo, the numbers of the cells that are kept, ascending: all of them, or its part of `most` in all."""
    counts = [math.ceil(record.height / stride) * math.ceil(record.width / stride) for record in records]
    share = min(1.0, most / sum(counts))
    found = []
    for number, count in enumerate(counts):
        drawn = np.random.default_rng((seed, number)).permutation(count)[: max(1, int(share * count))]
        found.append(np.sort(drawn))
    return found


@torch.inference_mode()
def _each_photo(
    student: LinearStudent, data: TrainingData, precision: Precision, label: str
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Of each photo: its number, the features of its cells (h·w, C) float32, and their mean (C,)."""
    records, where = data.photos.records, next(student.parameters()).device
    number_of = {record.id: number for number, record in enumerate(records)}
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    with Progress(f"{label}: features", len(records), "photos") as progress:
        for batch in size_batches(records, BATCH):
            check_stop()
            with (
                enough_memory(label, f"on {batch[0].width}×{batch[0].height} pixels", "lower dataset.long_side"),
                torch.autocast(where.type, dtype, enabled=precision != "32-true"),
            ):
                images = to_batch([data.photos.image(record) for record in batch], where)
                cells = student.cells(student.backbone(images)).float().cpu()
            for record, maps in zip(batch, cells, strict=True):
                yield number_of[record.id], maps.flatten(1).T, maps.mean((1, 2))
            progress.advance(len(batch))
