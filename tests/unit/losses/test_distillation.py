"""Losses between student and teacher against loops over photos, positions, classes and pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F
from wsss.losses.distillation import (
    EPS,
    cam_distance,
    confident_kl,
    correspondence,
    feature_distance,
    present_only,
    shrink,
    to_coarser,
)

from wsss.losses.cams import FLOOR
from wsss.losses.term import Term

INSIDE = torch.ones(2, 16, 24, dtype=torch.bool)
PARTLY = INSIDE.clone()
PARTLY[0, :, 13:] = False
PARTLY[1, :2] = False
TAGS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
Values = dict[tuple[int, ...], float]


def maps(channels: int, height: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def blocks(tensor: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Means of equal blocks, by loops; the grids of these tests divide each other."""
    rows, columns = tensor.shape[-2] // size[0], tensor.shape[-1] // size[1]
    out = torch.zeros(*tensor.shape[:-2], *size)
    for y in range(size[0]):
        for x in range(size[1]):
            block = tensor[..., y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
            out[..., y, x] = block.double().mean((-2, -1)).float()
    return out


def cosine(a: list[float], b: list[float]) -> float:
    lengths = [max(math.sqrt(sum(v * v for v in vector)), EPS) for vector in (a, b)]
    return sum(x * y for x, y in zip(a, b, strict=True)) / (lengths[0] * lengths[1])


def softmax(logits: list[float]) -> list[float]:
    shares = [math.exp(v - max(logits)) for v in logits]
    return [share / sum(shares) for share in shares]


def check(term: Term, total: float, weight: float) -> None:
    assert float(term.weight) == pytest.approx(weight, rel=1e-5)
    assert float(term.total) == pytest.approx(total, rel=1e-4, abs=1e-5)


# Student's grid, teacher's grid, and the coarser of the two.
GRIDS = [((4, 6), (4, 6), (4, 6)), ((8, 12), (4, 6), (4, 6)), ((4, 6), (8, 12), (4, 6)), ((2, 12), (4, 6), (2, 6))]


@pytest.mark.parametrize("inside", [INSIDE, PARTLY])
@pytest.mark.parametrize(("ours", "theirs", "grid"), GRIDS)
def test_feature_distance_equals_a_loop(
    ours: tuple[int, int], theirs: tuple[int, int], grid: tuple[int, int], inside: torch.Tensor
) -> None:
    student, teacher = maps(5, *ours, seed=0), maps(5, *theirs, seed=1)
    a, b, share = blocks(student, grid), blocks(teacher, grid), blocks(inside.float(), grid)
    total = weight = 0.0
    for n in range(2):
        for y in range(grid[0]):
            for x in range(grid[1]):
                distance = 1 - cosine(a[n, :, y, x].tolist(), b[n, :, y, x].tolist())
                total, weight = total + float(share[n, y, x]) * distance, weight + float(share[n, y, x])
    check(feature_distance(student, teacher, inside), total, weight)


@pytest.mark.parametrize("inside", [INSIDE, PARTLY])
@pytest.mark.parametrize(("ours", "theirs", "grid"), GRIDS)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_kl_equals_a_loop(
    ours: tuple[int, int], theirs: tuple[int, int], grid: tuple[int, int], inside: torch.Tensor, temperature: float
) -> None:
    student, teacher = 2 * maps(4, *ours, seed=2), 2 * maps(4, *theirs, seed=3)
    a, b, share = blocks(student, grid), blocks(teacher, grid), blocks(inside.float(), grid)
    total = weight = 0.0
    for n in range(2):
        for y in range(grid[0]):
            for x in range(grid[1]):
                p = softmax([v / temperature for v in b[n, :, y, x].tolist()])
                q = softmax([v / temperature for v in a[n, :, y, x].tolist()])
                sure = max(softmax(b[n, :, y, x].tolist())) * float(share[n, y, x])
                divergence = sum(i * math.log(i / j) for i, j in zip(p, q, strict=True))
                total, weight = total + sure * divergence * temperature**2, weight + sure
    check(confident_kl(student, teacher, temperature, inside), total, weight)


@pytest.mark.parametrize("inside", [INSIDE, PARTLY])
@pytest.mark.parametrize(("ours", "theirs", "grid"), GRIDS)
def test_cam_distance_equals_a_loop(
    ours: tuple[int, int], theirs: tuple[int, int], grid: tuple[int, int], inside: torch.Tensor
) -> None:
    student, cams = maps(4, *ours, seed=4), maps(3, *theirs, seed=5).relu()
    cams[0, 2] *= FLOOR / 100  # no evidence: not stretched
    stretched = torch.stack([torch.stack([map_ / max(float(map_.max()), FLOOR) for map_ in photo]) for photo in cams])
    probabilities = torch.zeros(2, 4, *ours)
    for n in range(2):
        for y in range(ours[0]):
            for x in range(ours[1]):
                probabilities[n, :, y, x] = torch.tensor(softmax(student[n, :, y, x].tolist()))
    a, b, share = blocks(probabilities[:, 1:], grid), blocks(stretched, grid), blocks(inside.float(), grid)
    total = weight = 0.0
    for n, k in TAGS.nonzero().tolist():
        for y in range(grid[0]):
            for x in range(grid[1]):
                total += float(share[n, y, x]) * abs(float(a[n, k, y, x]) - float(b[n, k, y, x]))
                weight += float(share[n, y, x])
    check(cam_distance(student, cams, TAGS, inside), total, weight)


def places(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 2, count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("inside", [INSIDE, PARTLY])
@pytest.mark.parametrize(("ours", "theirs", "grid"), GRIDS)
def test_correspondence_equals_a_loop(
    ours: tuple[int, int], theirs: tuple[int, int], grid: tuple[int, int], inside: torch.Tensor
) -> None:
    predictions, features, points = maps(4, *ours, seed=6), maps(7, *theirs, seed=7), places(5)
    a, b, share = blocks(predictions, grid), blocks(features, grid), blocks(inside.float(), grid)
    total = weight = 0.0
    for n in range(2):
        cells = [[(int(y * grid[0]), int(x * grid[1])) for y, x in points[n, side].tolist()] for side in (0, 1)]
        pairs: list[tuple[float, float, float]] = []
        for first in cells[0]:
            for second in cells[1]:
                c = cosine(a[n, :, first[0], first[1]].tolist(), a[n, :, second[0], second[1]].tolist())
                f = cosine(b[n, :, first[0], first[1]].tolist(), b[n, :, second[0], second[1]].tolist())
                pairs.append((float(share[n][first]) * float(share[n][second]), c, f))
        weights = sum(w for w, _, _ in pairs)
        mean = sum(w * f for w, _, f in pairs) / weights
        total -= sum(w * max(0.0, c) * (f - mean) for w, c, f in pairs)
        weight += weights
    check(correspondence(predictions, features, points, inside), total, weight)


def test_correspondence_pulls_alike_pixels_together_and_others_apart() -> None:
    features = torch.zeros(1, 2, 2, 2)
    features[0, 0, 0], features[0, 1, 1] = 1.0, 1.0  # the upper row is one thing, the lower another
    points = torch.tensor([(y, x) for y in (0.1, 0.6) for x in (0.1, 0.6)], dtype=torch.float64).expand(1, 2, 4, 2)
    inside = torch.ones(1, 2, 2, dtype=torch.bool)
    logits = (0.1 * torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))).requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=20.0)
    for _ in range(200):
        optimizer.zero_grad()
        correspondence(logits.softmax(1), features, points, inside).mean().backward()
        optimizer.step()
    labels = logits.argmax(1)[0]
    assert labels[0, 0] == labels[0, 1] != labels[1, 0]
    assert labels[1, 0] == labels[1, 1]


