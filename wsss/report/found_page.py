"""What `wsss predict` has made of photos, as a page of their overlays: those to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from PIL import Image

from wsss.core.atomic import write_text
from wsss.core.errors import IntegrityError
from wsss.data.palette import display_palette
from wsss.data.render import css_colour
from wsss.predict.folder import PAGE, PAGE_MARK, TABLE, Folder, Row
from wsss.predict.look import RULES
from wsss.report.page import Panel, Swatch, View
from wsss.report.templates import render

WIDTH = 380
"""Narrowest that an overlay is beside another, in pixels."""


@dataclass(frozen=True)
class Entry:
    """A photo of the page: its overlay, and its classes with their fractions of the photo, the largest first."""

    row: Row
    panel: Panel
    shares: tuple[tuple[Swatch, float], ...]


def write_page(folder: Folder) -> Path:
    """Write `index.html` into the folder of predictions, of all photos that have an overlay; return it.

    `Folder.open` has made sure that it replaces nobody's own page. Raises `IntegrityError` for an overlay that is no
    picture.
    """
    rows = [row for row in folder.worst_first() if folder.overlay(row.id).is_file()]
    classes: list[str] = list(folder.settings["classes"])
    entries = [_entry(folder, row, classes) for row in rows]
    seen = {swatch.number: swatch for entry in entries for swatch, _ in entry.shares}
    html = render(
        "found.html",
        ("viewer.js",),
        mark=Markup(PAGE_MARK),
        table=TABLE,
        groups=[
            ("Look at these first", [entry for entry in entries if entry.row.look]),
            ("The others", [entry for entry in entries if not entry.row.look]),
        ],
        count=len(entries),
        swatches=[seen[number] for number in sorted(seen)],
        width=WIDTH,
        rules=RULES,
    )
    write_text(folder.path / PAGE, html)
    return folder.path / PAGE


def _entry(folder: Folder, row: Row, classes: list[str]) -> Entry:
    path = folder.overlay(row.id)
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            width, height = image.size
    except OSError as error:
        raise IntegrityError(path, f"not an overlay ({error})", "delete it, and run wsss predict again") from error
    palette = display_palette()
    areas = [number for number, area in enumerate(row.areas) if area]
    shares = tuple(
        (Swatch(n, classes[n], css_colour(palette[n]) if n else "transparent"), row.areas[n])
        for n in sorted(areas, key=lambda n: -row.areas[n])
    )
    file = f"{path.parent.name}/{quote(path.name)}"
    view = View("Overlay", file, tuple(swatch.number for swatch, _ in shares if swatch.number))
    return Entry(row, Panel("Overlay", "", (view,), width, height), shares)
