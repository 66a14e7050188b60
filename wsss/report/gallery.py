"""The page that people judge results by: what every stage made of a photo, side by side, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from pydantic import Field

from wsss.core.folders import atomic_dir
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.core.params import Settings, unit
from wsss.data.index import Index, Record, Split
from wsss.data.render import HEAT_STOPS, css_colour
from wsss.report.cards import Painter, Results
from wsss.report.page import Card, Section, Verdict, page_html
from wsss.report.plots import draw_plots
from wsss.report.ranking import evenly, histogram, worst_and_spread
from wsss.report.scores import Source, best_row
from wsss.report.strips import draw_strips

T = TypeVar("T")
R = TypeVar("R")
NAMED = 5
"""Classes that the first lines name; the rest are counted."""


class GallerySettings(Settings):
    """Section `gallery` of params.yaml."""

    images: int = Field(
        default=60,
        ge=1,
        description="most photos shown of each split: half the worst, half spread over the rest",
        json_schema_extra=unit("photos"),
    )
    width: int = Field(
        default=320, ge=64, le=2048, description="greatest width of a picture", json_schema_extra=unit("pixels")
    )
    split: Split = Field(default="val", description="split that comes first")
    recipe: str = Field(
        default="",
        max_length=200,
        description="recipe that the settings began with, or another name for them: on top of the page",
    )


def build_gallery(
    results: Results,
    sources: Sequence[Source],
    settings: GallerySettings,
    out: Path,
    tables: Path | None = None,
    epochs: Path | None = None,
    verdict: Verdict | None = None,
) -> tuple[Section, ...]:
    """Write the folder `out`, `index.html` and its pictures, whole or not at all; return what the page shows.

    `tables` is the folder of the CSV files that are drawn as plots, `epochs` that of the student's masks after each
    epoch, `verdict` the last words; without them there are none. Splits after the first one appear if any store holds a
    photo of theirs. Same inputs, same bytes.
    """
    index = results.index
    index.split(settings.split)  # its error names the splits there are
    names = sorted(index.splits(), key=lambda name: name != settings.split)
    sections: list[Section] = []
    with atomic_dir(out) as folder:
        painter = Painter(results, folder, settings.width)
        for name in names:
            drawn = sum(len(section.cards) for section in sections)
            section = make_section(painter, name, settings.images, drawn)
            if section.cards or name == settings.split:
                sections.append(section)
        legend = [painter.swatch(number) for number in range(len(index.classes))]
        rows = sorted(sources, key=lambda row: row.split != settings.split)
        plots = draw_plots(tables, folder) if tables else ()
        strips = draw_strips(painter, epochs) if epochs else ()
        top = about(index, settings.recipe), best_row(rows, settings.split, "student")
        heat = [css_colour(stop) for stop in HEAT_STOPS]
        html = page_html(sections, legend, rows, plots, strips, heat, settings.width, *top, verdict)
        (folder / "index.html").write_bytes(html.encode("utf-8"))
    return tuple(sections)


def about(index: Index, recipe: str) -> str:
    """One line on a run: its photos, its classes, and the recipe of its settings, if that has a name."""
    photos = ", ".join(f"{len(index.split(name))} {name}" for name in index.splits())
    names = index.classes[1:]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    settings = f" Settings: from recipe {recipe}." if recipe else ""
    return f"Photos: {photos}. Classes: {', '.join(names[:NAMED])}{more}.{settings}"


def make_section(painter: Painter, split: str, images: int, drawn: int) -> Section:
    """Score all photos of a split, choose at most `images`, draw those. `drawn` cards stand before them.

    A split is ranked by its predictions, or by its pseudo-labels where it has no predictions at all; without a mask,
    by how much its predictions and its pseudo-labels disagree.
    """
    results = painter.results
    records = results.index.split(split)
    stores = (results.predictions, results.pseudo)
    judge = next((store for store in stores if any(record.id in store for record in records)), None)

    def score(record: Record) -> float | None:
        return None if judge is None else results.score(judge, record)

    def draw(shown: tuple[int, Record, int | None]) -> Card:
        number, record, rank = shown
        return painter.card(number, record, rank, judge)

    scored = list(zip(_each(f"gallery: score {split}", records, score), records, strict=True))
    measure, sign = "IoU", 1
    if all(found is None for found, _ in scored):
        disputed = _each(f"gallery: compare {split}", records, results.disagreement)
        scored = list(zip(disputed, records, strict=True))
        measure, sign = "disagreement" if any(found is not None for found in disputed) else "", -1
    ranked = sorted(
        ((found, record.id, record) for found, record in scored if found is not None),
        key=lambda entry: (sign * entry[0], entry[1]),
    )
    unranked = [record for found, record in scored if found is None and results.has(record)]
    ranks = worst_and_spread(len(ranked), images)
    places = evenly(len(unranked), images - len(ranks))
    chosen = [(ranked[rank][2], rank + 1) for rank in ranks] + [(unranked[place], None) for place in places]
    numbered = [(number, record, rank) for number, (record, rank) in enumerate(chosen, start=drawn + 1)]
    cards = _each(f"gallery: draw {split}", numbered, draw)
    scores = [found for found, *_ in ranked]
    return Section(
        split,
        measure,
        "" if judge is None else "prediction" if judge is results.predictions else "pseudo-label",
        len(records),
        len(ranked),
        len(ranks),
        median(scores) if scores else None,
        tuple(histogram(scores)),
        tuple(cards),
    )


def _each(label: str, things: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """`work(thing)` for all, with a progress bar, ending early if a signal asks for it."""
    done = []
    with Progress(label, len(things), "photos") as progress:
        for thing in things:
            check_stop()
            done.append(work(thing))
            progress.advance()
    return done
