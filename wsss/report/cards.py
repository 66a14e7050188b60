"""What the pipeline knows of a photo: its label maps, and how well two of them agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsss.core.errors import IntegrityError
from wsss.data.index import IGNORE, Index, Record
from wsss.data.masks import MaskedImages
from wsss.data.size import fit_label
from wsss.report.ranking import class_ious, disagreement, values_of
from wsss.stores.cams import CamStore
from wsss.stores.labels import BY_HAND, LabelStore, PredictionStore, PseudoStore, RelabelledStore, learned

FBE, OSTE, BEFORE_CRF = "fbe", "oste", "multiscale"
"""Versions beside a label: the one that Gaussian correction began with; that of OSTE's segmentation branch; that of the
student, at its scales, before the CRF.
"""
PREDICTION, PSEUDO = "prediction", "pseudo-label"
"""What a split may be judged by, the best first."""


@dataclass(frozen=True)
class Results:
    """Everything the pipeline knows of a data set. Any photo may be missing from any of the stores."""

    index: Index
    masked: MaskedImages
    cams: CamStore
    labels: tuple[PseudoStore, ...]
    """Those of `LABEL_STORES`."""
    predictions: PredictionStore
    others: PseudoStore | None = None
    """Labels of some photos that the student learned from instead of the pseudo-labels, see `other_labels`."""
    cam_threshold: int | None = None
    """Number of the threshold that CAMs are scored at, see `wsss.report.scores.cam_threshold`."""

    @property
    def pseudo(self) -> PseudoStore:
        """The pseudo-labels of all photos; the student learned from those of the training photos, or from `others`."""
        return learned(self.labels)

    def taught(self, record: Record) -> PseudoStore:
        """The store of the label that a photo is judged and shown by: of `others`, where these have the photo."""
        return self.others if self.others is not None and record.id in self.others else self.pseudo

    def by_hand(self, record: Record) -> bool:
        """True if a person has corrected this label."""
        others = self.others
        return others is not None and record.id in others and BY_HAND in others.group(record.id).attrs

    @property
    def judges(self) -> dict[str, LabelStore]:
        """What a split may be judged by, the best first, with its name."""
        return {PREDICTION: self.predictions, PSEUDO: self.pseudo}

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

    def before_crf(self, record: Record) -> np.ndarray | None:
        """(H, W) uint8 label that the student predicts before the CRF; None without a prediction, or without a CRF."""
        store = self.predictions
        known = store.attributes.get("crf") and record.id in store and BEFORE_CRF in store.versions(record.id)
        return store.label(record.id, BEFORE_CRF) if known else None

    def has(self, record: Record) -> bool:
        """True if any store holds the photo."""
        return any(record.id in store for store in (self.cams, self.pseudo, self.predictions))
