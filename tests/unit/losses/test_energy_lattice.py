"""The dense energy on grids that are filtered on the lattice: its own kernel summed over pairs, and the exact one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from wsss.crf.lattice import build
from wsss.losses import gaussian
from wsss.losses.energy import EnergySettings, dense_energy, pixel_features, potts_energy

SETTINGS = EnergySettings(enabled=True, sigma_xy=100.0, sigma_rgb=15.0, stride=4, gate="soft")


@pytest.fixture
def on_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian, "EXACT_CELLS", 0)


def photo(side: int) -> torch.Tensor:
    """Two crops of one photo, as different as photos are. (2, 3, side, side) float 0..255."""
    data = pytest.importorskip("skimage.data")
    picture = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1).float()
    crops = torch.stack([picture[:, :256, 100:356], picture[:, 256:, 256:]])
    return F.interpolate(crops, (side, side), mode="bilinear", antialias=True)


def pair_energy(p: torch.Tensor, matrices: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Eq (18) as a sum over pairs for any kernel `matrices` (N, P, P); `p`: (N, C, h, w)."""
    others = matrices * (1 - torch.eye(matrices.shape[1], dtype=matrices.dtype))
    flat = p.flatten(2)
    return (gate.flatten(1)[:, :, None] * others / matrices.sum(2, keepdim=True) * (1 - flat.mT @ flat)).sum()


def smooth_logits(side: int) -> torch.Tensor:
    coarse = 3 * torch.randn(2, 5, side // 4, side // 4, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (side, side), mode="bilinear")


@pytest.mark.usefixtures("on_lattice")
def test_lattice_energy_is_the_sum_over_pairs_of_its_own_kernel() -> None:
    """Against the lattice's kernel written out as a matrix in float64, diagonal and all."""
    features, gate = pixel_features(photo(24), (24, 24), 30.0, 15.0), torch.rand(2, 24, 24)
    p = smooth_logits(24).softmax(1).requires_grad_()
    ours = potts_energy(p, features, gate).total
    matrices = torch.stack(
        [torch.from_numpy(build(f).filter(np.eye(576, dtype=np.float32))).double() for f in features.numpy()]
    )
    double = p.detach().double().requires_grad_()
    expected = pair_energy(double, matrices, gate.double())
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)
    gradient, reference = torch.autograd.grad(ours, p)[0], torch.autograd.grad(expected, double)[0]
    torch.testing.assert_close(gradient.double(), reference, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("on_lattice")
def test_lattice_gradient_equals_finite_differences() -> None:
    """The energy is quadratic in P: a central difference is exact whatever its step, a large one loses no digits."""
    features, gate = pixel_features(photo(32), (32, 32), 30.0, 15.0), torch.rand(2, 32, 32)
    p = smooth_logits(32).softmax(1).requires_grad_()
    (gradient,) = torch.autograd.grad(potts_energy(p, features, gate).total, p)
    for seed in range(3):
        direction = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)) + 2 * gradient
        ahead, behind = (
            potts_energy(p.detach() + step * direction, features, gate).total.double() for step in (0.5, -0.5)
        )
        expected = (gradient.double() * direction.double()).sum()
        assert float(ahead - behind) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.usefixtures("on_lattice")
def test_lattice_gradient_points_where_the_exact_one_does() -> None:
    images, logits = photo(48), smooth_logits(48)
    features = pixel_features(images, (48, 48), 100.0, 15.0)
    gate = torch.ones(2, 48, 48)
    scores, double = logits.clone().requires_grad_(), logits.double().requires_grad_()
    ours = potts_energy(scores.softmax(1), features, gate).total
    expected = pair_energy(
        double.softmax(1), torch.exp(-torch.cdist(features, features).double().square() / 2), gate.double()
    )
    assert ours.item() == pytest.approx(expected.item(), rel=0.05)
    gradient, reference = torch.autograd.grad(ours, scores)[0].double(), torch.autograd.grad(expected, double)[0]
    assert float(F.cosine_similarity(gradient.flatten(), reference.flatten(), dim=0)) > 0.99
    assert float(gradient.norm() / reference.norm()) == pytest.approx(1, abs=0.05)


@pytest.mark.usefixtures("on_lattice")
def test_lattice_energy_is_never_negative_and_isolated_pixels_pay_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    features = 30 * torch.randn(1, 400, 5, generator=generator)
    for spread in (0.0, 0.02, 0.1, 1.0):
        for sharp in (0.0, 1.0, 30.0):
            p = (sharp * torch.randn(1, 4, 20, 20, generator=generator)).softmax(1)
            mean = float(potts_energy(p, spread * features, torch.ones(1, 20, 20)).mean())
            assert mean >= -1e-6
            if spread == 1:
                assert mean == pytest.approx(0, abs=1e-6)
    lonely = 0.02 * features
    lonely[0, 7] = 40.0
    gate = torch.zeros(1, 20, 20)
    gate.view(-1)[7] = 1
    assert float(potts_energy(p, lonely, gate).total) == pytest.approx(0, abs=1e-6)


def test_large_grids_take_the_lattice_and_agree_with_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = photo(264), torch.full((2, 264, 264), 255)
    logits = smooth_logits(66).requires_grad_()
    results = []
    for cells in (gaussian.EXACT_CELLS, 66 * 66):
        monkeypatch.setattr(gaussian, "EXACT_CELLS", cells)
        loss = dense_energy(logits, images, labels, SETTINGS).mean()
        results.append((float(loss.detach()), torch.autograd.grad(loss, logits)[0].flatten()))
    (lattice, gradient), (exact, reference) = results
    assert lattice != exact
    assert lattice == pytest.approx(exact, rel=0.05)
    assert float(F.cosine_similarity(gradient, reference, dim=0)) > 0.99
