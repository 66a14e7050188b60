"""Propagation of class activation maps over a photo: positions that look alike get scores that are alike.

A random walk on the affinities of the photo's own features, as in AffinityNet (Ahn and Kwak, CVPR 2018, Eqs (4) and
(5)), whose affinities are learned; here they are cosines of features, as in SEAM's pixel correlation (Wang et al., CVPR
2020, Eq (4)). Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wsss.cams.local import directions
from wsss.models.fusion import resize

SHARPNESS = 4
"""Power of the cosines, β of AffinityNet's Eq (4): what is alike by half counts a sixteenth."""
MOST_CELLS = 4096
"""On a finer grid the walk would need gigabytes (its matrix has the square of it): a coarser one is used there."""


def walk(cams: torch.Tensor, maps: Sequence[torch.Tensor], steps: int) -> torch.Tensor:
    """`cams` (N, K, h, w) ≥ 0 after `steps` steps; `maps`: `local_maps` of the same photos. (N, K, h, w) float32.

    One step replaces each position's score by the mean of all positions' scores, weighted by
    ``ReLU(cosine)^SHARPNESS``.
    """
    size = (cams.shape[-2], cams.shape[-1])
    grid = coarse(size)
    walked = []
    for photo, *levels in zip(cams.float(), *maps, strict=True):  # one by one: the matrices are large
        seen = directions([resize(level[None], grid) for level in levels])[0]
        affinity = (seen @ seen.T).relu_().pow_(SHARPNESS)
        affinity.fill_diagonal_(1.0)  # also of a position like the photo's mean, which is like no other
        affinity /= affinity.sum(1, keepdim=True)
        scores = resize(photo[None], grid)[0].flatten(1).T
        for _ in range(steps):
            scores = affinity @ scores
        walked.append(resize(scores.T.reshape(1, -1, *grid), size)[0])
    return torch.stack(walked)


def coarse(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w), or with the same shape a grid of at most `MOST_CELLS` cells."""
    cells = size[0] * size[1]
    if cells <= MOST_CELLS:
        return size
    factor = (MOST_CELLS / cells) ** 0.5
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
