"""What the gallery's page says, as plain values, and the page made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsss.report.plots import Plot
from wsss.report.scores import Source
from wsss.report.swatch import Swatch
from wsss.report.templates import percent, render

ORDERS = (
    ("score", "iou 1", "IoU, worst first"),
    ("score", "iou -1", "IoU, best first"),
    ("disagreement", "disagreement -1", "disagreement, most first"),
    ("disagreement", "disagreement 1", "disagreement, least first"),
    ("coverage", "coverage 1", "coverage, least first"),
    ("coverage", "coverage -1", "coverage, most first"),
    ("confidence", "confidence 1", "confidence, least first"),
    ("confidence", "confidence -1", "confidence, most first"),
)
"""Orders a reader may choose: the field of a card, the script's name for the order, and ours."""
BY_NAME = ("name 1", "name")
ENDS = {
    "IoU": ("worst", "best"),
    "disagreement": ("most disputed", "least disputed"),
    "coverage": ("least labelled", "most labelled"),
}
"""What the first and the last photo of a measure are."""


@dataclass(frozen=True)
class View:
    """One picture file of a panel, with the name under which the panel offers it, and the `classes` that are in colour,
    the largest first.
    """

    name: str
    file: str
    classes: tuple[int, ...] = ()


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

    `coverage`: share of pixels that the pseudo-label labels; `disagreement`: see `Results.disagreement`; `confidence`:
    see `Measured`; None where there is nothing to measure. `ignored`: whether any of its label maps has pixels of 255.
    """

    number: int
    id: str
    rank: int | None
    score: float | None
    coverage: float | None
    disagreement: float | None
    confidence: float | None
    tags: tuple[str, ...]
    panels: tuple[Panel, ...]
    swatches: tuple[Swatch, ...]
    ignored: bool


@dataclass(frozen=True)
class Strip:
    """The student's masks of photo `id` epoch by epoch, and the classes in it; size of each tile in pixels."""

    id: str
    tags: tuple[str, ...]
    swatches: tuple[Swatch, ...]
    tiles: tuple[View, ...]
    width: int
    height: int


@dataclass(frozen=True)
class Section:
    """One split: of `photos`, `ranked` have a `measure`, in `bins` by tenths, with this `median`.

    `measure`: ``IoU`` of what `judged` names; or, where no photo has one, ``disagreement`` or ``coverage``; or nothing.
    """

    split: str
    measure: str
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

    @property
    def ends(self) -> tuple[str, str]:
        """What the first and the last rank are."""
        return ENDS.get(self.measure, ("", ""))

    def describe(self) -> str:
        """What the section shows, and by which rule it was chosen and ordered."""
        if not self.cards:
            return f"{self.photos} photos, and nothing has been made of them yet."
        text = f"{self.photos} photos, {len(self.cards)} shown."
        if self.measure != "IoU":
            text += " No photo has both a mask and a label, so they are"
        if not self.measure:
            return f"{text} sorted by name and not ranked."
        if self.measure == "IoU":
            text += f" Ranked by the IoU of their {self.judged}, worst first; median {percent(self.median)}."
        elif self.measure == "coverage":
            what = "the share of pixels that have a pseudo-label"
            text += f" ranked by coverage ({what}), least first; median {percent(self.median)}."
        else:
            two = "prediction and pseudo-label" if self.judged == "prediction" else "pseudo-label and relabelled label"
            what = f"the share of labelled pixels in which {two} differ"
            text += f" ranked by disagreement ({what}), most first; median {percent(self.median)}."
        if self.shown_ranked < self.ranked:
            worst = (self.shown_ranked + 1) // 2
            spread = self.shown_ranked - worst
            first, last = self.ends
            text += f" Shown are the {worst} {first}"
            others = self.ranked - worst
            text += f", then {spread} spread evenly over the other {others}, the {last} included." if spread else "."
        rest = len(self.cards) - self.shown_ranked
        return f"{text} {rest} without a score follow, sorted by name." if rest else text


@dataclass(frozen=True)
class Verdict:
    """`headline`: usable, usable as a first draft, usable in part, or not usable; `reasons`: why, and what to do."""

    headline: str
    reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        """For a terminal."""
        return "\n".join([f"verdict: {self.headline}", *(f"  {reason}" for reason in self.reasons)])


def page_html(
    sections: Sequence[Section],
    swatches: Sequence[Swatch],
    sources: Sequence[Source],
    plots: Sequence[Plot],
    strips: Sequence[Strip],
    heat: Sequence[str],
    width: int,
    about: str = "",
    differing: Sequence[tuple[str, str, str]] = (),
    final: Source | None = None,
    verdict: Verdict | None = None,
) -> str:
    """The page. All that is given is text: whatever it contains is shown, never run.

    `heat`: CSS colours of the CAM scores 0 to 1; `width`: widest that a picture is, in pixels; `about`: one line
    on the data set; `differing`: see `settings_beside_recipe`; `final`: the score that stands on top; `verdict`: the
    last words, if there are any.
    """
    filled = {title for section in sections for title in section.columns}
    panels = next((section.cards[0].panels for section in sections if section.cards), ())
    return render(
        "gallery.html",
        ("viewer.js", "gallery.js"),
        sections=sections,
        swatches=swatches,
        sources=sources,
        plots=plots,
        strips=strips,
        relabelled=any(tile.name == "Relabelled" for strip in strips for tile in strip.tiles),
        heat=heat,
        width=width,
        about=about,
        differing=differing,
        final=final,
        verdict=verdict,
        orders=orders(sections),
        titles=[(number, panel.title) for number, panel in enumerate(panels) if panel.title in filled],
    )


def orders(sections: Sequence[Section]) -> list[tuple[str, str]]:
    """Names and labels of the orders to choose from; the first is the one in which the page comes."""
    cards = [card for section in sections for card in section.cards]
    known = {name for name, *_ in ORDERS if any(getattr(card, name) is not None for card in cards)}
    found = [(key, label) for name, key, label in ORDERS if name in known]
    return [*found, BY_NAME]
