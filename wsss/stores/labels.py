"""Label maps with confidence: pseudo-labels and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from wsss.core.units import unit_done
from wsss.data.ids import encode_id
from wsss.stores.shards import photo_group
from wsss.stores.store import Store

PSEUDO_FORMAT = "wsss.pseudo"
PREDICTIONS_FORMAT = "wsss.predictions"
UPPER_BOUND = "upper_bound"
"""Attribute of a store of masks that were imported as labels."""
BY_HAND = "corrected_by_hand"
"""Attribute of a store: the number of its photos whose labels a person has corrected; and of each of these, true."""
BRANCH = "branch"
"""Attribute of a store of predictions, false if OSTE has no segmentation branch that would be among them."""
NOT_VERSIONS = ("label", "confidence", "mixtures", "tag_logits")
"""Arrays of a photo that are not earlier versions of its label."""


def put_labels(file: h5py.File, name: str, label: np.ndarray, confidence: np.ndarray, **others: np.ndarray) -> None:
    """Write ``/<id>/label``, ``/<id>/confidence`` and, by name, `others`: earlier versions of the label.

    Labels: (H, W) uint8, 0..K and 255 = ignored; `confidence`: (H, W) float in [0, 1], kept in 255 steps. The photo
    counts as done.
    """
    group = photo_group(file, name, "label")
    steps = np.rint(np.clip(confidence, 0.0, 1.0) * 255).astype(np.uint8)
    for field, data in {"label": label, "confidence": steps, **others}.items():
        group.create_dataset(
            field,
            data=data.astype(np.uint8),
            chunks=data.shape,
            fletcher32=True,
            compression="gzip",
            compression_opts=4,
        )
    unit_done()


def put_tag_logits(file: h5py.File, name: str, logits: np.ndarray) -> None:
    """Write ``/<id>/tag_logits`` (K,) float32 of a photo that has its labels already: a classifier's class scores."""
    file[encode_id(name)].create_dataset("tag_logits", data=logits.astype(np.float32))


def put_mixtures(file: h5py.File, name: str, rows: np.ndarray) -> None:
    """Write ``/<id>/mixtures`` (P, 18) float64 of a photo that has its labels already."""
    file[encode_id(name)].create_dataset("mixtures", data=rows.astype(np.float64))


class LabelStore(Store):
    """Read access to label maps."""

    def label(self, name: str, version: str = "label") -> np.ndarray:
        """(H, W) uint8: 0 background, 1..K classes, 255 ignored. `version` names an earlier one, as it was written."""
        return np.asarray(self.array(name, version))

    def versions(self, name: str) -> tuple[str, ...]:
        """Names of the earlier versions that photo `name` has beside its label."""
        return tuple(field for field in self.group(name) if field not in NOT_VERSIONS)

    def confidence(self, name: str) -> np.ndarray:
        """(H, W) float32 in [0, 1]: confidence of the label."""
        return np.asarray(self.array(name, "confidence"), np.float32) / 255.0


class PseudoStore(LabelStore):
    """The store that the `correct` stage writes."""

    format = PSEUDO_FORMAT
    stage = "correct"
    source: ClassVar[str] = "pseudo-label"
    """Name of its row in the table of scores."""
    place: ClassVar[Path] = Path("artifacts/pseudo")
    whole: ClassVar[bool] = True
    """True if it holds all photos. Otherwise, the others are not scored."""

    @property
    def threshold(self) -> str:
        """How CAM scores became labels, for the table of scores: the method of `correct`."""
        return str(self.attributes.get("method", "fixed"))

    @property
    def has_mixtures(self) -> bool:
        """True if Gaussian mixtures made these labels."""
        return bool(self.attributes.get("method") == "gmm")

    def mixtures(self, name: str) -> np.ndarray:
        """(P, 18) float64, a row for each present class, as `wsss.correct.tables` packs them."""
        return np.asarray(self.array(name, "mixtures"), np.float64)

    @property
    def upper_bound(self) -> bool:
        """True if these are masks: what is trained on them is an upper bound, and not weakly supervised."""
        return bool(self.attributes.get(UPPER_BOUND, False))

    @property
    def by_hand(self) -> int:
        """Photos whose labels a person has corrected."""
        return int(self.attributes.get(BY_HAND, 0))


class RelabelledStore(PseudoStore):
    """The store of pseudo-labels that the first round's student has corrected; empty where there is one round."""

    stage = "distill"
    source = "relabelled"
    place = Path("artifacts/relabelled")
    whole = False

    @property
    def threshold(self) -> str:
        """A network labels by arg-max."""
        return "oracle: masks" if self.upper_bound else "arg-max"


LABEL_STORES: tuple[type[PseudoStore], ...] = (PseudoStore, RelabelledStore)
"""Every store of labels that a stage makes, in the order of the stages. `evaluate` scores and `gallery` shows them,
each from its `place`: for the store of a new stage, add a class and an entry here."""
LEARNED = [kind for kind in LABEL_STORES if kind.whole][-1]
"""The labels that stage `distill` learns from: the last ones that cover all photos."""


def learned(stores: Sequence[PseudoStore]) -> PseudoStore:
    """The store that the student learned from, among `stores`, one of each of `LABEL_STORES`."""
    return stores[LABEL_STORES.index(LEARNED)]


class PredictionStore(LabelStore):
    """The store that the `evaluate` stage writes."""

    format = PREDICTIONS_FORMAT
    stage = "evaluate"

    @property
    def has_branch(self) -> bool:
        """True if it holds what OSTE's segmentation branch predicts."""
        return bool(self.attributes.get(BRANCH, True))

    def tag_logits(self, name: str) -> np.ndarray:
        """(K,) float32: the class logits of OSTE's classification branch for photo `name`."""
        return np.asarray(self.array(name, "tag_logits"), np.float32)
