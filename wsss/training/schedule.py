"""Settings of an optimisation and its learning rate as a pure function of the step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsss.core.params import Settings


class ComputeSettings(Settings):
    """Section `compute` of params.yaml: what changes bits although it is the machine's affair."""

    threads: int = Field(ge=1, description="CPU threads of a training")


class OptimSettings(Settings):
    """Stochastic gradient descent with a polynomially decaying learning rate."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1, description="photos per step, over all processes together")
    lr: float = Field(gt=0, description="learning rate of the pretrained backbone")
    head_lr_factor: float = Field(gt=0, description="new layers learn this many times faster")
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    power: float = Field(ge=0, description="exponent of the decay; 0 keeps the rate constant")
    warmup_steps: int = Field(ge=0, description="steps over which the rate rises from 0")
    clip_norm: float = Field(ge=0, description="longer gradients are shortened to this norm; 0: none is")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]


def learning_rate(step: int, steps: int, base: float, power: float, warmup_steps: int) -> float:
    """Poly schedule with linear warm-up: ``base · (1 − step/steps)^power``, times ``(step+1)/warmup`` at first."""
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return float(base * warm * (1.0 - step / steps) ** power)
