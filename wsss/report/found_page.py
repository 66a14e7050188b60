"""What `wsss predict` has made of photos, as a page of photos and overlays: those to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from PIL import Image

from wsss.core.atomic import write_text
from wsss.core.errors import IntegrityError
from wsss.data.index import IGNORE
from wsss.predict.doubted import Doubted
from wsss.predict.folder import PAGE, PAGE_MARK, TABLE, Folder
from wsss.predict.look import RULES, TWICE
from wsss.predict.made import COLOURED, LABELS, PHOTOS, classes_shown
from wsss.predict.note import read_note
from wsss.predict.table import Row
from wsss.report.orders import orders
from wsss.report.origin import made_by
from wsss.report.swatch import Swatch, make_swatch
from wsss.report.templates import render

WIDTH = 560
"""Narrowest that a photo with its overlay is beside others, in pixels."""
NARROWEST = 150
"""Narrowest that one picture of a photo is, in pixels: three stand in a row of `WIDTH`, two on a telephone."""


@dataclass(frozen=True)
class Entry:
    """A photo of the page: titles and addresses of its pictures and the classes that each shows, their size in pixels,
    and its classes with their fractions of the photo, the largest first. `others`: classes that only its pseudo-label
    shows; `ignored`: whether this ignores pixels.
    """

    row: Row
    pictures: tuple[tuple[str, str, tuple[int, ...]], ...]
    width: int
    height: int
    shares: tuple[tuple[Swatch, float], ...]
    others: tuple[Swatch, ...] = ()
    ignored: bool = False


def write_page(folder: Folder, doubted: Doubted | None = None) -> Path:
    """Write `index.html` into the folder of predictions, of all photos that have pictures; return it. `doubted`: the
    classes that a verdict doubts.

    `Folder.open` has made sure that it replaces nobody's own page. Raises `IntegrityError` for a photo that is no
    picture.
    """
    rows = [row for row in folder.worst_first() if folder.has_pictures(row.id)]
    classes: list[str] = list(folder.settings["classes"])
    entries = [_entry(folder, row, classes) for row in rows]
    seen = {swatch.number: swatch for entry in entries for swatch, _ in entry.shares}
    ignored = any(entry.ignored for entry in entries)
    made = made_by(read_note(folder.path), folder.settings, folder.worst_first())
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
        ignored=ignored,
        made=made,
        heeds="tags" in folder.settings,
        edited=any(entry.row.edited for entry in entries),
        width=WIDTH,
        narrowest=NARROWEST,
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
    shares = tuple(
        (make_swatch(number, classes), area)
        for number, area in sorted(enumerate(row.areas), key=lambda each: -each[1])
        if area
    )
    masked = tuple(swatch.number for swatch, _ in shares)
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {"Photo": (PHOTOS, ()), "Mask": (COLOURED, masked)}
    label = folder.picture(LABELS, row.id)
    if row.look and label.is_file():
        kinds["Pseudo-label"] = LABELS, _label_classes(label, len(classes))
    labelled = kinds.get("Pseudo-label", ("", ()))[1]
    pictures = tuple(
        (title, f"{kind}/{quote(photo.name)}", tuple(number for number in shown if number))
        for title, (kind, shown) in kinds.items()
    )
    others = tuple(make_swatch(number, classes) for number in labelled if number not in (*masked, IGNORE))
    return Entry(row, pictures, width, height, shares, others, IGNORE in labelled)


def _label_classes(path: Path, classes: int) -> tuple[int, ...]:
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            return classes_shown(image, classes)
    except OSError:
        return ()  # the picture itself shows that it is none
