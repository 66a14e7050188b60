"""Eqs (18)–(21) against the double sum over pairs of pixels, and the gradient against finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from wsss.losses.energy import (
    EnergySettings,
    dense_energy,
    pixel_features,
    potts_energy,
    soft_gate,
)


def settings(**changes: Any) -> EnergySettings:
    values: dict[str, Any] = {"sigma_xy": 100.0, "sigma_rgb": 15.0, "stride": 4, "gate": "soft"}
    return EnergySettings(**{"enabled": True, **values, **changes})


def case(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, images with contrasts of about σ_r, labels of which a third is known; float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes, 4, 5, generator=generator, dtype=torch.float64)
    images = 110 + 40 * torch.rand(2, 3, 16, 20, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3 * classes, (2, 16, 20), generator=generator)
    labels[labels >= classes] = 255
    return logits, images, labels.byte()


def double_sum(
    logits: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    chosen: EnergySettings,
    inside: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """Per photo; the grid is that of the logits. Written over pairs; torch's scalars carry the gradient."""
    inside = torch.ones_like(labels, dtype=torch.bool) if inside is None else inside
    results = []
    height, width = logits.shape[2:]
    for n in range(len(logits)):
        cells = [(y, x) for y in range(height) for x in range(width)]
        p, colour, gate, share = {}, {}, {}, {}
        for y, x in cells:
            s = chosen.stride
            p[y, x] = logits[n, :, y, x].exp() / logits[n, :, y, x].exp().sum()
            colour[y, x] = [
                sum(float(v) for v in channel[s * y : s * y + s, s * x : s * x + s].flatten()) / s**2
                for channel in images[n]
            ]
            cell = inside[n, s * y : s * y + s, s * x : s * x + s].flatten().tolist()
            share[y, x] = sum(cell) / s**2
            known = int(labels[n, s * y + s // 2, s * x + s // 2]) != 255
            gate[y, x] = 1 - float(p[y, x].detach().max()) if known and chosen.gate == "soft" else 1.0

        def kernel(
            i: tuple[int, int], j: tuple[int, int], colour: dict[tuple[int, int], list[float]] = colour
        ) -> float:
            place = sum((chosen.stride * (a - b)) ** 2 for a, b in zip(i, j, strict=True))
            tone = sum((a - b) ** 2 for a, b in zip(colour[i], colour[j], strict=True))
            return math.exp(-place / (2 * chosen.sigma_xy**2) - tone / (2 * chosen.sigma_rgb**2))

        energy = torch.zeros((), dtype=torch.float64)
        for i in cells:
            norm = sum(share[j] * kernel(i, j) for j in cells)
            for j in cells:
                if i != j and share[i]:
                    pair = share[i] * share[j] * kernel(i, j) / norm
                    energy = energy + gate[i] * pair * (1 - (p[i] * p[j]).sum())
        results.append(energy)
    return results


@pytest.mark.parametrize("gate", ["soft", "none"])
@pytest.mark.parametrize("sigma_xy", [6.0, 100.0])
def test_energy_and_gradient_equal_the_double_sum(gate: str, sigma_xy: float) -> None:
    logits, images, labels = case(0)
    logits.requires_grad_()
    chosen = settings(gate=gate, sigma_xy=sigma_xy)
    ours = dense_energy(logits, images, labels, chosen)
    expected = torch.stack(double_sum(logits, images, labels, chosen)).sum()
    assert float(ours.weight) == 2 * 4 * 5
    torch.testing.assert_close(ours.total, expected)
    gradient, reference = (torch.autograd.grad(total, logits)[0] for total in (ours.total, expected))
    torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("sigma_xy", [6.0, 100.0])
def test_what_lies_beside_the_photo_counts_neither_as_a_pixel_nor_as_a_neighbour(sigma_xy: float) -> None:
    logits, images, labels = case(3)
    inside = torch.ones_like(labels, dtype=torch.bool)
    inside[0, :, 11:] = False  # one column of cells in part, two altogether
    inside[1, :6] = False
    labels[~inside], images.movedim(1, -1)[~inside] = 255, 1e3  # resembles nothing: K is 0, and nothing is 0 / 0
    logits.requires_grad_()
    ours = dense_energy(logits, images, labels, settings(sigma_xy=sigma_xy), inside)
    expected = torch.stack(double_sum(logits, images, labels, settings(sigma_xy=sigma_xy), inside)).sum()
    assert float(ours.weight) == pytest.approx(inside.sum() / 16)
    torch.testing.assert_close(ours.total, expected)
    gradient, reference = (torch.autograd.grad(total, logits)[0] for total in (ours.total, expected))
    torch.testing.assert_close(gradient, reference)
    assert not gradient[0, :, :, 3:].any()
    assert gradient[0, :, :, :3].any()


def test_single_precision_is_as_good() -> None:
    logits, images, labels = case(1)
    images = images.round()
    gradients = []
    for dtype in (torch.float32, torch.float64):
        scores = logits.to(dtype).requires_grad_()
        term = dense_energy(scores, images.to(dtype), labels, settings())
        gradients.append(torch.autograd.grad(term.mean(), scores)[0].double())
    assert float(F.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0)) > 0.9999
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-7)


def test_gradient_equals_finite_differences() -> None:
    logits, images, _ = case(2)
    features = pixel_features(images, (4, 5), 20.0, 15.0)
    gate = torch.rand(2, 4, 5, dtype=torch.float64)

    def energy(scores: torch.Tensor) -> torch.Tensor:
        return potts_energy(scores.softmax(1), features, gate).total

    assert torch.autograd.gradcheck(energy, logits.requires_grad_())


