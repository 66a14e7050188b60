"""The page that people judge results by: what every stage made of a photo, side by side, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pydantic import Field

from wsss.core.atomic import write_text
from wsss.core.folders import atomic_dir
from wsss.core.params import Settings, unit
from wsss.core.words import counted
from wsss.data.index import Index, Record, Split
from wsss.data.render import HEAT_STOPS, css_colour
from wsss.report.cards import Results
from wsss.report.class_table import class_table
from wsss.report.interval import FILE as INTERVAL
from wsss.report.interval import Interval
from wsss.report.last_words import Verdict
from wsss.report.page import Card, Section, page_html
from wsss.report.painter import Painter
from wsss.report.photos import Ranking, each, photos_csv, rank_photos
from wsss.report.plots import draw_plots
from wsss.report.ranking import evenly, histogram, worst_and_spread
from wsss.report.scores import Source, final_row
from wsss.report.strips import draw_strips
from wsss.stores.imported import ImportedStore

NAMED = 25
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
        description="recipe that the settings began with, or another name: on top of the page, with what differs",
    )


def build_gallery(
    results: Results,
    sources: Sequence[Source],
    settings: GallerySettings,
    out: Path,
    tables: Path | None = None,
    epochs: Path | None = None,
    verdict: Verdict | None = None,
    photos: Path | None = None,
    differing: Sequence[tuple[str, str, str]] = (),
    learned: str = "",
    interval: Interval | None = None,
) -> tuple[Section, ...]:
    """Write the folder `out`, `index.html` and its pictures, whole or not at all; return what the page shows.

    `tables` is the folder of the CSV files that are drawn as plots, `epochs` that of the student's masks after each
    epoch, `verdict` the last words; without them there are none. `photos` is the table of all photos, shown or not, if
    one is wanted, `differing` the settings that are not those of the recipe, `learned` the words of `other_labels`,
    `interval` that of the score on top, which is noted beside the page.
    Splits after the first one appear if any store holds a photo of theirs. Same inputs, same bytes.
    """
    index = results.index
    index.split(settings.split)  # its error names the splits there are
    names = sorted(index.splits(), key=lambda name: name != settings.split)
    rankings = [rank_photos(results, name) for name in names]
    sections: list[Section] = []
    with atomic_dir(out) as folder:
        painter = Painter(results, folder, settings.width)
        for ranking in rankings:
            drawn = sum(len(section.cards) for section in sections)
            section = make_section(painter, ranking, settings.images, drawn)
            if section.cards or ranking.split == settings.split:
                sections.append(section)
        legend = [painter.swatch(number) for number in range(len(index.classes))]
        rows = sorted(sources, key=lambda row: row.split != settings.split)
        plots = draw_plots(tables, folder) if tables else ()
        strips = draw_strips(painter, epochs) if epochs else ()
        top = about(index, settings.recipe), differing, final_row(rows, settings.split)
        heat = [css_colour(stop) for stop in HEAT_STOPS]
        classes = class_table(tables, legend, bool(learned)) if tables else None
        if classes and verdict and not verdict.by_masks:
            classes = classes.without_judgement()
        same = compared_with_themselves(results, rows)
        shown = (sections, legend, rows, plots, strips, heat, settings.width)
        html = page_html(*shown, *top, verdict, classes, learned, interval, same)
        if interval is not None:
            write_text(folder / INTERVAL, interval.csv)
        (folder / "index.html").write_bytes(html.encode("utf-8"))
    if photos is not None:
        write_text(photos, photos_csv(index, rankings))
    return tuple(sections)


def compared_with_themselves(results: Results, sources: Sequence[Source]) -> str:
    """What is said of the row of imported labels, where a person has corrected those that it scores; else nothing."""
    splits = [row.split for row in sources if row.source == ImportedStore.source]
    records = [record for record in results.index.records if record.split in splits and record.mask is not None]
    painted = sum(results.by_hand(record) for record in records)
    if not painted:
        return ""
    photos = counted(painted, "photo")
    return (
        f"{ImportedStore.source}: of {photos} these labels were corrected by hand; where the masks are of the same "
        "hand, they are compared with themselves."
    )


def about(index: Index, recipe: str) -> str:
    """One line on a run: its photos, its classes, and the recipe of its settings, if that has a name."""
    photos = ", ".join(f"{len(index.split(name))} {name}" for name in index.splits())
    names = index.classes[1:]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    settings = f" Settings: from recipe {recipe}." if recipe else ""
    return f"Photos: {photos}. Classes: {', '.join(names[:NAMED])}{more}.{settings}"


def make_section(painter: Painter, ranking: Ranking, images: int, drawn: int) -> Section:
    """Choose at most `images` photos of a split, and as many more whose label a person has corrected, and draw them.

    `drawn` cards stand before them.
    """
    results, ranked = painter.results, ranking.ranked
    judge = results.judges.get(ranking.judged)

    def draw(shown: tuple[int, Record, int | None]) -> Card:
        number, record, rank = shown
        return painter.card(number, record, rank, judge, ranking.measured[record.id])

    unranked = [record for record in ranking.unranked if results.has(record)]
    ranks = worst_and_spread(len(ranked), images)
    further = [len(ranked) + place for place in worst_and_spread(len(ranking.others), images - len(ranks))]
    places = evenly(len(unranked), images - len(ranks) - len(further))
    shown = {*ranks, *further}
    # Whoever has corrected a label looks for it, wherever it ranks now.
    painted = [place for place, record in enumerate(ranking.order) if place not in shown and results.by_hand(record)]
    painted = painted[:images]
    chosen: list[tuple[Record, int | None]] = [
        (ranking.order[place], place + 1) for place in sorted(shown.union(painted))
    ]
    chosen += [(unranked[place], None) for place in places]
    numbered = [(number, record, rank) for number, (record, rank) in enumerate(chosen, start=drawn + 1)]
    cards = each(f"gallery: draw {ranking.split}", numbered, draw)
    scores = [found for found, _ in ranked]
    return Section(
        ranking.split,
        ranking.measure,
        ranking.judged,
        len(ranking.measured),
        len(ranked),
        len(ranking.others),
        sum(bool(found.pseudo.missing) for found in ranking.measured.values()),
        len(ranks),
        len(further),
        median(scores) if scores else None,
        tuple(histogram(scores)),
        tuple(cards),
        len(painted),
    )
