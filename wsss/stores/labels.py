"""Label maps with confidence: pseudo-labels and predictions."""

from __future__ import annotations

import h5py
import numpy as np

from wsss.core.errors import UserError
from wsss.data.ids import encode_id
from wsss.stores.shards import Store

PSEUDO_FORMAT = "wsss.pseudo"
PREDICTIONS_FORMAT = "wsss.predictions"
UPPER_BOUND = "upper_bound"
"""Attribute of a store of masks that were imported as labels."""
NOT_VERSIONS = ("label", "confidence", "mixtures", "soft", "classes", "tag_logits")
"""Arrays of a photo that are no earlier version of its label."""


def put_labels(file: h5py.File, name: str, label: np.ndarray, confidence: np.ndarray, **others: np.ndarray) -> None:
    """Write ``/<id>/label``, ``/<id>/confidence`` and, by name, `others`: earlier versions of the label.

    Labels: (H, W) uint8, 0..K and 255 = ignore; `confidence`: (H, W) float in [0, 1], kept in 255 steps.
    """
    group = file.create_group(encode_id(name))
    group.attrs.update({"NX_class": "NXdata", "signal": "label", "id": name})
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


def put_tag_logits(file: h5py.File, name: str, logits: np.ndarray) -> None:
    """Write ``/<id>/tag_logits`` (K,) float32 of a photo that has its labels already: a classifier's class scores."""
    file[encode_id(name)].create_dataset("tag_logits", data=logits.astype(np.float32))


def put_mixtures(file: h5py.File, name: str, rows: np.ndarray) -> None:
    """Write ``/<id>/mixtures`` (P, 18) float64 of a photo that has its labels already."""
    file[encode_id(name)].create_dataset("mixtures", data=rows.astype(np.float64))


def put_soft(file: h5py.File, name: str, classes: np.ndarray, soft: np.ndarray) -> None:
    """Write ``/<id>/soft``, (P, h, w) float in [0, 1] kept in 255 steps, and ``/<id>/classes`` (P,)."""
    group = file[encode_id(name)]
    group.create_dataset("soft", data=np.rint(np.clip(soft, 0.0, 1.0) * 255).astype(np.uint8))
    group.create_dataset("classes", data=np.asarray(classes).astype(np.uint8))


class LabelStore(Store):
    """Read access to label maps."""

    def label(self, name: str, version: str = "label") -> np.ndarray:
        """(H, W) uint8: 0 background, 1..K classes, 255 ignore. `version` names an earlier one, as it was written."""
        return np.asarray(self.array(name, version))

    def versions(self, name: str) -> tuple[str, ...]:
        """Names of the earlier versions that photo `name` has beside its label."""
        return tuple(field for field in self.group(name) if field not in NOT_VERSIONS)

    def confidence(self, name: str) -> np.ndarray:
        """(H, W) float32 in [0, 1]: how sure the label is."""
        return np.asarray(self.array(name, "confidence"), np.float32) / 255.0


class PseudoStore(LabelStore):
    """The store that the `correct` stage writes."""

    format = PSEUDO_FORMAT
    stage = "correct"

    @property
    def has_mixtures(self) -> bool:
        """True if Gaussian mixtures made these labels."""
        return bool(self.attributes.get("threshold") == "gmm")

    def mixtures(self, name: str) -> np.ndarray:
        """(P, 18) float64, a row for each present class, as `wsss.inference.mixtures` packs them."""
        return np.asarray(self.array(name, "mixtures"), np.float64)

    def soft(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Class ids (P,) int64 and their posteriors (P, h, w) float32 in [0, 1] on the CAM grid."""
        if not self.attributes.get("soft"):
            raise UserError(self.path, "holds no soft labels", "set correct.soft: true, then dvc repro correct")
        soft = np.asarray(self.array(name, "soft"), np.float32) / 255.0
        return self.array(name, "classes").astype(np.int64), soft

    @property
    def upper_bound(self) -> bool:
        """True if these are masks: what is trained on them is an upper bound, and not weakly supervised."""
        return bool(self.attributes.get(UPPER_BOUND, False))


class RelabelledStore(PseudoStore):
    """The store of pseudo-labels that a first student has corrected; empty where there is none."""

    stage = "distill"


class PredictionStore(LabelStore):
    """The store that the `evaluate` stage writes."""

    format = PREDICTIONS_FORMAT
    stage = "evaluate"

    def tag_logits(self, name: str) -> np.ndarray:
        """(K,) float32 of any sign: how strongly OSTE's classification branch sees each class in photo `name`."""
        return np.asarray(self.array(name, "tag_logits"), np.float32)
