"""What the gallery's page says, as plain values, and the page made of them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsss.core.errors import IntegrityError, UserError
from wsss.report.plots import Plot

SOURCE_COLUMNS = (
    *("source", "split", "images", "tags_used", "threshold", "multiscale", "crf", "collapsed"),
    *("miou", "miou_labelled", "boundary_miou", "coverage"),
)
"""Columns of `reports/sources.csv`; the last four are fractions in [0, 1] or empty."""


@dataclass(frozen=True)
class Swatch:
    """A class in a legend: id, name, colour as ``#rrggbb``, and its IoU in one photo where that is known."""

    number: int
    name: str
    colour: str
    iou: float | None = None


@dataclass(frozen=True)
class View:
    """One picture file of a panel, with the name under which the panel offers it."""

    name: str
    file: str


@dataclass(frozen=True)
class Panel:
    """One place in a card: `views` are pictures to choose from (none: nothing to show); size in pixels."""

    title: str
    note: str
    views: tuple[View, ...]
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """One photo: `rank` (1 = worst) and `score` where it has been judged, its panels, the classes in them.

    `ignored`: whether any of its label maps has pixels of 255.
    """

    number: int
    id: str
    rank: int | None
    score: float | None
    tags: tuple[str, ...]
    panels: tuple[Panel, ...]
    swatches: tuple[Swatch, ...]
    ignored: bool


@dataclass(frozen=True)
class Section:
    """One split: `judged` names what was scored; of `photos`, `ranked` have a score, in `bins` by tenths."""

    split: str
    judged: str
    photos: int
    ranked: int
    shown_ranked: int
    median: float | None
    bins: tuple[int, ...]
    cards: tuple[Card, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Titles of the panels that at least one card fills: a column empty throughout is left out."""
        filled = {panel.title for card in self.cards for panel in card.panels if panel.views}
        return tuple(panel.title for panel in (self.cards[0].panels if self.cards else ()) if panel.title in filled)

    def describe(self) -> str:
        """What the section shows, and by which rule it was chosen and ordered."""
        if not self.cards:
            return f"{self.photos} photos, and nothing has been made of them yet."
        text = f"{self.photos} photos, {len(self.cards)} shown."
        if not self.ranked:
            return f"{text} No photo has both a mask and a label, so they are sorted by name and not ranked."
        text += f" Ranked by the IoU of their {self.judged}, worst first; median {percent(self.median)}."
        if self.shown_ranked < self.ranked:
            worst = (self.shown_ranked + 1) // 2
            spread = self.shown_ranked - worst
            text += f" Shown are the {worst} worst"
            others = self.ranked - worst
            text += f", then {spread} spread evenly over the other {others}, the best included." if spread else "."
        rest = len(self.cards) - self.shown_ranked
        return f"{text} {rest} without a score follow, sorted by name." if rest else text


@dataclass(frozen=True)
class Source:
    """One row of the score table."""

    source: str
    split: str
    images: str
    tags_used: str
    threshold: str
    multiscale: str
    crf: str
    collapsed: str
    miou: float | None
    miou_labelled: float | None
    boundary_miou: float | None
    coverage: float | None


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read `reports/sources.csv`. Raises `UserError` if missing, `IntegrityError` if it is something else."""
    fix = "run the stage that writes it: dvc repro evaluate"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(path, "no such file", fix) from error
    except UnicodeDecodeError as error:
        raise IntegrityError(path, "is not UTF-8 text", fix) from error
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header, *rows = list(lines) or [[]]
        if tuple(header) != SOURCE_COLUMNS:
            raise ValueError(f"found columns {header}, expected {list(SOURCE_COLUMNS)}")
        return tuple(_source(row) for row in rows)
    except (ValueError, csv.Error) as error:
        raise IntegrityError(path, f"is not the table of scores ({error})", fix) from error


def page_html(
    sections: Sequence[Section],
    swatches: Sequence[Swatch],
    sources: Sequence[Source],
    plots: Sequence[Plot],
    heat: Sequence[str],
    width: int,
) -> str:
    """The page. All that is given is text: whatever it contains is shown, never run.

    `heat`: CSS colours of the CAM scores 0 to 1; `width`: widest that a picture is, in pixels.
    """
    environment = Environment(
        loader=PackageLoader("wsss.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, csp=_csp_hash)
    values = {
        "sections": sections,
        "swatches": swatches,
        "sources": sources,
        "plots": plots,
        "heat": heat,
        "width": width,
    }
    return environment.get_template("gallery.html").render(values)


def percent(value: float | None, digits: int = 1) -> str:
    """``54.2 %`` with a space that does not break, or a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}\u00a0%"


def _source(row: Sequence[str]) -> Source:
    if len(row) != len(SOURCE_COLUMNS):
        raise ValueError(f"found a row of {len(row)} cells, expected {len(SOURCE_COLUMNS)}")
    source, split, images, tags_used, threshold, multiscale, crf, collapsed = row[:8]
    miou, labelled, boundary, coverage = (_fraction(cell) for cell in row[8:])
    made = tags_used, threshold, multiscale, crf, collapsed
    return Source(source, split, images, *made, miou, labelled, boundary, coverage)


def _fraction(text: str) -> float | None:
    if text == "" or text.lower() == "nan":
        return None
    value = float(text)
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError(f"found {text!r}, expected a fraction from 0 to 1, or nothing")
    return value


def _csp_hash(script: str) -> str:
    """The name by which a Content-Security-Policy allows this one script: an injected one would not run."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
