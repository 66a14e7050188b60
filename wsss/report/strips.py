"""What the student made of a few photos after each epoch, as strips of the gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.core.interrupt import check_stop
from wsss.data.index import Record
from wsss.report.cards import Painter, save_picture
from wsss.report.page import Strip, View
from wsss.report.render import fit, fit_label, label_overlay
from wsss.stores.snapshots import epochs_of, read_snapshot, shown

EPOCHS = 10
"""Most epochs in a strip."""
WIDTH = 240


def draw_strips(painter: Painter, epochs: Path) -> tuple[Strip, ...]:
    """Draw the photos that were followed: photo, pseudo-label, then the mask after each epoch of the folder `epochs`.

    Of more than `EPOCHS` the strip shows some spread evenly, the first and the last included.
    """
    numbers = epochs_of(epochs)
    places = np.linspace(0, len(numbers) - 1, min(len(numbers), EPOCHS)).round().astype(int)
    chosen = [numbers[place] for place in places]
    strips = []
    for row, record in enumerate(shown(painter.results.index.split("train")), start=1):
        check_stop()
        strips.append(_strip(painter, row, record, epochs, chosen))
    return tuple(strips)


def _strip(painter: Painter, row: int, record: Record, epochs: Path, chosen: list[int]) -> Strip:
    results = painter.results
    photo = fit(results.masked.photos.image(record), WIDTH)

    def tile(name: str, label: np.ndarray | None) -> View:
        picture = photo if label is None else label_overlay(photo, fit_label(label, photo.shape), painter.palette)
        return View(name, save_picture(painter.folder, f"strip{row}-{len(tiles)}", picture))

    tiles: list[View] = []
    tiles.append(tile("Photo", None))
    if (pseudo := results.label(results.pseudo, record)) is not None:
        tiles.append(tile("Pseudo-label", pseudo))
    for epoch in chosen:
        tiles.append(tile(f"Epoch {epoch}", read_snapshot(epochs, epoch, record, len(results.index.classes))))
    return Strip(record.id, tuple(tiles), photo.shape[1], photo.shape[0])
