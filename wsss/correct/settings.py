"""Section `correct` of params.yaml, and the correction methods by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from wsss.core.params import Settings
from wsss.correct.fixed import FixedSettings, FixedThresholds
from wsss.correct.gmm import MixtureCorrection
from wsss.correct.method import Method
from wsss.correct.mixtures import GmmSettings


class CorrectSettings(Settings):
    """Section `correct` of params.yaml."""

    method: Literal["fixed", "gmm"] = Field(
        description="fixed: two thresholds for all photos; gmm: a Gaussian mixture of the scores corrects their label"
    )
    fixed: FixedSettings = FixedSettings()
    gmm: GmmSettings = GmmSettings()

    def made(self) -> Method:
        """The chosen method."""
        return METHODS[self.method](self)


METHODS: dict[str, Callable[[CorrectSettings], Method]] = {
    "fixed": lambda settings: FixedThresholds(settings.fixed),
    "gmm": lambda settings: MixtureCorrection(settings.fixed, settings.gmm),
}
