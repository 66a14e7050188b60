"""What the student made of a few photos after each epoch, as strips of the gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.core.errors import IntegrityError, UserError
from wsss.core.interrupt import check_stop
from wsss.data.images import load_mask
from wsss.data.index import IGNORE, Record
from wsss.data.render import fit, label_overlay
from wsss.data.size import fit_label
from wsss.report.page import Strip, View
from wsss.report.painter import LEARNED, Painter
from wsss.report.pictures import save_picture
from wsss.report.ranking import classes_in, values_of
from wsss.stores.snapshots import epochs_of, shown, snapshot_file

EPOCHS = 10
"""Most epochs in a strip."""
WIDTH = 240


def draw_strips(painter: Painter, epochs: Path) -> tuple[Strip, ...]:
    """Draw the photos that were followed: photo, its labels, then the mask after each epoch of the folder `epochs`.

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
    names = results.index.classes
    photo = fit(results.masked.photos.image(record), WIDTH)
    taught = results.taught(record)
    learned = {LEARNED.capitalize(): results.label(taught, record)} if taught is not results.pseudo else {}
    stores = [store for store in results.labels if not (learned and store is results.pseudo)]
    labels = learned | {store.source.capitalize(): results.label(store, record) for store in stores}
    labels |= {f"Epoch {epoch}": _read(epochs, epoch, record, len(names)) for epoch in chosen}
    there = {name: label for name, label in labels.items() if label is not None}
    classes = {name: classes_in(label) for name, label in there.items()}
    pictures = {"Photo": photo}
    for name, label in there.items():
        pictures[name] = label_overlay(photo, fit_label(label, photo.shape), painter.palette)
    tiles = [
        View(name, save_picture(painter.folder, f"strip{row}-{number}", picture), classes.get(name, ()))
        for number, (name, picture) in enumerate(pictures.items())
    ]
    seen = set(record.tags).union(*map(values_of, there.values())) - {IGNORE}
    swatches = tuple(painter.swatch(number) for number in sorted(seen))
    return Strip(record.id, tuple(names[tag] for tag in record.tags), swatches, tuple(tiles), *photo.shape[1::-1])


def _read(folder: Path, epoch: int, record: Record, classes: int) -> np.ndarray:
    """(H, W) uint8 mask of one photo after one epoch. Raises `IntegrityError` if it is missing or does not fit."""
    path = snapshot_file(folder, epoch, record)
    try:
        return load_mask(path, record.size, classes)
    except UserError as error:
        raise IntegrityError(path, error.what, "make it again: dvc repro -f -s distill") from error