def test_places_at_the_very_edge_are_in_the_last_cell() -> None:
    points = torch.full((2, 2, 3, 2), math.nextafter(1.0, 0.0), dtype=torch.float64)
    term = correspondence(maps(4, 3, 7, 0), maps(5, 3, 7, 1), points, INSIDE)
    assert float(term.weight) == 18.0
    assert float(term.total) == pytest.approx(0.0, abs=1e-5)  # every pair is the average pair


def all_losses(student: torch.Tensor, teacher: torch.Tensor, inside: torch.Tensor) -> dict[str, Term]:
    """Of maps (2, 4, h, w); CAMs are the teacher's last three channels."""
    return {
        "feature": feature_distance(student, teacher, inside),
        "correspondence": correspondence(student.softmax(1), teacher, places(6), inside),
        "kl": confident_kl(student, teacher, 2.0, inside),
        "cam": cam_distance(student, teacher[:, 1:].relu(), TAGS, inside),
    }


LOSSES = list(all_losses(maps(4, 4, 6, 0), maps(4, 4, 6, 1), INSIDE))


def test_teacher_equal_to_the_student_leaves_nothing_to_learn() -> None:
    same = maps(4, 4, 6, 8)
    for loss in (feature_distance(same, same, INSIDE), confident_kl(same, same, 2.0, INSIDE)):
        assert float(loss.total) == pytest.approx(0.0, abs=1e-5)
    student = same.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(confident_kl(student, same, 2.0, INSIDE).total, student)
    assert float(gradient.abs().max()) < 1e-6
    assert float(cam_distance(same, same.softmax(1)[:, 1:], TAGS, INSIDE).total) > 0  # a map's maximum becomes 1


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_reaches_the_student_and_never_the_teacher(name: str) -> None:
    student, teacher = maps(4, 8, 12, 9).requires_grad_(), maps(4, 4, 6, 10).requires_grad_()
    term = all_losses(student, teacher, PARTLY)[name]
    assert not term.weight.requires_grad
    ours, theirs = torch.autograd.grad(term.mean(), (student, teacher), allow_unused=True)
    assert theirs is None
    assert float(ours.abs().sum()) > 0
    assert not ours[0, :, :, 8:].any(), "outside the photo"


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_equals_finite_differences(name: str) -> None:
    student, teacher = maps(4, 4, 6, 11), maps(4, 2, 3, 12)

    def loss(values: torch.Tensor) -> float:
        return float(all_losses(values, teacher, PARTLY)[name].total)

    moving = student.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(all_losses(moving, teacher, PARTLY)[name].total, moving)
    direction = maps(4, 4, 6, 13)
    step = 1e-2
    slope = (loss(student + step * direction) - loss(student - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=2e-2, abs=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_photos_do_not_see_each_other(name: str) -> None:
    """Hence two processes with a photo each give the loss of one with both."""
    student, teacher = maps(4, 4, 6, 14), maps(4, 8, 12, 15)
    both = all_losses(student, teacher, PARTLY)[name]
    parts: list[Term] = []
    for n in range(2):
        one = PARTLY.clone()
        one[1 - n] = False  # a photo that lies outside altogether weighs nothing
        parts.append(all_losses(student, teacher, one)[name])
    assert float(both.total) == pytest.approx(sum(float(part.total) for part in parts), rel=1e-4)
    assert float(both.weight) == pytest.approx(sum(float(part.weight) for part in parts), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_inside_is_nothing_and_no_nan(name: str) -> None:
    student = maps(4, 4, 6, 16).requires_grad_()
    term = all_losses(student, maps(4, 4, 6, 17), torch.zeros_like(INSIDE))[name]
    assert term.total.item() == term.weight.item() == term.mean().item() == 0.0
    (gradient,) = torch.autograd.grad(term.mean(), student)
    assert not gradient.any()


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_summed_in_full(name: str) -> None:
    assert (
        all_losses(maps(4, 4, 6, 18).bfloat16(), maps(4, 4, 6, 19).bfloat16(), INSIDE)[name].total.dtype
        == torch.float32
    )


@pytest.mark.parametrize("make", [lambda x: x, lambda x: torch.cat([x, -x], 1)])
def test_zero_features_have_a_bounded_gradient(make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    student = torch.zeros(2, 4, 4, 6, requires_grad=True)
    term = feature_distance(make(student), make(maps(4, 4, 6, 20)), INSIDE)
    assert term.mean().item() == pytest.approx(1.0)
    (gradient,) = torch.autograd.grad(term.total, student)
    assert float(gradient.abs().max()) <= 2 / EPS


def test_absent_classes_get_no_probability_and_no_gradient_arithmetic_fails() -> None:
    logits = maps(4, 4, 6, 21)
    p = present_only(logits, TAGS).softmax(1)
    for n in range(2):
        present = [0, *(1 + k for k in range(3) if TAGS[n, k])]
        absent = [k for k in range(4) if k not in present]
        assert not p[n, absent].any()
        torch.testing.assert_close(p[n, present], logits[n, present].softmax(0))
    student = maps(4, 4, 6, 22).requires_grad_()
    term = confident_kl(student, present_only(logits, TAGS), 2.0, INSIDE)
    assert math.isfinite(term.total.item())
    assert torch.autograd.grad(term.total, student)[0].isfinite().all()
    none = present_only(logits, torch.zeros_like(TAGS)).softmax(1)
    assert (none[:, 0] == 1).all()


def test_grids_that_do_not_divide_each_other_meet_on_the_coarser() -> None:
    first, second = to_coarser(maps(4, 5, 9, 0), maps(3, 4, 11, 1))
    assert first.shape == (2, 4, 4, 9)
    assert second.shape == (2, 3, 4, 9)
    torch.testing.assert_close(first, F.interpolate(maps(4, 5, 9, 0), (4, 9), mode="area"))
    assert shrink(PARTLY, first).shape == (2, 4, 9)
