"""Losses of the student against loops over photos, positions, classes, pairs; and what all of them have in common."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import pytest
import torch
from torch.nn import functional as F

from wsss.core.params import Settings
from wsss.distill.losses.base import Seen, StudentLoss
from wsss.distill.losses.cams import CamLoss, cam_distance
from wsss.distill.losses.correspondence import CorrespondenceLoss, correspondence, draw_points
from wsss.distill.losses.energy import EnergyLoss
from wsss.distill.losses.features import EPS, FeatureLoss, feature_distance
from wsss.distill.losses.grids import shrink, to_coarser
from wsss.distill.losses.kl import KlLoss, confident_kl, present_only
from wsss.distill.losses.pseudo_labels import PseudoLabelLoss
from wsss.distill.losses.tags import TagLoss
from wsss.distill.settings import DistillSettings
from wsss.losses.cams import FLOOR
from wsss.losses.energy import EnergySettings, dense_energy
from wsss.losses.segmentation import balanced_cross_entropy
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


# What all losses have in common


def seen(size: tuple[int, int] = (16, 24)) -> Seen:
    """Everything there may be to look at, for two crops that reach beyond their photos."""
    generator = torch.Generator().manual_seed(30)
    labels = torch.randint(0, 6, (2, *size), generator=generator)
    labels[(labels > 3) | ~PARTLY] = 255
    return Seen(
        images=255 * torch.rand(2, 3, *size, generator=generator),
        labels=labels.byte(),
        confidence=torch.rand(2, *size, generator=generator) * PARTLY,
        inside=PARTLY,
        tags=TAGS,
        keys=((0, 3, 5), (0, 3, 2)),
        logits=2 * maps(4, 8, 12, 31),
        tag_logits=torch.randn(2, 3, generator=generator),
        fine=maps(5, 8, 12, 32),
        coarse=maps(7, 4, 6, 33),
        oste_fine=maps(5, 4, 6, 34),
        oste_coarse=maps(7, 4, 6, 35),
        oste_cams=maps(3, 4, 6, 36).relu(),
        predictions=2 * maps(4, 4, 6, 37),
    )


OF_STUDENT = ("logits", "tag_logits", "fine", "coarse")
OF_TEACHERS = ("oste_fine", "oste_coarse", "oste_cams", "predictions")
PARTS = {
    "features": ("fine", "coarse"),
    "oste": ("oste_fine", "oste_coarse", "oste_cams"),
    "predictions": ("predictions",),
}
TABLE: dict[type[StudentLoss], tuple[str, set[str]]] = {
    PseudoLabelLoss: ("seg_background seg_foreground", {"logits"}),
    TagLoss: ("tags", {"tag_logits"}),
    FeatureLoss: ("feature_fine feature_coarse", {"fine", "coarse"}),
    CorrespondenceLoss: ("corr", {"logits"}),
    KlLoss: ("kl", {"logits"}),
    CamLoss: ("cam", {"logits"}),
    EnergyLoss: ("energy", {"logits"}),
}
"""Of each loss: its terms, and the outputs of the student that its gradient reaches."""


def losses_in(model: type[Settings]) -> Iterator[type[StudentLoss]]:
    """Every kind of loss among the fields of `model`, and of their fields."""
    for field in model.model_fields.values():
        for kind in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, StudentLoss):
                yield kind
            elif isinstance(kind, type) and issubclass(kind, Settings):
                yield from losses_in(kind)


def children(kind: type[StudentLoss]) -> Iterator[type[StudentLoss]]:
    for child in kind.__subclasses__():
        yield child
        yield from children(child)


def test_table_holds_every_loss_that_settings_may_choose() -> None:
    reachable = list(losses_in(DistillSettings))
    assert sorted(kind.__name__ for kind in reachable) == sorted(kind.__name__ for kind in TABLE)
    own = {kind for kind in children(StudentLoss) if kind.__module__.startswith("wsss.")}  # the lab has others
    assert own == set(TABLE), "a loss that is no field of the settings"
    names = [name for kind in reachable for name in kind.names]
    assert len(set(names)) == len(names)  # columns of one history


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_terms_are_finite_and_have_the_names(kind: type[StudentLoss]) -> None:
    terms = kind().terms(seen())
    assert " ".join(terms) == " ".join(kind.names) == TABLE[kind][0]
    for term in terms.values():
        assert term.total.shape == term.weight.shape == ()
        assert term.total.dtype == torch.float32
        assert math.isfinite(term.total.item())
        assert term.total.item() != 0.0
        assert term.weight.item() > 0.0


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_gradient_reaches_the_student_alone(kind: type[StudentLoss]) -> None:
    given = seen()
    leaves = {name: getattr(given, name).clone().requires_grad_() for name in ("images", *OF_STUDENT, *OF_TEACHERS)}
    terms = kind().terms(replace(given, **leaves))
    assert not any(term.weight.requires_grad for term in terms.values())
    whole = torch.stack([term.mean() for term in terms.values()]).sum()
    gradients = dict(zip(leaves, torch.autograd.grad(whole, list(leaves.values()), allow_unused=True), strict=True))
    reached = {name for name, gradient in gradients.items() if gradient is not None and gradient.any()}
    assert reached == TABLE[kind][1]
    assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_what_a_loss_does_not_need_it_does_not_look_at(kind: type[StudentLoss]) -> None:
    assert kind.needs <= PARTS.keys()
    missing = {name: None for need, names in PARTS.items() if need not in kind.needs for name in names}
    least = replace(seen(), **missing)  # type: ignore[arg-type]
    for name, term in kind().terms(least).items():
        whole = kind().terms(seen())[name]
        assert torch.equal(term.total, whole.total)
        assert torch.equal(term.weight, whole.weight)
    for need in kind.needs:
        without = replace(seen(), **dict.fromkeys(PARTS[need]))  # type: ignore[arg-type]
        with pytest.raises(AssertionError):
            kind().terms(without)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_crops_may_come_in_any_order(kind: type[StudentLoss]) -> None:
    given = seen()
    turned = {
        field.name: value[::-1] if isinstance(value := getattr(given, field.name), tuple) else value.flip(0)
        for field in fields(Seen)
    }
    for name, term in kind().terms(Seen(**turned)).items():
        whole = kind().terms(given)[name]
        assert float(term.total) == pytest.approx(float(whole.total), rel=1e-5, abs=1e-6)
        assert float(term.weight) == pytest.approx(float(whole.weight), rel=1e-6)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_the_weight_and_the_switch_are_not_the_business_of_the_terms(kind: type[StudentLoss]) -> None:
    plain, other = kind().terms(seen()), kind(enabled=False, weight=7.0).terms(seen())
    assert all(torch.equal(plain[name].total, other[name].total) for name in kind.names)


# What each makes of what is seen


def same(found: Term, expected: Term) -> None:
    torch.testing.assert_close(found.total, expected.total)
    torch.testing.assert_close(found.weight, expected.weight)


@pytest.mark.parametrize("by_confidence", [True, False])
def test_pseudo_labels_by_confidence_or_all_alike(by_confidence: bool) -> None:
    given = seen()
    weights = given.confidence if by_confidence else torch.ones(2, 16, 24)
    background, foreground = balanced_cross_entropy(given.logits, given.labels, weights)
    terms = PseudoLabelLoss(confidence=by_confidence).terms(given)
    same(terms["seg_background"], background)
    same(terms["seg_foreground"], foreground)


def test_crops_without_labels_weigh_nothing() -> None:
    given = seen()
    unknown = replace(given, labels=torch.full_like(given.labels, 255))
    for term in PseudoLabelLoss(confidence=False).terms(unknown).values():
        assert term.total.item() == term.weight.item() == 0.0


def test_tags_are_a_classification_of_each_class() -> None:
    given = seen()
    assert given.tag_logits is not None
    expected = F.binary_cross_entropy_with_logits(given.tag_logits, TAGS)
    numbers = torch.arange(given.labels[0].numel()) % 3 + 1
    everywhere = replace(given, labels=numbers.reshape(given.labels[0].shape).expand_as(given.labels).byte())
    torch.testing.assert_close(TagLoss().terms(everywhere)["tags"].mean(), expected)


def test_a_tag_that_the_crop_does_not_show_says_nothing() -> None:
    """Known are the classes that the photo is not tagged with, and the tagged ones that have a label in the crop."""
    given = seen()
    labels = torch.full_like(given.labels, 255)
    labels[0, 0, 0] = 1
    assert given.tag_logits is not None
    losses = F.binary_cross_entropy_with_logits(given.tag_logits, TAGS, reduction="none")
    known = TAGS == 0
    known[0, 0] = True
    term = TagLoss().terms(replace(given, labels=labels))["tags"]
    torch.testing.assert_close(term.mean(), losses[known].mean())
    assert term.weight.item() == known.sum()


def test_features_are_compared_level_by_level() -> None:
    given, terms = seen(), FeatureLoss().terms(seen())
    same(terms["feature_fine"], feature_distance(given.fine, given.oste_fine, PARTLY))
    same(terms["feature_coarse"], feature_distance(given.coarse, given.oste_coarse, PARTLY))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_teacher_predicts_the_classes_of_the_tags_alone(temperature: float) -> None:
    given = seen()
    assert given.predictions is not None
    target = given.predictions.clone()
    for n, k in (TAGS == 0).nonzero().tolist():
        target[n, 1 + k] = -1e4
    found = KlLoss(temperature=temperature).terms(given)["kl"]
    same(found, confident_kl(given.logits, target, temperature, PARTLY))


def test_cams_are_those_of_oste() -> None:
    given = seen()
    same(CamLoss().terms(given)["cam"], cam_distance(given.logits, given.oste_cams, TAGS, PARTLY))


def test_energy_is_of_the_crop_with_its_labels_and_settings() -> None:
    given = seen()
    settings = {"sigma_xy": 20.0, "sigma_rgb": 40.0, "stride": 8, "gate": "none"}
    found = EnergyLoss(**settings).terms(given)["energy"]
    expected = EnergySettings(**settings)
    same(found, dense_energy(given.logits, given.images, given.labels, expected, PARTLY))
    assert float(found.total) != pytest.approx(float(EnergyLoss().terms(given)["energy"].total), rel=1e-3)


def test_pairs_are_of_probabilities_and_drawn_for_the_crop() -> None:
    given = seen()
    points = draw_points(given.keys, 6)
    expected = correspondence(given.logits.softmax(1), given.oste_coarse, points, PARTLY)
    same(CorrespondenceLoss(points=6).terms(given)["corr"], expected)


def test_pixel_pairs_belong_to_the_seed_the_epoch_and_the_photo() -> None:
    keys = ((0, 1, 5), (0, 1, 2), (0, 2, 5), (1, 1, 5))
    points = draw_points(keys, 9)
    assert (points.shape, points.dtype) == ((4, 2, 9, 2), torch.float64)
    assert 0 <= points.min() <= points.max() < 1
    assert torch.equal(draw_points(keys[::-1], 9), points.flip(0))
    assert torch.equal(draw_points(keys[1:2], 9), points[1:2])
    assert len({float(value) for value in points.flatten()}) == points.numel()
