"""Mean field of the fully connected CRF over every pair of pixels, without an approximation: torch, blocks of rows.

Each message is an attention over all pixels whose scores are ``−|f_i − f_j|² / 2``; its matrix is never held whole.
Time grows with the square of the pixels: an oracle for small photos, and on a GPU for large ones.
"""

from __future__ import annotations

import numpy as np
import torch

from wsss.crf.settings import CrfSettings
from wsss.numeric.device import device

BLOCK_ELEMENTS = 2**24
"""Pairs of pixels held at once: 64 MiB of float32."""


def infer(image: np.ndarray, unary: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """`image`: (H, W, 3) uint8, `unary`: (C, H, W) float32 energies → (C, H, W) float32, sums to 1 over C."""
    count, height, width = unary.shape
    where = device()
    grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1).reshape(-1, 2)
    colours = torch.from_numpy(np.array(image, np.float32)).reshape(-1, 3)
    near = (grid / settings.spatial_xy).to(where)
    alike = torch.cat([grid / settings.bilateral_xy, colours / settings.bilateral_rgb], 1).to(where)
    energy = torch.from_numpy(np.array(unary, np.float32)).reshape(count, -1).T.to(where)
    kernels = [
        (weight, features, gaussian_sums(features, torch.ones_like(energy[:, :1])).rsqrt())
        for weight, features in ((settings.spatial_weight, near), (settings.bilateral_weight, alike))
    ]
    q = (-energy).softmax(1)
    for _ in range(settings.iterations):
        messages = sum(weight * norm * gaussian_sums(features, norm * q) for weight, features, norm in kernels)
        q = (messages - energy).softmax(1)
    return q.T.reshape(count, height, width).contiguous().cpu().numpy()


def gaussian_sums(features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``Σ_j exp(−|f_i − f_j|² / 2) v_j``. `features`: (N, d), `values`: (N, C) float32 → (N, C) float32."""
    rows = max(1, BLOCK_ELEMENTS // len(features))
    return torch.cat([_kernel(block, features) @ values for block in torch.split(features, rows)])


def _kernel(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    # Differences first: |a|² + |b|² − 2ab loses the small distances, which weigh most, to rounding.
    apart = torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.square_().mul_(-0.5).exp_()
