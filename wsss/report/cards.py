"""One photo of the gallery: what there is of it, its scores, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss.core.errors import IntegrityError
from wsss.data.index import IGNORE, Index, Record
from wsss.data.masks import MaskedImages
from wsss.data.palette import display_palette
from wsss.data.render import fit, heat_overlay, label_overlay
from wsss.data.size import fit_label
from wsss.report.page import Card, Panel, View
from wsss.report.pictures import PICTURES, SHARPNESS, Picture, save_picture
from wsss.report.ranking import class_ious, classes_in, coverage, disagreement, exchanged, mean_iou, specks, values_of
from wsss.report.swatch import Swatch, make_swatch
from wsss.report.templates import percent
from wsss.stores.cams import CamStore
from wsss.stores.labels import LabelStore, PredictionStore, PseudoStore, RelabelledStore, learned

FBE, OSTE = "fbe", "oste"
"""Versions beside a label: the one that Gaussian correction began with; that of OSTE's segmentation branch."""


@dataclass(frozen=True)
class Results:
    """Everything the pipeline knows of a data set. Any photo may be missing from any of the stores."""

    index: Index
    masked: MaskedImages
    cams: CamStore
    labels: tuple[PseudoStore, ...]
    """Those of `LABEL_STORES`."""
    predictions: PredictionStore

    @property
    def pseudo(self) -> PseudoStore:
        """The labels of all photos; the student began to learn from those of the training photos."""
        return learned(self.labels)

    @property
    def judges(self) -> dict[str, LabelStore]:
        """What a split may be judged by, the best first, with its name."""
        return {"prediction": self.predictions, "pseudo-label": self.pseudo}

    def label(self, store: LabelStore, record: Record) -> np.ndarray | None:
        """(H, W) uint8 label in `store`, of the size the photo is read at, None if it has none; `IntegrityError` if it
        does not fit.
        """
        if record.id not in store:
            return None
        label = store.label(record.id)
        values, classes = values_of(label), len(self.index.classes)
        if label.shape != record.size or any(classes <= value != IGNORE for value in values):
            raise IntegrityError(
                store.path / store.shard_name(record.id),
                f"the label of {record.id!r} does not fit its photo (found {label.shape} with {values}, "
                f"expected {record.size} with 0..{classes - 1} or {IGNORE})",
                f"make it again: dvc repro -f -s {store.stage}",
            )
        return label

    def ious(self, label: np.ndarray | None, mask: np.ndarray | None) -> np.ndarray | None:
        """(K+1,) IoU of each class of a photo's label, see `class_ious`; None without a label, or without a mask."""
        if label is None or mask is None:
            return None
        return class_ious(fit_label(label, mask.shape), mask, len(self.index.classes))

    def compared(
        self, record: Record, prediction: np.ndarray | None, pseudo: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Two (H, W) uint8 labels of a photo that `disagreement` compares.

        They are its prediction and its pseudo-label, or OSTE's branch without the latter. Without a prediction, they
        are its pseudo-label and what the first round's student made of that. None where there are no two.
        """
        first, second = prediction, pseudo
        if prediction is None:
            first, second = pseudo, self.relabelled(record)
        elif pseudo is None and OSTE in self.predictions.versions(record.id):
            second = self.predictions.label(record.id, OSTE)
        return None if first is None or second is None else (first, second)

    def disagreement(self, record: Record, prediction: np.ndarray | None, pseudo: np.ndarray | None) -> float | None:
        """Share in [0, 1] of labelled pixels in which the two labels of `compared` differ: it needs no mask."""
        both = self.compared(record, prediction, pseudo)
        return None if both is None else disagreement(*both)

    def relabelled(self, record: Record) -> np.ndarray | None:
        """(H, W) uint8 label that the first round's student made of the pseudo-label; None if there is none."""
        store = next((store for store in self.labels if isinstance(store, RelabelledStore)), None)
        return None if store is None else self.label(store, record)

    def has(self, record: Record) -> bool:
        """True if any store holds the photo."""
        return any(record.id in store for store in (self.cams, self.pseudo, self.predictions))


class Painter:
    """Draws the pictures of photos into `folder`."""

    def __init__(self, results: Results, folder: Path, width: int) -> None:
        self.results, self.folder, self.width = results, folder, SHARPNESS * width
        self.palette = display_palette()
        (folder / PICTURES).mkdir()

    def card(
        self, number: int, record: Record, rank: int | None, judge: LabelStore | None, confidence: float | None
    ) -> Card:
        """Draw one photo.

        `number` counts the cards of the page and names their files, so that no id can reach a path; `judge`
        is the store whose labels the photo's split is ranked by, and `confidence` what these have.
        """
        results = self.results
        photo = fit(results.masked.photos.image(record), self.width)
        mask = results.masked.mask(record)
        pseudo, prediction = (results.label(store, record) for store in (results.pseudo, results.predictions))
        judged = prediction if judge is results.predictions else pseudo
        ious = results.ious(judged, mask)
        covered = None if pseudo is None else coverage(pseudo)
        disputed = results.disagreement(record, prediction, pseudo)
        labelled = [] if covered is None else [f"{percent(covered, 0)} labelled"]
        instead = self._instead(results.compared(record, prediction, pseudo))
        differs = [] if disputed is None else [f"differs {percent(disputed, 0)}{instead}"]
        relabelled = results.relabelled(record)
        if relabelled is not None:
            labelled.append(f"{percent(coverage(relabelled), 0)} after relabelling")
        sure = [] if confidence is None else [f"confidence {percent(confidence, 0)}"]
        panels = (
            self._panel(number, "Photo", photo, [("Photo", photo, ())]),
            self._panel(number, "CAM", photo, self._heat(photo, record)),
            self._panel(
                number,
                "Pseudo-label",
                photo,
                self._pseudo_labels(photo, record, pseudo),
                *self._iou(pseudo, mask),
                *labelled,
                *(sure if judged is pseudo else []),
                *(differs if prediction is None else []),
            ),
            self._panel(
                number,
                "Prediction",
                photo,
                self._versions(photo, record, results.predictions, prediction, "student", OSTE, OSTE.upper()),
                *self._iou(prediction, mask),
                *(sure if judged is prediction else []),
                *([] if prediction is None else differs),
            ),
            self._panel(number, "Ground truth", photo, self._overlays(photo, {"Ground truth": mask})),
        )
        small = {} if judged is None else specks(judged, mask, record.tags)
        seen = set(record.tags).union(*(values_of(label) for label in (pseudo, prediction, mask) if label is not None))
        return Card(
            number,
            record.id,
            rank,
            None if ious is None else mean_iou(ious),
            covered,
            disputed,
            confidence,
            tuple(results.index.classes[tag] for tag in record.tags),
            panels,
            tuple(
                self.swatch(value, None if ious is None else float(ious[value]), small.get(value, 0))
                for value in sorted(seen - {IGNORE})
            ),
            ignored=IGNORE in seen,
        )

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
        """The label of `correct`, what it was before a correction, and what other stages made of it."""
        results = self.results
        views = self._versions(photo, record, results.pseudo, label, "corrected", FBE, FBE.upper())
        others = [store for store in results.labels if store is not results.pseudo]
        return views + self._overlays(photo, {store.source: results.label(store, record) for store in others})

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

    def _iou(self, label: np.ndarray | None, mask: np.ndarray | None) -> list[str]:
        ious = self.results.ious(label, mask)
        return [] if ious is None else [f"IoU {percent(mean_iou(ious))}"]
