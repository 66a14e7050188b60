"""Settings of an optimisation, and its learning rate as a pure function of the step."""

from __future__ import annotations

from pydantic import Field

from wsss.core.params import Settings, unit
from wsss.numeric.half import Precision


class ComputeSettings(Settings):
    """Section `compute` of params.yaml."""

    threads: int = Field(
        default=2,
        ge=1,
        le=1024,
        description="CPU threads of a training. A setting, not an environment variable, because it changes results "
        "in the last bits",
    )


class OptimSettings(Settings):
    """Stochastic gradient descent with a polynomially decaying learning rate."""

    epochs: int = Field(
        default=0,
        ge=0,
        description="passes over the training photos; 0: as many as make the steps of the rule of `training.rules`",
        json_schema_extra=unit("epochs"),
    )
    batch: int = Field(
        default=8, ge=1, description="photos per step, over all processes together", json_schema_extra=unit("photos")
    )
    lr: float = Field(gt=0, description="learning rate of the pretrained backbone")
    head_lr_factor: float = Field(default=10, gt=0, description="new layers learn this many times faster")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum")
    weight_decay: float = Field(default=1e-4, ge=0, description="of kernels; biases and normalisation have none")
    power: float = Field(default=0.9, ge=0, description="exponent of the learning rate's decay; 0 keeps it constant")
    warmup_steps: int = Field(
        default=10, ge=0, description="steps over which the learning rate rises from 0", json_schema_extra=unit("steps")
    )
    clip_norm: float = Field(default=0, ge=0, description="gradients are clipped to this norm; 0 clips none")
    precision: Precision = Field(
        default="auto",
        validate_default=True,
        description="auto: bf16-mixed where the GPU or the processor computes in bf16, else 32-true; each gives other "
        "bits. 16-mixed needs a GPU",
    )


class GentleOptim(OptimSettings):
    """For a network that knows the tags already, and must not lose that: one rate for all of it, clipped gradients.

    Linear probing, then fine-tuning (Kumar et al., ICLR 2022, arXiv 2202.10054).
    """

    lr: float = Field(default=0.01, gt=0, description="learning rate of the pretrained backbone")
    head_lr_factor: float = Field(default=1, gt=0, description="new layers learn this many times faster")
    warmup_steps: int = Field(
        default=20, ge=0, description="steps over which the learning rate rises from 0", json_schema_extra=unit("steps")
    )
    clip_norm: float = Field(default=1, ge=0, description="gradients are clipped to this norm; 0 clips none")


class OsteOptim(GentleOptim):
    """As gentle as the classifier's, at a smaller rate: several losses that do not know the tags pull at it."""

    lr: float = Field(default=0.002, gt=0, description="learning rate of the pretrained backbone")
    clip_norm: float = Field(default=10, ge=0, description="gradients are clipped to this norm; 0 clips none")


def learning_rate(step: int, steps: int, base: float, power: float, warmup_steps: int) -> float:
    """Poly schedule with linear warm-up: ``base · (1 − step/steps)^power``, times ``(step+1)/warmup`` at first."""
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return float(base * warm * (1.0 - step / steps) ** power)
