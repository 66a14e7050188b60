"""A comparison as a page: the photos that changed most, both labels and the pixels that changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss.core.folders import atomic_dir
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.index import IGNORE
from wsss.data.palette import display_palette
from wsss.data.render import CHANGE_DARK, CHANGE_LIGHT, change_overlay, css_colour, fit, label_overlay
from wsss.data.size import fit_label
from wsss.report.changes import changes
from wsss.report.compare import Comparison
from wsss.report.compare_rows import Photo
from wsss.report.compare_text import BESIDE, INTERVAL, heading, interval, older, other_code, own_photos, signed
from wsss.report.page import Panel, View
from wsss.report.pictures import PICTURES, SHARPNESS, save_picture
from wsss.report.ranking import classes_in, values_of
from wsss.report.swatch import Swatch, make_swatch
from wsss.report.templates import percent, render

WIDTH = 320
MEANING = {
    True: ("B is right, A was wrong", "A was right, B is wrong", "both are wrong, in other ways"),
    False: (None, None, "A and B differ"),
}
"""What the marks of changed pixels say, with masks and without."""
_LIGHT, _DARK = css_colour(CHANGE_LIGHT), css_colour(CHANGE_DARK)
MARKS = (_LIGHT, _DARK, f"repeating-conic-gradient({_LIGHT} 0 25%, {_DARK} 0 50%) 0 0 / 6px 6px")
"""Backgrounds in CSS, in the order of `MEANING`."""


@dataclass(frozen=True)
class Pair:
    """One photo of the page."""

    photo: Photo
    panels: tuple[Panel, ...]
    swatches: tuple[Swatch, ...]


def write_page(found: Comparison, count: int, out: Path) -> Path:
    """Write the folder `out`, `index.html` and its pictures, whole or not at all; return the page."""
    chosen = found.extremes(count)
    groups: list[tuple[str, list[Pair]]] = []
    with atomic_dir(out) as folder, Progress("draw", sum(map(len, chosen.values())), "photos") as progress:
        (folder / PICTURES).mkdir()
        number = 0
        for title, photos in chosen.items():
            pairs = []
            for photo in photos:
                check_stop()
                number += 1
                pairs.append(_pair(found, photo, folder, number))
                progress.advance()
            groups.append((title, pairs))
        html = render(
            "compare.html",
            ("viewer.js",),
            found=found,
            heading=heading(found),
            remark=own_photos(found),
            older=older(found),
            code=other_code(found),
            groups=groups,
            width=WIDTH,
            signed=signed,
            interval=interval,
            beside=BESIDE,
            meaning=INTERVAL if found.mean and found.mean.interval else "",
            meanings=[(mark, text) for mark, text in zip(MARKS, MEANING[bool(found.judged)], strict=True) if text],
        )
        (folder / "index.html").write_bytes(html.encode("utf-8"))
    return out / "index.html"


def _pair(found: Comparison, photo: Photo, folder: Path, number: int) -> Pair:
    palette = display_palette()
    record = photo.record
    picture = fit(found.masked.photos.image(record), SHARPNESS * WIDTH)
    first, second = (maps.label(record) for maps in found.maps)
    mask = found.masked.mask(record)

    def panel(title: str, note: str, drawn: np.ndarray | None, classes: tuple[int, ...] = ()) -> Panel:
        name = f"{number:04}-{title.lower().replace(' ', '-')}"
        views = () if drawn is None else (View(title, save_picture(folder, name, drawn), classes),)
        return Panel(title, note, views, picture.shape[1], picture.shape[0])

    def overlay(label: np.ndarray) -> np.ndarray:
        return label_overlay(picture, fit_label(label, picture.shape), palette)

    def iou(value: float | None) -> str:
        return "" if value is None else f"IoU {percent(value)}"

    moved = change_overlay(picture, fit_label(changes(first, second, mask), picture.shape))
    panels = [
        panel("Photo", "", picture),
        panel("A", iou(photo.a), overlay(first), classes_in(first)),
        panel("B", iou(photo.b), overlay(second), classes_in(second)),
        panel("Changed", percent(photo.changed), moved),
    ]
    if mask is not None:
        panels.append(panel("Ground truth", "", overlay(mask), classes_in(mask)))
    seen = {value for label in (first, second, mask) if label is not None for value in values_of(label)}
    swatches = tuple(make_swatch(value, found.class_names) for value in sorted(seen - {IGNORE}))
    return Pair(photo, tuple(panels), swatches)
