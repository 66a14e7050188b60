"""What each step of a run made of one photo, by its stores: CAMs, labels, the student before and after its CRF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsss.correct.labels import foreground_scores, upsample
from wsss.data.index import IGNORE, Record
from wsss.data.size import fit_label
from wsss.evaluation.counting import CAMS, predicted_sources
from wsss.evaluation.thresholds import BINS, cut
from wsss.report.cards import FBE
from wsss.report.changes import BETTER, WORSE, changed, changes
from wsss.report.pixel import DIGITS, STRETCHED, Place, named, values_at
from wsss.report.ranking import class_ious, exchanged, mean_iou
from wsss.stores.cams import CamStore
from wsss.stores.labels import LabelStore, PredictionStore, PseudoStore

STUDENT, BEFORE = "student", "before"
"""What the rows of the student begin with; of relabelled and of corrected labels, the array of what they were."""


@dataclass(frozen=True)
class Map:
    """A CAM: the `mean` of its scores, of which the highest is 1; its `peak`, as the network gave it, None where it is
    not kept; the fraction of the photo that is `above` the threshold once the map is stretched.
    """

    mean: float
    peak: float | None
    above: float

    def __str__(self) -> str:
        peak = "" if self.peak is None else f" {self.peak:.4g}"
        return f"mean {self.mean:.2f} of its peak{peak}, {percents(self.above)} above the threshold"


@dataclass(frozen=True)
class Fractions:
    """Of a photo's pixels, by class, the largest first and tags always; what is ignored comes last."""

    fractions: Mapping[str, float]

    def __str__(self) -> str:
        return ", ".join(f"{name} {percents(part)}" for name, part in self.fractions.items())


@dataclass(frozen=True)
class Change:
    """Fraction of the photo's pixels that have become others `since` another step. Of all pixels, those for the
    `better` and for the `worse`, None without a mask; `most`: the commonest exchange.
    """

    since: str
    changed: float
    better: float | None
    worse: float | None
    most: str

    def __str__(self) -> str:
        text = f"{percents(self.changed)} of the pixels since {self.since}"
        if self.better is not None and self.worse is not None:
            text += f", {percents(self.better)} for the better, {percents(self.worse)} for the worse"
        return f"{text}; most: {self.most}" if self.most else text


