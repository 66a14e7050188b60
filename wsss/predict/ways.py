"""Which test-time scales and which CRF suit a student: the tags of held-out photos say it, and no mask does.

Networks of crops usually do best on enlarged photos, and outlines after a dense CRF, but not on every set: a CRF
swallows things as thin as cracks. Where the classes that a student paints fit the photos' tags clearly worse because of
that, it is read in a plainer way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.atomic import write_text
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.batches import needs, to_batch
from wsss.data.index import Index, Record
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.data.tables import csv_text, yes_no
from wsss.models.base_student import BaseStudent
from wsss.numeric.device import device, enough_memory, set_threads
from wsss.predict.segment import SegmentSettings, probabilities, refine

HELD_OUT = "val"
MOST = 100
"""Photos that are asked, at most: a second of processor time for each."""
LEAST = 8
"""Photos without which the settings stay: of fewer, two that happen to agree would decide."""
PAINTED = 0.001
"""Fraction of a photo's pixels from which on a class counts as painted."""
TOLERANCE = 0.03
"""How much worse than the best the mean fit of the settings' own way may be. Scores favour larger scales and the CRF
where tags do not mind; docs/experiments.md has both.
"""


@dataclass(frozen=True)
class Ways:
    """The ways that a student can be read, as the settings have it first, then plainer ones; `fits`: (W, N) how well
    the painted classes fit the tags of each held-out photo, in [0, 1].
    """

    ways: tuple[SegmentSettings, ...]
    fits: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """(W,) the mean fit; NaN without photos."""
        return self.fits.mean(1) if self.fits.size else np.full(len(self.ways), np.nan)

    @property
    def kept(self) -> int:
        """The first way, unless the best one is clearly better: in the mean by more than `TOLERANCE`, and by more than
        two standard errors of the difference, so that one photo of few does not decide.
        """
        photos = self.fits.shape[1]
        if photos < LEAST:
            return 0
        best = int(self.means.argmax())
        gain = self.fits[best] - self.fits[0]
        error = gain.std(ddof=1) / np.sqrt(photos)
        return best if gain.mean() > max(TOLERANCE, 2 * error) else 0

    @property
    def chosen(self) -> SegmentSettings:
        """The way that is `kept`."""
        return self.ways[self.kept]

    def csv(self) -> str:
        """A line for each way: its settings, its mean fit, and whether it was kept."""
        rows = [
            (
                *(" ".join(map(str, way.scales)), yes_no(way.flip), yes_no(way.crf is not None)),
                *("" if np.isnan(fit) else f"{fit:.4f}", yes_no(number == self.kept)),
            )
            for number, (way, fit) in enumerate(zip(self.ways, self.means, strict=True))
        ]
        return csv_text(("scales", "flip", "crf", "tag_fit", "kept"), rows)

    def text(self) -> str:
        """What was chosen, for a log."""
        photos, kept, fits = self.fits.shape[1], self.kept, self.means
        if not photos:
            return f"{described(self.chosen)}: no {HELD_OUT} photo has a tag that could choose"
        fit = f"painted classes fit the tags of {photos} {HELD_OUT} photos by {fits[kept]:.2f}"
        if not kept:
            return f"{described(self.chosen)}, as the settings say: {fit}, and by {fits.max():.2f} at best"
        return (
            f"{described(self.chosen)}: {fit}, and at {described(self.ways[0])}, as the settings say, by {fits[0]:.2f}"
        )


def described(way: SegmentSettings) -> str:
    """``scale 1, no CRF``"""
    scales = ", ".join(f"{scale:g}" for scale in way.scales)
    return f"scale{'s' if len(way.scales) > 1 else ''} {scales}, {'no CRF' if way.crf is None else 'CRF'}"


def candidates(settings: SegmentSettings) -> tuple[SegmentSettings, ...]:
    """`settings` as they are, without the CRF, at scale 1 with it, and without both: what of it is different."""
    found: list[SegmentSettings] = []
    for scales in (settings.scales, (1.0,)):
        for crf in (settings.crf, None):
            way = SegmentSettings(scales=scales, flip=settings.flip, crf=crf)
            if way not in found:
                found.append(way)
    return tuple(found)


def unasked(settings: SegmentSettings) -> Ways:
    """As the settings say, whatever tags would."""
    ways = candidates(settings)[:1]
    return Ways(ways, np.zeros((1, 0)))


@torch.inference_mode()
def try_ways(
    student: BaseStudent,
    index: Index,
    photos: Photos,
    settings: SegmentSettings,
    inference: InferenceSettings,
    kept: Path,
) -> Ways:
    """Read at most `MOST` photos of val that have tags in each of the `candidates`. Nothing but photos and tags is
    looked at. What is found goes into the file `kept`, so that a stage that was killed goes on in the same way.
    """
    ways, where = candidates(settings), device()
    if kept.is_file():
        return Ways(ways, np.array(json.loads(kept.read_text(encoding="utf-8"))))
    held = [record for record in index.split(HELD_OUT) if record.tags]
    most = min(MOST, len(held))
    records = [held[place * len(held) // most] for place in range(most)]
    fits = np.zeros((len(ways), len(records)))
    student.to(where)
    set_threads(inference.threads)
    with Progress("evaluate: ways", len(records), "photos") as progress:
        for number, record in enumerate(records):
            check_stop()
            with enough_memory(*needs("evaluate", [record])):
                masks = _masks(student, photos.image(record), ways, where)
            fits[:, number] = [tag_fit(mask, record) for mask in masks]
            progress.advance()
    write_text(kept, json.dumps(fits.tolist()))
    return Ways(ways, fits)


def tag_fit(label: np.ndarray, record: Record) -> float:
    """Intersection over union of the classes that `label` (H, W) paints and the photo's tags."""
    counts = np.bincount(label.ravel())
    painted = {*np.flatnonzero(counts >= PAINTED * label.size).tolist()} - {0}
    tags = {*record.tags}
    return len(painted & tags) / len(painted | tags)


def _masks(
    student: BaseStudent, image: np.ndarray, ways: Sequence[SegmentSettings], where: torch.device
) -> list[np.ndarray]:
    views, size = to_batch([image], where), image.shape[:2]
    seen: dict[tuple[float, ...], np.ndarray] = {}
    masks = []
    for way in ways:
        if way.scales not in seen:
            coarse = probabilities(student, "student", views, way.scales, way.flip)
            seen[way.scales] = F.interpolate(coarse, size, mode="bilinear", align_corners=False)[0].cpu().numpy()
        scores = seen[way.scales]
        masks.append(scores.argmax(0).astype(np.uint8) if way.crf is None else refine(image, scores, way.crf)[0])
    return masks
