"""Row `energy`: the dense energy loss and its gradient against the C++ permutohedral lattice.

Peers build a C++ extension around Krähenbühl's lattice. `pydensecrf` ships that lattice compiled; reached through it,
the work of one training step is: build the lattice, filter all classes once for the loss and once for its gradient.
Two mean-field steps do this (each adds a softmax over the classes, small beside the filter). One thread on both sides.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pydensecrf.densecrf as dcrf
import skimage.data
import torch
from torch.nn import functional as F

from benchmarks.timing import Result, alternate
from wsss.losses.energy import EnergySettings, dense_energy, pixel_features

CLASSES, CROP = 21, 320
GRIDS = (41, 81)
REFERENCE = "C++ permutohedral lattice of pydensecrf: build + two filters (approximate)"


def run() -> list[Result]:
    """Crops of two photos, 21 classes, without labels, at each of `GRIDS`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_row(grid) for grid in GRIDS]
    finally:
        torch.set_num_threads(threads)


def _row(grid: int) -> Result:
    # The crop that has exactly this grid at stride 8 or 4.
    stride = CROP // (grid - 1)
    settings = EnergySettings(enabled=True, sigma_xy=100.0, sigma_rgb=15.0, stride=stride, gate="soft")
    images = _photos(grid * stride)
    torch.manual_seed(0)
    coarse = 3 * torch.randn(len(images), CLASSES, grid // 4, grid // 4)
    logits = F.interpolate(coarse, (grid, grid), mode="bilinear", align_corners=False).requires_grad_()
    labels = torch.full((len(images), *images.shape[2:]), 255)
    features = pixel_features(images, (grid, grid), settings.sigma_xy, settings.sigma_rgb)
    costs = [-sample.detach().flatten(1).log_softmax(0).numpy() for sample in logits]
    points = [np.ascontiguousarray(sample.T.numpy()) for sample in features]

    def ours() -> tuple[float, torch.Tensor]:
        loss = dense_energy(logits, images, labels, settings).mean()
        return float(loss.detach()), torch.autograd.grad(loss, logits)[0]

    def lattice() -> None:
        for unary, sample in zip(costs, points, strict=True):
            crf = dcrf.DenseCRF(grid * grid, CLASSES)
            crf.setUnaryEnergy(unary)
            crf.addPairwiseEnergy(sample, compat=1.0)
            state = crf.startInference()
            for _ in range(2):
                crf.stepInference(*state)

    def matrix() -> tuple[float, torch.Tensor]:
        return dense_matrix(logits, features)

    seconds, reference_seconds = alternate(ours, lattice)
    _, matrix_seconds = alternate(ours, matrix)
    (loss, gradient), (exact, exact_gradient) = ours(), dense_matrix(logits.double(), features.double())
    quality = {
        "grid": grid,
        "loss_error": abs(loss / exact - 1),
        "gradient_cosine": float(F.cosine_similarity(gradient.double().flatten(), exact_gradient.flatten(), dim=0)),
        "gradient_magnitude": float(gradient.double().norm() / exact_gradient.norm()),
        "dense_float32_s": matrix_seconds,
    }
    ratio = reference_seconds / seconds
    row = Result("energy", REFERENCE, seconds, reference_seconds, ratio, 1 / 1.5)
    return dataclasses.replace(row, quality=quality)


def dense_matrix(logits: torch.Tensor, features: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Eq (18) without a gate as a double sum over an explicit matrix: mean and gradient, in the dtype of `features`."""
    scores = logits.detach().requires_grad_()
    p = scores.softmax(1).flatten(2).mT
    kernel = torch.exp(-torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist").square() / 2)
    normalised = kernel / kernel.sum(2, keepdim=True)
    others = normalised * (1 - torch.eye(p.shape[1], dtype=p.dtype))
    loss = (others * (1 - p @ p.mT)).sum() / (p.shape[0] * p.shape[1])
    return float(loss.detach()), torch.autograd.grad(loss, scores)[0]


def _photos(side: int) -> torch.Tensor:
    """Two photos that scikit-image ships, scaled to a square. (2, 3, side, side) float 0..255."""
    pictures = [skimage.data.astronaut(), skimage.data.chelsea()]  # type: ignore[no-untyped-call]
    return torch.cat(
        [
            F.interpolate(
                torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float(),
                (side, side),
                mode="bilinear",
                antialias=True,
            )
            for picture in pictures
        ]
    )
