"""Pictures of what a network says while it learns, for `wsss watch`: a small photo, and the answer as grey values."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from wsss.core.live import show_answer
from wsss.data.index import Record

SIDE = 320
"""Pixels of the longer side."""
MASK, HEAT = "mask", "heat"
"""What the grey values are: class numbers, or scores from 0 to 255."""


def show_masks(seen: Iterable[tuple[Record, np.ndarray, np.ndarray]], epoch: int, classes: Sequence[str]) -> None:
    """Show masks (H, W) uint8 of photos (H, W, 3) uint8. Call inside of `core.live.aside`."""
    for record, image, mask in seen:
        show_values(record, image, mask, MASK, epoch, classes)


def show_values(
    record: Record, image: np.ndarray, values: np.ndarray, kind: str, epoch: int, classes: Sequence[str], says: str = ""
) -> None:
    """Show `values` (h, w) uint8 of `kind` for the photo `image` (H, W, 3) uint8; `says`: a line below it."""
    height, width = image.shape[:2]
    part = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * part)), max(1, round(height * part))
    how = Image.Resampling.NEAREST if kind == MASK else Image.Resampling.BILINEAR
    answer = _encoded(Image.fromarray(values).resize(size, how), "PNG")

    def photo() -> bytes:
        return _encoded(Image.fromarray(image).resize(size, reducing_gap=2.0), "JPEG")

    show_answer(record.id, epoch, classes, answer, photo, kind=kind, says=says)


def _encoded(image: Image.Image, form: str) -> bytes:
    made = io.BytesIO()
    image.save(made, form)
    return made.getvalue()
