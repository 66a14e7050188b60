"""Text over and under pictures: captions and legends, in a font that comes with `wsss`, the same on all machines."""

from __future__ import annotations

import unicodedata
from bisect import bisect
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from wsss.core.packages import package_folder
from wsss.data.index import IGNORE
from wsss.data.palette import display_palette
from wsss.data.render import label_overlay

PAPER, INK, LINE = (255, 255, 255), (26, 28, 32), (90, 90, 96)
SMALLEST, LARGEST, LETTERS = 11, 26, 28
"""Font size in pixels: a line of the picture's width has about so many capital letters."""
ROWS = 4
"""Most rows of a legend; the classes that remain are counted."""
NOT_A_CHARACTER = "\uffff"
"""Drawn as the font draws whatever it does not have."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def caption(text: str, width: int, size: int | None = None) -> np.ndarray:
    """A strip (h, width, 3) uint8 with one line of `text`, cut at its end where it is too long.

    `size`: of the font in pixels, by default according to the width. Signs that the font lacks are left out.
    """
    size = font_size(width) if size is None else size
    image, draw = _sheet(1, width, size)
    _write(draw, size // 3, 0, _cut(_known(text, size), width - 2 * (size // 3), size), size)
    return np.asarray(image)


def legend(classes: Sequence[str], present: Iterable[int], width: int, size: int | None = None) -> np.ndarray:
    """A strip (h, width, 3) uint8 with colour and name of each class in `present`, in rows.

    `classes`: all names, background first; `present`: ids, 255 for "no label". The background has no colour and is not
    named. A class whose name the font cannot write is called by its number.
    """
    size = font_size(width) if size is None else size
    numbers = sorted({int(number) for number in present} - {0})
    box, gap = size, size // 3
    placed: list[tuple[int, int, int, str]] = []
    row, left = 0, gap
    for number in numbers:
        name = _cut(_name(classes, number, size), width - box - 4 * gap, size)
        wide = box + gap + _length(name, size)
        if left > gap and left + wide > width - gap:
            row, left = row + 1, gap
        placed.append((row, left, number, name))
        left += wide + 2 * gap
    hidden = sum(row >= ROWS for row, *_ in placed)
    rest = [f"and {hidden} more"] if hidden else [] if numbers else ["background only"]
    rows = min(row + 1, ROWS) + bool(hidden)
    image, draw = _sheet(rows, width, size)
    for row, left, number, name in placed:
        if row < ROWS:
            top = row * _line(size) + (_line(size) - box) // 2
            patch = np.full((box, box), number, np.uint8)
            palette = display_palette()
            swatch = label_overlay(_grey(box), patch, palette) if number == IGNORE else palette[patch]
            image.paste(Image.fromarray(swatch), (left, top))
            draw.rectangle((left, top, left + box - 1, top + box - 1), outline=LINE)
            _write(draw, left + box + gap, row, name, size)
    for text in rest:
        _write(draw, gap, rows - 1, _cut(text, width - 2 * gap, size), size)
    return np.asarray(image)


def font_size(width: int) -> int:
    """In pixels, for a picture of `width` columns."""
    return min(max(round(width / LETTERS), SMALLEST), LARGEST)


def _sheet(rows: int, width: int, size: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, rows * _line(size)), PAPER)
    return image, ImageDraw.Draw(image)


def _line(size: int) -> int:
    return size + 2 * (size // 3)


def _grey(side: int) -> np.ndarray:
    return np.full((side, side, 3), 128, np.uint8)


def _name(classes: Sequence[str], number: int, size: int) -> str:
    if number == IGNORE:
        return "no label"
    text = _one_line(classes[number]) if number < len(classes) else ""
    return text if text and _known(text, size) == text else f"class {number}"


def _one_line(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _known(text: str, size: int) -> str:
    """`text` on one line, without the signs that the font lacks."""
    return "".join(sign for sign in _one_line(text) if _has(sign, size)).strip()


@cache
def _has(sign: str, size: int) -> bool:
    font = _font(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return sign.isascii() and sign.isprintable()
    if unicodedata.category(sign)[0] == "C":  # controls and lone surrogates, which cannot be encoded
        return False
    return bytes(font.getmask(sign)) != bytes(font.getmask(NOT_A_CHARACTER))


@cache
def _font(size: int) -> Font:
    if features.check("freetype2"):
        path = _font_file()
        return ImageFont.truetype(path, size) if path.is_file() else ImageFont.load_default(size)
    return ImageFont.load_default()  # a bitmap font of one size


def _font_file() -> Path:
    """DejaVu Sans, which matplotlib brings along: Pillow's own font has no letter with an accent."""
    return (package_folder("matplotlib") or Path()) / "mpl-data/fonts/ttf/DejaVuSans.ttf"


def _length(text: str, size: int) -> int:
    return int(np.ceil(_font(size).getlength(text)))


def _cut(text: str, width: int, size: int) -> str:
    """As much of `text` as `width` pixels hold, with dots where its end is missing."""
    if len(text) <= width and _length(text, size) <= width:  # hardly a sign is narrower than a pixel
        return text
    fitting = bisect(range(min(len(text), max(width, 0))), width, key=lambda end: _length(f"{text[:end]}...", size)) - 1
    return f"{text[:fitting].rstrip()}..." if fitting > 0 else ""


def _write(draw: ImageDraw.ImageDraw, left: int, row: int, text: str, size: int) -> None:
    draw.text((left, row * _line(size) + size // 3 - size // 8), text, fill=INK, font=_font(size))