@dataclass(frozen=True)
class Step:
    """One step: its `name` as the table of scores calls it, its `label` (H, W) uint8, and what is known of both.

    Of CAMs, `maps` are those of the classes `map_names`, (h, w) float32 in [0, 1], with their numbers in `mapped`, and
    the label is what is left when they are cut at the threshold. `iou`: mean over the photo's classes, None without a
    mask. `at`: of a pixel.
    """

    name: str
    label: np.ndarray
    iou: float | None
    pixels: Fractions
    change: Change | None = None
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    mapped: Mapping[str, Map] = field(default_factory=dict)
    at: Mapping[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> dict[str, Any]:
        """As plain values, without what there is not."""
        judged = {} if self.iou is None else {"iou": round(self.iou, DIGITS)}
        changed = {} if self.change is None else {"changed": self.change}
        pixel = {"pixel": dict(self.at)} if self.at else {}
        maps = {"maps": dict(self.mapped)} if self.mapped else {}
        return maps | judged | {"pixels": self.pixels} | changed | pixel


@dataclass(frozen=True)
class Judge:
    """What steps of a photo are judged by. `mask`: (H, W) uint8 of its own size, or None; `threshold`: the number of
    that at which stretched CAMs are cut; `there`: a pixel to say more of.
    """

    record: Record
    classes: Sequence[str]
    mask: np.ndarray | None
    threshold: int
    there: Place | None = None

    def cams(self, store: CamStore) -> Iterator[Step]:
        """The maps before and after OSTE's modules, as far as `store` has them."""
        name, found = self.record.id, store.read(self.record.id)
        names = [named(self.classes, int(each)) for each in found.classes]
        at = {} if self.there is None else values_at(store.group(name), name, self.classes, self.there)
        size = self.record.size if self.mask is None else (self.mask.shape[0], self.mask.shape[1])
        for source, key, maps in zip(CAMS, ("raw", "scores"), (found.raw, found.scores), strict=True):
            if maps is None:
                continue
            scores = foreground_scores(upsample(maps, size))
            label = cut(scores, found.classes, self.threshold)
            above = (scores >= self.threshold / BINS).mean((1, 2))
            peaks = [round(peak, DIGITS) for peak in found.peaks.tolist()] if key == "scores" else [None] * len(names)
            numbers = zip(maps.mean((1, 2)).tolist(), peaks, above.tolist(), strict=True)
            mapped = [Map(round(mean, DIGITS), peak, round(part, DIGITS)) for mean, peak, part in numbers]
            pixel = {each: at[each] for each in (key, f"{STRETCHED} {key}") if each in at}
            by_name = dict(zip(names, maps, strict=True)), dict(zip(names, mapped, strict=True))
            yield Step(source, label, self._iou(label), self._pixels(label), None, *by_name, pixel)

    def labels(self, store: LabelStore) -> Iterator[Step]:
        """The label in `store` and those before it, each with what has changed since the one before."""
        name, group = self.record.id, store.group(self.record.id)
        at = {} if self.there is None else values_at(group, name, self.classes, self.there)
        before: tuple[str, np.ndarray] | None = None
        if BEFORE in group:
            before = "the label before", store.label(name, BEFORE)
        for row, version in _versions(store, name).items():
            label = store.label(name, version)
            change = None if before is None else self._change(*before, label)
            pixel: dict[str, Any] = {key: at[key] for key in ("label", "confidence") if key in at}
            if at and version != "label":
                pixel = {"label": at["earlier"][version]}
            yield Step(row, label, self._iou(label), self._pixels(label), change, at=pixel)
            before = row, label

    def _iou(self, label: np.ndarray) -> float | None:
        if self.mask is None:
            return None
        return mean_iou(class_ious(fit_label(label, self.mask.shape), self.mask, len(self.classes)))

    def _pixels(self, label: np.ndarray) -> Fractions:
        counts = np.bincount(label.ravel(), minlength=256)
        shown = sorted({*np.flatnonzero(counts[:IGNORE]).tolist(), *self.record.tags}, key=lambda one: -counts[one])
        parts = {named(self.classes, each): round(float(counts[each] / label.size), DIGITS) for each in shown}
        ignored = round(float(counts[IGNORE] / label.size), DIGITS)
        return Fractions(parts | ({"ignored": ignored} if ignored else {}))

    def _change(self, since: str, first: np.ndarray, second: np.ndarray) -> Change:
        better = worse = None
        if self.mask is not None:
            found = changes(fit_label(first, self.mask.shape), fit_label(second, self.mask.shape), self.mask)
            better, worse = (round(float((found == kind).mean()), DIGITS) for kind in (BETTER, WORSE))
        pair = exchanged(first, second)
        most = " → ".join(named(self.classes, number) for number in pair) if pair else ""
        return Change(since, round(changed(first, second), DIGITS), better, worse, most)


def _versions(store: LabelStore, name: str) -> dict[str, str]:
    """By the name of its row in the table of scores, the array of each step that `store` has of photo `name`; of
    predictions the student's alone.
    """
    if isinstance(store, PredictionStore):
        return {row: array for row, array in predicted_sources(store).items() if row.startswith(STUDENT)}
    source = store.source if isinstance(store, PseudoStore) else store.stage
    first = (
        {f"{source} by thresholds alone": FBE} if FBE in store.versions(name) else {}
    )  # corrected later, by mixtures
    return first | {source: "label"}


def percents(part: float) -> str:
    """``12.34 %`` of a fraction."""
    return f"{100 * part:.2f} %"
