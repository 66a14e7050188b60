"""What a student takes over from a teacher: features, which pixels belong together, predictions, soft labels.

Our design after DKD-GC (doi 10.11834/jig.250040). Every loss brings both sides to the coarser of their two grids,
carries gradient to the student alone, and looks only at what lies inside the photo.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from wsss.losses.cams import normalise
from wsss.losses.term import Term

EPS = 1e-3
"""Shortest length that vectors are divided by: after a ReLU some are 0, and 1/length is the gradient there."""
NEVER = -1e4
"""Logit of a class that cannot be. Infinity would make 0 · ∞ of its share in a divergence."""


def feature_distance(student: torch.Tensor, teacher: torch.Tensor, inside: torch.Tensor) -> Term:
    """L_feat: mean of ``1 − cos`` between the two feature vectors of a position.

    `student` (N, C, h, w), already projected to the teacher's channels; `teacher` (N, C, h', w'); `inside` (N, H, W)
    bool, True on the photo. Weight: positions, each by its share that lies inside.
    """
    ours, theirs = to_coarser(student.float(), teacher.detach().float())
    weight = shrink(inside, ours)
    distance = 1 - F.cosine_similarity(ours, theirs, dim=1, eps=EPS)
    return Term((distance * weight).sum(), weight.sum())


def correspondence(
    predictions: torch.Tensor, features: torch.Tensor, points: torch.Tensor, inside: torch.Tensor
) -> Term:
    """L_corr: ``−max(0, c)·(f − mean f)`` over pairs of pixels of one photo, the form of STEGO and TSCD.

    c is the cosine of two pixels' `predictions` (N, C, h, w), f of the teacher's `features` (N, D, h', w') there:
    pixels that the teacher finds more alike than the photo's average pair should be predicted alike, others not.
    `points`: (N, 2, P, 2) float64 in [0, 1), two sets of P places (y, x) as shares of height and width; all P·P pairs
    between them count. `inside`: (N, H, W) bool. Weight: pairs, each by the share of its two cells that lies inside.
    """
    maps = to_coarser(predictions.float(), features.detach().float())
    height, width = maps[0].shape[-2:]
    rows = (points[..., 0] * height).long().clamp_max(height - 1)
    places = rows * width + (points[..., 1] * width).long().clamp_max(width - 1)
    c, f = (_pair_cosines(map_, places) for map_ in maps)
    cells = shrink(inside, maps[0]).flatten(1)
    weight = cells.gather(1, places[:, 0])[:, :, None] * cells.gather(1, places[:, 1])[:, None]
    total = weight.sum((1, 2), keepdim=True)
    mean = (weight * f).sum((1, 2), keepdim=True) / total.clamp_min(torch.finfo(total.dtype).tiny)
    return Term(-(weight * c.clamp_min(0) * (f - mean)).sum(), weight.sum())


def confident_kl(student: torch.Tensor, teacher: torch.Tensor, temperature: float, inside: torch.Tensor) -> Term:
    """L_kl: ``T² · KL(softmax(teacher / T) ‖ softmax(student / T))``, each position by the teacher's confidence.

    `student` (N, K+1, h, w) and `teacher` (N, K+1, h', w') logits; `inside` (N, H, W) bool. Confidence is the teacher's
    largest probability at T = 1. Weight: the sum of confidences. T² keeps the gradient's size when T changes.
    """
    ours, theirs = to_coarser(student.float(), teacher.detach().float())
    weight = theirs.softmax(1).amax(1) * shrink(inside, ours)
    target = (theirs / temperature).log_softmax(1)
    divergence = (target.exp() * (target - (ours / temperature).log_softmax(1))).sum(1)
    return Term(temperature**2 * (divergence * weight).sum(), weight.sum())


def cam_distance(student: torch.Tensor, cams: torch.Tensor, tags: torch.Tensor, inside: torch.Tensor) -> Term:
    """L_cam: mean of ``| P_k − norm(M̂_k) |`` over the photo's classes and positions.

    `student`: (N, K+1, h, w) logits; `cams`: (N, K, h', w') ≥ 0, divided by their maximum here; `tags`: (N, K) in
    {0, 1}; `inside`: (N, H, W) bool. Weight: Σ tags · positions inside; a photo without tags weighs nothing.
    """
    ours, theirs = to_coarser(student.float().softmax(1)[:, 1:], normalise(cams.detach().float()))
    weight = shrink(inside, ours)[:, None] * tags.float()[:, :, None, None]
    return Term(((ours - theirs).abs() * weight).sum(), weight.sum())


def present_only(logits: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
    """Logits (N, K+1, h, w) with probability 0 for classes that `tags` (N, K) in {0, 1} say are not in the photo."""
    absent = F.pad(tags == 0, (1, 0), value=False)
    return logits.masked_fill(absent[:, :, None, None], NEVER)


def to_coarser(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both maps on the grid that is coarser in each direction, by means of cells. (N, C, h, w), (N, D, h', w')."""
    size = (min(first.shape[-2], second.shape[-2]), min(first.shape[-1], second.shape[-1]))
    return _means(first, size), _means(second, size)


def shrink(inside: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """(N, H, W) bool → the share of each cell of `maps` (N, C, h, w) that is True: (N, h, w) float32."""
    return _means(inside.float(), (maps.shape[-2], maps.shape[-1]))


def _means(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return maps if maps.shape[-2:] == size else F.adaptive_avg_pool2d(maps, size)


def _pair_cosines(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w), (N, 2, P) numbers of cells → (N, P, P) cosines between the first and the second set."""
    vectors = F.normalize(maps, dim=1, eps=EPS).flatten(2)
    first, second = (vectors.gather(2, places[:, None, side].expand(-1, maps.shape[1], -1)) for side in (0, 1))
    return first.mT @ second
