"""The moving average is its closed form."""

from __future__ import annotations

import math

import pytest
import torch
from wsss.distill.teacher import MovingAverage, momentum_at

from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.student import Student


def student(seed: int = 0) -> Student:
    torch.manual_seed(seed)
    return Student(build_backbone(BackboneSettings(name="tiny", weights="random")), 4, 32, 0.5, 0.999)


def shake(network: Student) -> dict[str, torch.Tensor]:
    """Change every parameter and buffer, as a step does; returns the state in float64."""
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor))
            else:
                tensor.add_(1)
    return {name: tensor.double().clone() for name, tensor in network.state_dict().items()}


def test_momentum_rises_from_the_first_to_one() -> None:
    values = [momentum_at(0.9, step, 10) for step in range(11)]
    assert values[0] == pytest.approx(0.9)
    assert values[5] == pytest.approx(0.95)
    assert values[10] == 1.0
    assert values == sorted(values)
    assert momentum_at(0.9994, 0, 7) == pytest.approx(0.9994)


@pytest.mark.parametrize("starts", [0, 3])
def test_average_equals_its_closed_form(starts: int) -> None:
    """θ' after n steps = Π m_j · θ_0 + Σ_j (1 − m_j) Π_{i>j} m_i · θ_j."""
    steps, network = 9, student()
    average = MovingAverage(network, 0.6, starts, "32-true")
    history = [{name: tensor.double().clone() for name, tensor in network.state_dict().items()}]
    for step in range(1, steps + 1):
        history.append(shake(network))
        average.follow(step, steps)
    m = [1 - (1 - 0.6) * (1 + math.cos(math.pi * j / (steps - starts))) / 2 for j in range(steps - starts)]
    for name, tensor in average.network.state_dict().items():
        if not tensor.is_floating_point():
            assert torch.equal(tensor.double(), history[-1][name])
            continue
        expected = math.prod(m) * history[starts][name]
        for j, keep in enumerate(m):
            expected = expected + (1 - keep) * math.prod(m[j + 1 :]) * history[starts + 1 + j][name]
        torch.testing.assert_close(tensor.double(), expected, rtol=1e-4, atol=1e-5)


def test_average_is_torchs_own() -> None:
    network = student()
    ours = MovingAverage(network, 0.9, 0, "32-true")
    theirs = torch.optim.swa_utils.AveragedModel(
        network,
        avg_fn=lambda mine, new, n: mine + (1 - momentum_at(0.9, int(n) - 1, 5)) * (new - mine),
        use_buffers=True,
    )
    theirs.update_parameters(network)  # its first call copies
    for step in range(1, 6):
        shake(network)
        ours.follow(step, 5)
        theirs.update_parameters(network)
    for name, tensor in ours.network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, theirs.module.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_before_it_starts_it_is_left_alone_and_then_a_copy() -> None:
    network = student()
    average = MovingAverage(network, 0.5, 3, "32-true")
    untouched = {name: tensor.clone() for name, tensor in average.network.state_dict().items()}
    for step in (1, 2):
        shake(network)
        average.follow(step, 9)
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in average.network.state_dict().items())
    shake(network)
    average.follow(3, 9)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in average.network.state_dict().items())


def test_average_is_no_part_of_the_student() -> None:
    network = student()
    average = MovingAverage(network, 0.5, 0, "32-true")
    assert not {id(p) for p in network.parameters()} & {id(p) for p in average.network.parameters()}
    network.train()
    assert not average.network.training
    images = 255 * torch.rand(2, 3, 32, 32)
    first, second = average.predict(images), average.predict(images)
    assert torch.equal(first, second)  # no dropout
    assert torch.equal(first, average.network.look(images).logits)  # of all classes: the photo's tags are given
    assert not torch.equal(first, average.network(images))
    assert not first.requires_grad
    assert not first.is_inference()
    (first * torch.ones_like(first, requires_grad=True)).sum().backward()  # autograd may keep it


def test_state_is_continued() -> None:
    network = student()
    average = MovingAverage(network, 0.5, 0, "32-true")
    shake(network)
    average.follow(1, 4)
    again = MovingAverage(student(7), 0.5, 0, "32-true")
    again.load_state_dict(average.state_dict())
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, average.network.state_dict()[name])
