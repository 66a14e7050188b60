"""Row `energy`: the filter of the dense energy loss and its gradient against the C++ permutohedral lattice.

Peers build a C++ extension around Krähenbühl's lattice. `pydensecrf` ships that lattice compiled; reached through it,
the work of one training step is: build the lattice, filter all classes once for the loss and once for its gradient.
Two mean-field steps do this (each adds a softmax over the classes, small beside the filter). One thread on both sides.
Ours is exact up to 32×32 cells and a lattice of its own beyond; `loss_s` is the whole loss with its gradient, from
logits and photos.
"""

from __future__ import annotations

import numpy as np
import pydensecrf.densecrf as dcrf
import skimage.data
import torch
from torch.nn import functional as F

from benchmarks.timing import Result, alternate
from wsss.crf.lattice import build
from wsss.losses.energy import EnergySettings, dense_energy, pixel_features
from wsss.losses.gaussian import EXACT_CELLS, gaussian_filter

CLASSES, CROP = 21, 320
TARGETS = {41: 1.0, 81: 2.0, 161: 2.0}
"""Grid: how much faster than the reference."""
PAIRS = 2**20
"""Pairs of cells that the double sum holds at once."""
REFERENCE = "C++ permutohedral lattice of pydensecrf: build + two filters (approximate)"


def run() -> list[Result]:
    """Crops of two photos, 21 classes, without labels, at each of `TARGETS`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_row(grid) for grid in TARGETS]
    finally:
        torch.set_num_threads(threads)


def _row(grid: int) -> Result:
    # The crop that has exactly this grid at stride 8, 4 or 2.
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

    values = F.pad(logits.detach().softmax(1).flatten(2).mT, (0, 1), value=1.0).requires_grad_()

    def ours() -> torch.Tensor:
        filtered, _ = gaussian_filter(features, values)
        return torch.autograd.grad(filtered, values, filtered.detach())[0]

    def loss_and_gradient() -> tuple[float, torch.Tensor]:
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

    timing = alternate(ours, lattice, repeats=9)
    whole = alternate(loss_and_gradient, lattice)
    (loss, gradient), (exact, exact_gradient) = loss_and_gradient(), double_sum(logits.double(), features.double())
    quality = {
        "grid": grid,
        "form": "lattice" if grid * grid > EXACT_CELLS else "exact",
        "loss_s": whole.ours,
        "loss_error": abs(loss / exact - 1),
        "gradient_cosine": float(F.cosine_similarity(gradient.double().flatten(), exact_gradient.flatten(), dim=0)),
        "gradient_magnitude": float(gradient.double().norm() / exact_gradient.norm()),
        "lattice_difference": max(map(lattice_difference, points, costs)),
    }
    return timing.row("energy", REFERENCE, TARGETS[grid], quality)


def double_sum(logits: torch.Tensor, features: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Eq (18) without a gate over all pairs, in blocks of rows: mean and gradient, in the dtype of `features`."""
    scores = logits.detach().requires_grad_()
    probabilities = scores.softmax(1).flatten(2).mT
    p = probabilities.detach().requires_grad_()
    photos, cells, _ = p.shape
    total = 0.0
    for n in range(photos):
        for rows in torch.split(torch.arange(cells), PAIRS // cells):
            apart = torch.cdist(features[n, rows], features[n], compute_mode="donot_use_mm_for_euclid_dist")
            kernel = apart.square_().mul_(-0.5).exp_()
            kernel /= kernel.sum(1, keepdim=True)
            kernel[torch.arange(len(rows)), rows] = 0
            part = (kernel * (1 - p[n, rows] @ p[n].mT)).sum() / (photos * cells)
            part.backward()  # type: ignore[no-untyped-call]
            total += float(part.detach())
    return total, torch.autograd.grad(probabilities, scores, p.grad)[0]


def lattice_difference(points: np.ndarray, cost: np.ndarray) -> float:
    """Largest difference between our lattice's row-normalised sums of probabilities and those of the C++ lattice.

    `points`: (5, P) features, `cost`: (C, P) their negative logarithms. One mean-field step from q returns
    softmax(K q − cost); over the classes K q sums to 1, so it can be read off. The C++ code fills its last vector of
    four points with points at 0, whose corners add ways to its blur: 0 is moved onto a point, whose corners exist.
    """
    points = np.ascontiguousarray(points - points[:, :1])
    crf = dcrf.DenseCRF(points.shape[1], len(cost))
    crf.setUnaryEnergy(cost)
    crf.addPairwiseEnergy(points, compat=1.0, normalization=dcrf.NORMALIZE_AFTER)
    state = crf.startInference()
    before = np.array(state[0])
    crf.stepInference(*state)
    theirs = np.log(np.array(state[0], np.float64)) + cost
    theirs += (1 - theirs.sum(0)) / len(cost)
    sums = build(points.T).filter(np.concatenate([before, np.ones_like(before[:1])]).T)
    return float(np.abs(sums[:, :-1].T / sums[:, -1] - theirs).max())


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
