"""A few sheets of pictures, of the same photos in every run: `dvc plots diff` pairs pictures of one path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.core.folders import atomic_dir
from wsss.core.interrupt import check_stop
from wsss.data.images import voc_palette
from wsss.data.index import Record
from wsss.data.render import fit, heat_overlay, label_overlay
from wsss.data.size import fit_label
from wsss.report.cards import OSTE, Results
from wsss.report.ranking import evenly

PHOTOS = 8
WIDTH, GAP = 200, 4
PAPER = 255
QUALITY = 88


def draw_overlays(results: Results, split: str, out: Path) -> int:
    """Write ``01.jpg``, ``02.jpg``, … into the folder `out`, and return how many.

    The photos are spread evenly over the split by their ids and not by any score: two runs on one data set draw the
    same ones. Same inputs, same bytes.
    """
    records = results.index.split(split)
    places = evenly(len(records), PHOTOS)
    with atomic_dir(out) as folder:
        for number, place in enumerate(places, start=1):
            check_stop()
            picture = Image.fromarray(sheet(results, records[place]))
            picture.save(folder / f"{number:02}.jpg", quality=QUALITY)
    return len(places)


def sheet(results: Results, record: Record) -> np.ndarray:
    """Photo, CAM, mask; below them pseudo-label, OSTE's branch, student. What is not there is blank.

    → (2·h + GAP, 3·w + 2·GAP, 3) uint8: two such pictures fit side by side on a screen.
    """
    photo = fit(results.masked.photos.image(record), WIDTH)
    blank, palette = np.full_like(photo, PAPER), voc_palette()

    def overlay(label: np.ndarray | None) -> np.ndarray:
        return blank if label is None else label_overlay(photo, fit_label(label, photo.shape), palette)

    scores = results.cams.read(record.id).scores if record.id in results.cams else np.zeros((0, 1, 1))
    predictions = results.predictions
    branch = record.id in predictions and OSTE in predictions.versions(record.id)
    heat = heat_overlay(photo, scores.max(axis=0)) if len(scores) else blank
    rows = (
        (photo, heat, overlay(results.masked.mask(record))),
        (
            overlay(results.label(results.pseudo, record)),
            overlay(predictions.label(record.id, OSTE) if branch else None),
            overlay(results.label(predictions, record)),
        ),
    )
    return _joined([_joined(row, axis=1) for row in rows], axis=0)


def _joined(tiles: Sequence[np.ndarray], axis: int) -> np.ndarray:
    shape = list(tiles[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, PAPER, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=axis)
