"""From CAM scores to label maps: background score, fixed thresholds, agreement. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from wsss.data.index import IGNORE

EPS = 1e-5
NO_SIGNAL = 1e-3
"""A map whose scores span less than this does not locate its class."""


def upsample(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, align_corners=False. (P, h, w) → (P, H, W) float32."""
    if len(scores) == 0:
        return np.zeros((0, *size), np.float32)
    maps = torch.from_numpy(np.asarray(scores, np.float32))[None]
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)[0].numpy()


def foreground_scores(cams: np.ndarray) -> np.ndarray:
    """Eq (9): each map stretched to [0, 1] over the photo's pixels; a map without signal becomes 0.

    `cams`: (P, H, W) float32 of the present classes → (P, H, W) float32.
    """
    low, high = cams.min((1, 2), keepdims=True), cams.max((1, 2), keepdims=True)
    return np.where(high - low < NO_SIGNAL, 0.0, (cams - low) / (high - low + EPS)).astype(np.float32)


def without_signal(cams: np.ndarray) -> np.ndarray:
    """(P,) bool: maps that are zero or constant. `cams`: (P, h, w)."""
    return np.asarray(np.ptp(cams, axis=(1, 2)) < NO_SIGNAL)


def with_background(foreground: np.ndarray, gamma: float) -> np.ndarray:
    """Eq (10): ``S = [(1 − max F)^γ; F]``. (P, H, W) → (P + 1, H, W) float32 in [0, 1]."""
    strongest = foreground.max(0, initial=0.0)
    return np.concatenate([((1.0 - strongest) ** gamma)[None], foreground]).astype(np.float32)


def threshold(scores: np.ndarray, alpha: float) -> np.ndarray:
    """Eq (12): the arg-max where its score is above α, else 255. (P + 1, H, W) → (H, W) uint8 of indices."""
    labels = scores.argmax(0).astype(np.uint8)
    labels[scores.max(0) <= alpha] = IGNORE
    return labels


def agree(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Eq (13): the label where both maps have the same one, else 255. (H, W) uint8."""
    return np.where(first == second, first, IGNORE).astype(np.uint8)


def to_class_ids(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Indices 0..P into [background, present classes] → class ids; 255 stays. (H, W) uint8."""
    table = np.full(256, IGNORE, np.uint8)
    table[: len(classes) + 1] = np.concatenate([[0], classes])
    return table[labels]
