"""The learning rate is a closed form of the step."""

from __future__ import annotations

import pytest
import torch

from wsss.training.schedule import learning_rate


def test_values_by_hand() -> None:
    assert learning_rate(0, 100, 0.1, 0.9, 0) == 0.1
    assert learning_rate(50, 100, 0.1, 0.9, 0) == pytest.approx(0.1 * 0.5**0.9)
    assert learning_rate(0, 100, 0.1, 1.0, 10) == pytest.approx(0.01)
    assert learning_rate(4, 100, 0.1, 1.0, 10) == pytest.approx(0.1 * 0.5 * 0.96)
    assert learning_rate(9, 100, 0.1, 1.0, 10) == pytest.approx(0.1 * 0.91)
    assert learning_rate(10, 100, 0.1, 1.0, 10) == pytest.approx(0.1 * 0.90)


def test_equals_torchs_polynomial_decay() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=30, power=0.9)
    for step in range(30):
        assert learning_rate(step, 30, 0.2, 0.9, 0) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_power_zero_keeps_the_rate_and_every_step_learns() -> None:
    assert {learning_rate(step, 10, 0.3, 0.0, 0) for step in range(10)} == {0.3}
    assert all(learning_rate(step, 10, 0.3, 0.9, 20) > 0 for step in range(10))
