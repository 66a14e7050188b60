"""What `wsss predict` has made of photos, as a page of photos and overlays: those to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from PIL import Image

from wsss.core.atomic import write_text
from wsss.core.errors import IntegrityError
from wsss.predict.doubted import Doubted
from wsss.predict.folder import PAGE, PAGE_MARK, TABLE, Folder
from wsss.predict.look import RULES, TWICE
from wsss.predict.made import COLOURED, LABELS, PHOTOS
from wsss.predict.table import Row
from wsss.report.orders import orders
from wsss.report.swatch import Swatch, make_swatch
from wsss.report.templates import render

WIDTH = 560
"""Narrowest that a photo with its overlay is beside others, in pixels."""


@dataclass(frozen=True)
class Entry:
    """A photo of the page: titles and addresses of its pictures, their size in pixels, and its classes with their
    fractions of the photo, the largest first.
    """

    row: Row
    pictures: tuple[tuple[str, str], ...]
    width: int
    height: int
    shares: tuple[tuple[Swatch, float], ...]


def write_page(folder: Folder, doubted: Doubted | None = None) -> Path:
    """Write `index.html` into the folder of predictions, of all photos that have pictures; return it. `doubted`: what
    `Folder.doubt` returned.

    `Folder.open` has made sure that it replaces nobody's own page. Raises `IntegrityError` for a photo that is no
    picture.
    """
    rows = [row for row in folder.worst_first() if folder.has_pictures(row.id)]
    classes: list[str] = list(folder.settings["classes"])
    entries = [_entry(folder, row, classes) for row in rows]
    seen = {swatch.number: swatch for entry in entries for swatch, _ in entry.shares}
    named = any(entry.row.look for entry in entries)
    html = render(
        "found.html",
        ("viewer.js", "gallery.js", "marks.js"),
        mark=Markup(PAGE_MARK),
        table=TABLE,
        groups=[
            ("Look at these first", [entry for entry in entries if entry.row.look]),
            ("The others" if named else "None is conspicuous", [entry for entry in entries if not entry.row.look]),
        ],
        count=len(entries),
        swatches=[seen[number] for number in sorted(seen)],
        orders=orders({"confidence"}),
        edited=any(entry.row.edited for entry in entries),
        width=WIDTH,
        rules=RULES,
        twice=TWICE,
        doubted="" if doubted is None else doubted.text,
    )
    write_text(folder.path / PAGE, html)
    return folder.path / PAGE


def _entry(folder: Folder, row: Row, classes: list[str]) -> Entry:
    photo = folder.picture(PHOTOS, row.id)
    try:
        with Image.open(photo, formats=("JPEG",)) as image:
            width, height = image.size
    except OSError as error:
        raise IntegrityError(photo, f"not a photo ({error})", "delete it, and run wsss predict again") from error
    kinds = {"Photo": PHOTOS, "Mask": COLOURED}
    if row.look and folder.picture(LABELS, row.id).is_file():
        kinds["Pseudo-label"] = LABELS
    pictures = tuple((title, f"{kind}/{quote(photo.name)}") for title, kind in kinds.items())
    shares = tuple(
        (make_swatch(number, classes), area)
        for number, area in sorted(enumerate(row.areas), key=lambda each: -each[1])
        if area
    )
    return Entry(row, pictures, width, height, shares)
