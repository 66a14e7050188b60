"""The pictures of one photo of the gallery, and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wsss.data.index import IGNORE, Record
from wsss.data.palette import display_palette
from wsss.data.render import fit, heat_overlay, label_overlay
from wsss.data.size import fit_label
from wsss.report.cards import FBE, OSTE, PREDICTION, PSEUDO, Results
from wsss.report.measures import Measured
from wsss.report.page import Card, Panel, View
from wsss.report.pictures import PICTURES, SHARPNESS, Picture, save_picture
from wsss.report.ranking import classes_in, exchanged, specks, values_of
from wsss.report.swatch import Swatch, make_swatch
from wsss.report.templates import percent
from wsss.stores.labels import LabelStore, RelabelledStore

LEARNED, HAND = "label learned from", "corrected by hand"
"""What stands in for a pseudo-label: from anywhere else, or from a person."""
WITHOUT_CRF = "before the CRF"
WITHOUT_TAGS = "made without tags"
"""Beside a prediction: it is scored as the network makes it alone, where `wsss predict` may know the photo's tags."""
NAMES = {RelabelledStore.source: "relabelled by the first student"}
"""What the pictures of other stores than that of pseudo-labels are called."""


class Painter:
    """Draws the pictures of photos into `folder`."""

    def __init__(self, results: Results, folder: Path, width: int) -> None:
        self.results, self.folder, self.width = results, folder, SHARPNESS * width
        self.palette = display_palette()
        (folder / PICTURES).mkdir()

    def card(self, number: int, record: Record, rank: int | None, judge: LabelStore | None, found: Measured) -> Card:
        """Draw one photo.

        `number` counts the cards of the page and names their files, so that no id can reach a path; `judge`
        is the store whose labels the photo's split is ranked by, and `found` what was counted in the photo's labels.
        """
        results = self.results
        photo = fit(results.masked.photos.image(record), self.width)
        mask = results.masked.mask(record)
        pseudo, prediction = (results.label(store, record) for store in (results.taught(record), results.predictions))
        judged = prediction if judge is results.predictions else pseudo
        panels = self._panels(number, record, photo, mask, pseudo, prediction, self._notes(record, judge, found))
        ious = results.ious(judged, mask)
        small = {} if judged is None else specks(judged, mask, record.tags)
        seen = set(record.tags).union(*(values_of(label) for label in (pseudo, prediction, mask) if label is not None))
        return Card(
            number,
            record.id,
            rank,
            found.judged.iou,
            found.pseudo.iou,
            found.pseudo.coverage,
            found.disagreement,
            found.confidence,
            self._missing(judge, found, record),
            tuple((self._name(value), area) for value, area in found.untagged),
            tuple(map(self._name, record.tags)),
            panels,
            tuple(
                self.swatch(value, None if ious is None else float(ious[value]), small.get(value, 0))
                for value in sorted(seen - {IGNORE})
            ),
            ignored=IGNORE in seen,
            by_hand=results.by_hand(record),
        )

    def _panels(
        self,
        number: int,
        record: Record,
        photo: np.ndarray,
        mask: np.ndarray | None,
        pseudo: np.ndarray | None,
        prediction: np.ndarray | None,
        notes: tuple[Sequence[str], Sequence[str]],
    ) -> tuple[Panel, ...]:
        before = {} if prediction is None else {WITHOUT_CRF: self.results.before_crf(record)}
        views = self._versions(photo, record, self.results.predictions, prediction, "student", OSTE, OSTE.upper())
        views[1:1] = self._overlays(photo, before)
        taught = self._panel(number, "Pseudo-label", photo, self._pseudo_labels(photo, record, pseudo), *notes[0])
        if self.results.by_hand(record):
            taught = replace(taught, caption=HAND.capitalize())
        return (
            self._panel(number, "Photo", photo, [("Photo", photo, ())]),
            self._panel(number, "CAM", photo, self._heat(photo, record)),
            taught,
            self._panel(number, "Prediction", photo, views, *notes[1]),
            self._panel(number, "Ground truth", photo, self._overlays(photo, {"Ground truth": mask})),
        )

    def _notes(self, record: Record, judge: LabelStore | None, found: Measured) -> tuple[list[str], list[str]]:
        """What stands beside the pseudo-label, and beside the prediction."""
        results, predicted = self.results, record.id in self.results.predictions
        by_prediction = judge is results.predictions
        sure = [] if found.confidence is None else [f"confidence {percent(found.confidence)}, not calibrated"]
        differs = []
        if found.disagreement is not None:
            both = (results.label(store, record) for store in (results.predictions, results.taught(record)))
            share = percent(found.disagreement, 0)
            named = share != percent(0, 0)  # else it is of a few pixels
            whose = self._whose(record, predicted)
            differs = [f"{whose[0]}{share}{whose[1]}{self._instead(results.compared(record, *both)) if named else ''}"]
        beside = [
            *_iou("IoU", found.pseudo.iou),
            *([] if found.pseudo.coverage is None else [f"{percent(found.pseudo.coverage, 0)} labelled"]),
        ]
        if found.relabelled.coverage is not None:
            beside.append(f"{percent(found.relabelled.coverage, 0)} after relabelling")
            beside += _iou("relabelled IoU", found.relabelled.iou)
        beside += [*([] if by_prediction else sure), *([] if predicted else differs)]
        before = "" if found.before_crf is None else f" ({percent(found.before_crf)} {WITHOUT_CRF})"
        judged = [f"{iou}{before}" for iou in _iou("IoU", found.judged.iou)] if by_prediction else []
        alone = [WITHOUT_TAGS] if predicted else []
        return beside, [*alone, *judged, *(sure if by_prediction else []), *(differs if predicted else [])]

    def _whose(self, record: Record, predicted: bool) -> tuple[str, str]:
        """The words before and after the share of pixels in which two labels differ: of a person's mask, the other one
        does.
        """
        if not self.results.by_hand(record):
            return "differs ", ""
        return f"the {'student' if predicted else 'first student'} differs ", " from your mask"

    def _missing(
        self, judge: LabelStore | None, found: Measured, record: Record
    ) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """By label map of the photo, the names of tags with less than `TRACE` of it, or nothing."""
        first = PSEUDO if self.results.taught(record) is self.results.pseudo else LEARNED
        first = "label corrected by hand" if self.results.by_hand(record) else first
        labels = {first: found.pseudo, "relabelled label": found.relabelled}
        if judge is self.results.predictions:
            labels[PREDICTION] = found.judged
        return tuple((name, tuple(map(self._name, label.missing))) for name, label in labels.items() if label.missing)

    def _name(self, number: int) -> str:
        return self.results.index.classes[number]

    def swatch(self, number: int, iou: float | None = None, speck: int = 0) -> Swatch:
        """Class `number` for a legend; an IoU of NaN means that the class was neither there nor found. `speck`: its
        pixels in a photo, if they are one of `specks`.
        """
        known = None if iou is None or np.isnan(iou) else iou
        return make_swatch(number, self.results.index.classes, known, speck)

    def _instead(self, both: tuple[np.ndarray, np.ndarray] | None) -> str:
        """``, most: cow instead of sheep``; empty where nothing differs."""
        pair = None if both is None else exchanged(*both)
        names = self.results.index.classes
        return "" if pair is None else f", most: {names[pair[0]]} instead of {names[pair[1]]}"

    def _heat(self, photo: np.ndarray, record: Record) -> list[Picture]:
        """The strongest class at each place, each class alone where there are several, and the raw CAM."""
        if record.id not in self.results.cams:
            return []
        cams = self.results.cams.read(record.id)
        names = [self.results.index.classes[number] for number in cams.classes]
        alone: list[Picture] = [
            (name, heat_overlay(photo, scores), ()) for name, scores in zip(names, cams.scores, strict=True)
        ]
        views = alone if len(alone) < 2 else [("all", heat_overlay(photo, cams.scores.max(axis=0)), ()), *alone]
        if cams.raw is None or not len(cams.raw):
            return views
        return [*views, ("raw", heat_overlay(photo, cams.raw.max(axis=0)), ())]

    def _pseudo_labels(self, photo: np.ndarray, record: Record, label: np.ndarray | None) -> list[Picture]:
        """The label that stands in for the pseudo-label, if one does and differs; the pseudo-label, and what it was
        before its mixture; and what the first student made of the label.
        """
        results = self.results
        pseudo = results.label(results.pseudo, record)
        taught = {}
        if label is not None and (pseudo is None or not np.array_equal(label, pseudo)):
            taught = {HAND if results.by_hand(record) else LEARNED: label}
        views = self._versions(photo, record, results.pseudo, pseudo, PSEUDO, FBE, FBE.upper())
        others = [store for store in results.labels if store is not results.pseudo]
        later = {NAMES.get(store.source, store.source): results.label(store, record) for store in others}
        return self._overlays(photo, taught) + views + self._overlays(photo, later)

    def _versions(
        self,
        photo: np.ndarray,
        record: Record,
        store: LabelStore,
        label: np.ndarray | None,
        name: str,
        earlier: str,
        its_name: str,
    ) -> list[Picture]:
        """The label of `store` and, where it was kept, its `earlier` version: what it was made from."""
        kept = label is not None and earlier in store.versions(record.id)
        return self._overlays(photo, {name: label, its_name: store.label(record.id, earlier) if kept else None})

    def _overlays(self, photo: np.ndarray, labels: Mapping[str, np.ndarray | None]) -> list[Picture]:
        return [
            (name, label_overlay(photo, fit_label(label, photo.shape), self.palette), classes_in(label))
            for name, label in labels.items()
            if label is not None
        ]

    def _panel(
        self,
        number: int,
        title: str,
        photo: np.ndarray,
        pictures: Sequence[Picture],
        *notes: str,
    ) -> Panel:
        kind = title.lower().replace(" ", "-")
        views = tuple(
            View(name, save_picture(self.folder, f"{number:04}-{kind}{f'-{place}' if place else ''}", picture), classes)
            for place, (name, picture, classes) in enumerate(pictures)
        )
        rows, columns = photo.shape[:2]
        return Panel(title, " · ".join(notes), views, columns, rows)


def _iou(name: str, iou: float | None) -> list[str]:
    return [] if iou is None else [f"{name} {percent(iou)}"]
