"""Predictions of a segmentation network: at scale 1, averaged over scales and flips, and refined by a dense CRF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from wsss.core.errors import IntegrityError
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED, Crf, CrfSettings
from wsss.data.batches import to_batch
from wsss.models.oste import Oste
from wsss.predict.multiscale import ScaleSettings, over_scales

Network = Callable[[torch.Tensor], torch.Tensor]
"""(N, 3, H, W) float 0..255 → logits (N, C, h, w) on any grid."""

AVERAGING_STRIDE = 4
MIN_PEAK = 0.05
"""Classes whose probability stays below this everywhere cannot win a pixel in the CRF, and are left out of it."""


class SegmentSettings(ScaleSettings):
    """How a segmentation network is run on whole photos."""

    crf: Crf = Field(default=PUBLISHED, description="dense CRF of the last step, so that outlines follow the photo")


@dataclass(frozen=True)
class Prediction:
    """Label maps (H, W) uint8 of one photo: `single` scale, `multiscale`, and with CRF where it is enabled.

    `confidence`: (H, W) float32, probability of the label in `final`.
    """

    single: np.ndarray
    multiscale: np.ndarray
    crf: np.ndarray | None
    confidence: np.ndarray

    @property
    def final(self) -> np.ndarray:
        """The last step that is enabled."""
        return self.multiscale if self.crf is None else self.crf


@torch.inference_mode()
def predict(
    network: Network,
    name: str,
    images: list[np.ndarray],
    settings: SegmentSettings,
    where: torch.device,
) -> list[Prediction]:
    """Predictions for photos (H, W, 3) uint8 of one size by `network`, (N, 3, H, W) 0..255 → logits, called `name`."""
    views = to_batch(images, where)
    return _predictions(network, name, images, views, network(views), settings)


@torch.inference_mode()
def predict_oste(
    oste: Oste, images: list[np.ndarray], settings: SegmentSettings, where: torch.device
) -> tuple[list[Prediction] | None, np.ndarray]:
    """`predict` with the segmentation branch, and the photos' class logits (N, K) float32 of the pass at scale 1. Where
    there is no branch, None and the class logits.
    """
    views = to_batch(images, where)
    features = oste.backbone(views)
    tags = oste.logits(features[-1])
    if not torch.isfinite(tags).all():
        raise _not_finite("oste", "class scores")
    found = tags.float().cpu().numpy()
    if oste.segmentation is None:
        return None, found
    return _predictions(oste.segment, "oste", images, views, oste.segmented(features), settings), found


def _predictions(
    network: Network,
    name: str,
    images: list[np.ndarray],
    views: torch.Tensor,
    logits: torch.Tensor,
    settings: SegmentSettings,
) -> list[Prediction]:
    """`predict` for `views`, the photos as a batch, whose `logits` at scale 1 are known."""
    size = (views.shape[-2], views.shape[-1])
    single = _enlarged(logits.float(), size).argmax(1).byte().cpu().numpy()
    seen = (lambda view: logits) if settings.scales == (1.0,) and not settings.flip else network
    coarse = probabilities(seen, name, views, settings.scales, settings.flip)
    averaged = _enlarged(coarse, size).cpu().numpy()
    made = []
    for image, first, scores in zip(images, single, averaged, strict=True):
        refined = refine(image, scores, settings.crf) if settings.crf is not None else None
        confidence = scores.max(0) if refined is None else refined[1]
        made.append(Prediction(first, scores.argmax(0).astype(np.uint8), refined and refined[0], confidence))
    return made


def probabilities(
    network: Network, name: str, views: torch.Tensor, scales: Sequence[float], flip: bool
) -> torch.Tensor:
    """Class probabilities averaged over scales and flips: (N, 3, H, W) 0..255 → (N, C, ⌈H/4⌉, ⌈W/4⌉) float32.

    Views are averaged at a quarter of the side lengths: full size would only add interpolated values, 16 times as many.
    Raises `IntegrityError` naming the network if they are not finite.
    """
    grid = (-(-views.shape[-2] // AVERAGING_STRIDE), -(-views.shape[-1] // AVERAGING_STRIDE))
    coarse = over_scales(views, scales, flip, lambda view: _enlarged(network(view).float(), grid).softmax(1))
    if not torch.isfinite(coarse).all():
        # The arg-max of NaN looks like any valid class.
        raise _not_finite(name, "probabilities")
    return coarse


def refine(image: np.ndarray, scores: np.ndarray, crf: CrfSettings) -> tuple[np.ndarray, np.ndarray]:
    """Label and its posterior after the dense CRF. `image`: (H, W, 3) uint8; `scores`: (C, H, W) float32 in [0, 1]
    → (H, W) uint8 and (H, W) float32 in [0, 1].
    """
    kept, found = posteriors(image, scores, crf)
    return kept[found.argmax(0)].astype(np.uint8), found.max(0)


def posteriors(image: np.ndarray, scores: np.ndarray, crf: CrfSettings) -> tuple[np.ndarray, np.ndarray]:
    """As `refine`, but the classes (P,) that can win a pixel and their posteriors (P, H, W) float32."""
    kept = np.flatnonzero(scores.max((1, 2)) >= MIN_PEAK)
    if len(kept) < 2:
        return np.arange(len(scores)), scores
    return kept, dense_crf(image, scores[kept], crf)


def _not_finite(network: str, what: str) -> IntegrityError:
    stage = "distill" if network == "student" else "train"
    return IntegrityError(network, f"gave NaN or Inf as {what}", f"train it again: dvc repro -f -s {stage}")


def _enlarged(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)