def test_hard_labels_pay_for_every_pair_that_differs() -> None:
    """Potts: with one-hot P the bracket of Eq (18) is [label_i ≠ label_j]."""
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (1, 4, 5))
    features = pixel_features(255 * torch.rand(1, 3, 4, 5), (4, 5), 5.0, 100.0)
    matrix = torch.exp(-torch.cdist(features, features).square() / 2)[0]
    flat = labels.flatten()
    expected = ((matrix / matrix.sum(1, keepdim=True)) * (flat[:, None] != flat[None])).sum()
    one_hot = F.one_hot(labels, 3).movedim(-1, 1).float()
    torch.testing.assert_close(potts_energy(one_hot, features, torch.ones(1, 4, 5)).total, expected)


def test_constant_probabilities_on_a_flat_image_have_a_known_energy() -> None:
    """K = 1 everywhere: W = 20, and each of the 19 others costs 1 − Σ p²."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    logits = p.log()[None, :, None, None].expand(1, 3, 4, 5)
    images, labels = torch.full((1, 3, 16, 20), 99.0, dtype=torch.float64), torch.full((1, 16, 20), 255)
    term = dense_energy(logits, images, labels, settings(sigma_xy=1e6))
    assert float(term.mean()) == pytest.approx(19 / 20 * (1 - 0.25 - 0.09 - 0.04), rel=1e-6)


def test_one_sure_class_costs_nothing() -> None:
    logits = torch.zeros(1, 3, 4, 5)
    logits[:, 1] = 50.0
    _, images, labels = case(3)
    assert float(dense_energy(logits, images[:1].float(), labels[:1], settings()).mean()) == pytest.approx(0, abs=1e-6)


def test_gate_is_one_without_a_label_and_doubt_with_one_and_has_no_gradient() -> None:
    p = torch.tensor([[0.7, 0.2, 1.0], [0.3, 0.8, 0.0]]).reshape(1, 2, 1, 3).requires_grad_()
    gate = soft_gate(p, torch.tensor([[[255, 1, 0]]]))
    torch.testing.assert_close(gate, torch.tensor([[[1.0, 0.2, 0.0]]]))
    assert not gate.requires_grad


def test_gated_pixel_still_draws_its_neighbours() -> None:
    p = torch.tensor([[1.0, 0.6], [0.0, 0.4]]).reshape(1, 2, 1, 2).requires_grad_()
    term = potts_energy(p, torch.zeros(1, 2, 5), torch.tensor([[[0.0, 1.0]]]))
    assert term.total.item() == pytest.approx(0.5 * (1 - 0.6))
    (gradient,) = torch.autograd.grad(term.total, p)
    assert gradient[0, :, 0, 1].tolist() == pytest.approx([-0.5, 0.0])


def test_crop_without_labels_equals_no_gate() -> None:
    logits, images, labels = case(4)
    unknown = torch.full_like(labels, 255)
    soft, none = (dense_energy(logits, images, unknown, settings(gate=gate)) for gate in ("soft", "none"))
    assert torch.equal(soft.total, none.total)
    assert torch.isfinite(soft.total)
    assert float(dense_energy(logits, images, labels, settings()).total) < float(soft.total)


@pytest.mark.parametrize("size", [(16, 20), (17, 23), (3, 3), (1, 50)])
def test_any_size_of_crop_and_any_grid_of_logits(size: tuple[int, int]) -> None:
    grid = (-(-size[0] // 4), -(-size[1] // 4))
    for shape in ((1, 1), (2, 9), grid):
        logits = torch.randn(2, 3, *shape, requires_grad=True)
        term = dense_energy(logits, 255 * torch.rand(2, 3, *size), torch.full((2, *size), 255), settings())
        assert float(term.weight) == 2 * grid[0] * grid[1]
        assert torch.autograd.grad(term.mean(), logits)[0].isfinite().all()


def test_reach_is_in_pixels_of_the_photo_whatever_the_resolution() -> None:
    images = torch.rand(1, 3, 4, 5).mul(255).repeat_interleave(8, 2).repeat_interleave(8, 3)
    fine, coarse = (pixel_features(images, size, 100.0, 15.0) for size in ((32, 40), (4, 5)))
    distances = torch.cdist(coarse, coarse)
    centres = fine.reshape(1, 4, 8, 5, 8, 5).mean((2, 4)).reshape(1, 20, 5)
    torch.testing.assert_close(torch.cdist(centres, centres), distances, rtol=1e-3, atol=1e-3)


def test_mean_is_independent_of_size() -> None:
    """Tiling flat colour: the mean does not grow with the number of pixels."""
    p = torch.tensor([0.5, 0.5]).log()[None, :, None, None]
    means = [
        float(dense_energy(p, torch.zeros(1, 3, s, s), torch.full((1, s, s), 255), settings(sigma_xy=8.0)).mean())
        for s in (80, 160)
    ]
    assert means[0] == pytest.approx(means[1], rel=0.1)


def test_halves_of_a_batch_add_up_and_classes_only_change_places() -> None:
    logits, images, labels = case(5)
    whole = dense_energy(logits, images, labels, settings())
    parts = [dense_energy(logits[n : n + 1], images[n : n + 1], labels[n : n + 1], settings()) for n in (0, 1)]
    torch.testing.assert_close(parts[0].total + parts[1].total, whole.total)
    torch.testing.assert_close(parts[0].weight + parts[1].weight, whole.weight)
    torch.testing.assert_close(dense_energy(logits[:, [2, 0, 1]], images, labels, settings()).total, whole.total)


def test_autocast_does_not_reach_the_kernel() -> None:
    logits, images, labels = case(6)
    logits, images = logits.float(), images.float()
    plain = dense_energy(logits, images, labels, settings())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(dense_energy(logits, images, labels, settings()).total, plain.total)
