"""What the gallery's page says, as plain values, and the page made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wsss.report.agreed import LISTED, agreed_rest
from wsss.report.class_table import ClassTable
from wsss.report.interval import Interval
from wsss.report.last_words import Verdict
from wsss.report.orders import BADGES, orders
from wsss.report.plots import Plot
from wsss.report.scores import Source
from wsss.report.swatch import Swatch
from wsss.report.templates import percent, render

SORTED_BY_ONLY = ("label_score", "confidence")
"""Numbers that nothing is ranked by: only a reader's order brings them to a badge."""
ENDS = {
    "IoU": ("worst", "best"),
    "disagreement": ("most disputed", "least disputed"),
    "coverage": ("least labelled", "most labelled"),
}
"""What the first and the last photo of a measure are."""
HINTS = ("missing", "untagged", "by_hand")
"""What is to be known of a photo's labels, or its tags: a field of a card that a reader may filter by."""


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
    """One place in a card: `views` are pictures to choose from (none: nothing to show); size in pixels. `caption`: what
    stands below them, where it is not the title.
    """

    title: str
    note: str
    views: tuple[View, ...]
    width: int
    height: int
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """One photo: `rank` (1 = worst) and `score` where it has been judged, its panels, the classes in them.

    `label_score`: IoU of the pseudo-label; `coverage`: share of pixels that it labels; `disagreement`: see
    `Results.disagreement`; `confidence`: see `Measured`; None where there is nothing to measure. `missing`: by label
    map, the tags with under 0.1 % of it; `untagged`: see `Measured`; both by name of class. `ignored`: whether any of
    its label maps has pixels of 255. `by_hand`: a person has corrected the label that the student learned from.
    """

    number: int
    id: str
    rank: int | None
    score: float | None
    label_score: float | None
    coverage: float | None
    disagreement: float | None
    confidence: float | None
    missing: tuple[tuple[str, tuple[str, ...]], ...]
    untagged: tuple[tuple[str, float], ...]
    tags: tuple[str, ...]
    panels: tuple[Panel, ...]
    swatches: tuple[Swatch, ...]
    ignored: bool
    by_hand: bool = False

    @property
    def badge(self) -> tuple[str, float] | None:
        """What the photo is judged by, and the number: the first of `BADGES` that it has."""
        found = ((label, getattr(self, field)) for field, (_, label) in BADGES.items() if field not in SORTED_BY_ONLY)
        return next(((label, value) for label, value in found if value is not None), None)


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
    `others` photos have a rank and not this measure; `missing` have a tag with under 0.1 % of the pseudo-label.
    `shown_ranked`, `shown_others`: how many of them have a card; `painted`: how many more, being corrected by hand.
    """

    split: str
    measure: str
    judged: str
    photos: int
    ranked: int
    others: int
    missing: int
    shown_ranked: int
    shown_others: int
    median: float | None
    bins: tuple[int, ...]
    cards: tuple[Card, ...]
    painted: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Titles of the panels that at least one card fills: a column empty throughout is left out."""
        filled = {panel.title for card in self.cards for panel in card.panels if panel.views}
        return tuple(panel.title for panel in (self.cards[0].panels if self.cards else ()) if panel.title in filled)

    @property
    def ends(self) -> tuple[str, str]:
        """What the first and the last rank are."""
        return ENDS.get(self.measure, ("", ""))

    @property
    def count(self) -> str:
        """How many photos there are, and how many of them are on the page."""
        return f"{self.photos} photo{'' if self.photos == 1 else 's'}, {len(self.cards)} shown."

    def describe(self) -> str:
        """What the section shows, and by which rule it was chosen and ordered."""
        if not self.cards:
            many, them = ("1 photo", "it") if self.photos == 1 else (f"{self.photos} photos", "them")
            return f"{many}, and nothing has been made of {them} yet."
        text = self.count
        if self.measure != "IoU":
            text += " No photo has both a mask and a label, so they are"
        if not self.measure:
            return f"{text} sorted by name and not ranked."
        # Photos that are judged by pseudo-labels, and have no mask, begin with those whose label lacks a tag.
        lacking = f"{self.missing} photo{'' if self.missing == 1 else 's'}"
        first = f"tags under 0.1 % first ({lacking}), then by " if self._begins_missing else ""
        if self.measure == "IoU":
            text += f" Ranked by the IoU of their {self.judged}, worst first; median {percent(self.median)}."
        elif self.measure == "coverage":
            what = "the share of pixels that have a pseudo-label"
            text += f" ranked by {first}coverage ({what}), least first; median {percent(self.median)}."
        else:
            two = "prediction and pseudo-label" if self.judged == "prediction" else "pseudo-label and relabelled label"
            what = f"the share of labelled pixels in which {two} differ"
            text += f" ranked by {first}disagreement ({what}), most first; median {percent(self.median)}."
        if self.shown_ranked < self.ranked:
            text += f" Shown are {self._chosen(self.shown_ranked, self.ranked)}"
        if self.shown_others:
            rule = f"{first or 'by '}{'disagreement, then by ' if self._disputed else ''}coverage, least first"
            of = f"{self.shown_others} of {self.others}" if self.shown_others < self.others else str(self.others)
            text += f" {of} without {'a mask' if self.measure == 'IoU' else 'this number'} follow: {rule}."
        rest = len(self.cards) - self.shown_ranked - self.shown_others - self.painted
        text += f" Photos corrected by hand are shown in any case: {self.painted} more." if self.painted else ""
        return f"{text} {rest} without a score follow, sorted by name." if rest else text

    @property
    def _begins_missing(self) -> bool:
        return self.judged == "pseudo-label" and self.missing > 0

    @property
    def _disputed(self) -> bool:
        return any(card.disagreement is not None for card in self.cards)

    def _chosen(self, shown: int, of: int) -> str:
        worst = (shown + 1) // 2
        first, last = ("first", "last") if self._begins_missing and self.measure != "IoU" else self.ends
        spread = f", then {shown - worst} spread evenly over the other {of - worst}, the {last} included"
        return f"the {worst} {first}{spread if shown > worst else ''}."


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
    classes: ClassTable | None = None,
    learned: str = "",
    interval: Interval | None = None,
    same_hand: str = "",
) -> str:
    """The page. All that is given is text: whatever it contains is shown, never run.

    `heat`: CSS colours of the CAM scores 0 to 1; `width`: widest that a picture is, in pixels; `about`: one line
    on the data set; `differing`: see `settings_beside_recipe`; `final`: the score that stands on top; `verdict`: the
    last words, if there are any; `classes`: the IoU of each class, where there are masks; `learned`: of other
    labels than pseudo-labels, see `other_labels`; `interval`: of `final`, if it is known;
    `same_hand`: of a score of labels on masks of the same hand.
    """
    cards = [card for section in sections for card in section.cards]
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
        listed=LISTED,
        rest=agreed_rest(verdict.agreed) if verdict else "",
        orders=orders({field for field in BADGES if any(getattr(card, field) is not None for card in cards)}),
        hints=[name for name in HINTS if any(getattr(card, name) for card in cards)],
        classes=classes,
        weak=[swatch for name in (verdict.weak if verdict else ()) for swatch in swatches if swatch.name == name],
        opens=Counter(swatch.number for card in cards for swatch in card.swatches),
        learned=learned,
        interval=interval,
        same_hand=same_hand,
        titles=[(number, panel.title) for number, panel in enumerate(panels) if panel.title in filled],
    )
