"""A few strips of pictures, of the same photos in every run: `dvc plots diff` lays pictures of one path side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from wsss.core.atomic import atomic_dir
from wsss.core.interrupt import check_stop
from wsss.data.images import voc_palette
from wsss.data.index import Record
from wsss.report.cards import Results
from wsss.report.ranking import evenly
from wsss.report.render import fit, fit_label, heat_overlay, label_overlay

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
            picture = Image.fromarray(strip(results, records[place]))
            picture.save(folder / f"{number:02}.jpg", quality=QUALITY)
    return len(places)


def strip(results: Results, record: Record) -> np.ndarray:
    """Photo, CAM, pseudo-label, prediction and mask in a row, (h, 5·w + 4·GAP, 3) uint8; what is not there is blank."""
    photo = fit(results.masked.photos.image(record), WIDTH)
    palette = voc_palette()
    tiles = [photo, np.full_like(photo, PAPER)]
    if record.id in results.cams:
        scores = results.cams.read(record.id).scores
        tiles[1] = heat_overlay(photo, scores.max(axis=0)) if len(scores) else tiles[1]
    labels = [results.label(store, record) for store in (results.pseudo, results.predictions)]
    for label in (*labels, results.masked.mask(record)):
        blank = np.full_like(photo, PAPER)
        tiles.append(blank if label is None else label_overlay(photo, fit_label(label, photo.shape), palette))
    gap = np.full((len(photo), GAP, 3), PAPER, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)
