"""A few sheets of pictures, of the same photos in every run: `dvc plots diff` pairs pictures of one path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from wsss.core.folders import atomic_dir
from wsss.core.interrupt import check_stop
from wsss.data.captions import legend
from wsss.data.index import Record
from wsss.data.palette import display_palette
from wsss.data.render import fit, heat_overlay, label_overlay
from wsss.data.size import fit_label
from wsss.report.cards import OSTE, Results
from wsss.report.ranking import evenly, values_of
from wsss.report.sheets import joined, titled

PHOTOS = 8
WIDTH, GAP = 200, 4
PAPER = 255
TITLES = ("Photo", "CAM", "Ground truth", "Pseudo-label", OSTE.upper(), "Student")
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
    """Photo, CAM, mask; below them pseudo-label, OSTE's branch, student, each with its title, and a legend.

    → (H, 3·w + 2·GAP, 3) uint8: two such pictures fit side by side on a screen. What is not there is blank.
    """
    photo = fit(results.masked.photos.image(record), WIDTH)
    predictions = results.predictions
    branch = record.id in predictions and OSTE in predictions.versions(record.id)
    labels = (
        results.masked.mask(record),
        results.label(results.pseudo, record),
        predictions.label(record.id, OSTE) if branch else None,
        results.label(predictions, record),
    )
    there = [None if label is None else fit_label(label, photo.shape) for label in labels]
    overlays = [None if label is None else label_overlay(photo, label, display_palette()) for label in there]
    blank = np.full_like(photo, PAPER)
    tiles = [
        titled(f"{title}: none", blank) if picture is None else titled(title, picture)
        for title, picture in zip(TITLES, (photo, _heat(results, record, photo), *overlays), strict=True)
    ]
    pictures = joined([joined(row, GAP, axis=1) for row in (tiles[:3], tiles[3:])], GAP)
    present = set().union(*(values_of(label) for label in there if label is not None))
    head = titled(record.id, pictures)
    return joined([head, legend(results.index.classes, present, head.shape[1])], GAP)


def _heat(results: Results, record: Record, photo: np.ndarray) -> np.ndarray | None:
    scores = results.cams.read(record.id).scores if record.id in results.cams else np.zeros((0, 1, 1))
    return heat_overlay(photo, scores.max(axis=0)) if len(scores) else None
