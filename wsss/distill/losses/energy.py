"""L_energy, stage 2: similar pixels close to each other should have one label, Eqs (18)–(21) of OSTE."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, NonNegativeFloat

from wsss.distill.losses.base import Seen, StudentLoss
from wsss.losses.energy import EnergySettings, dense_energy
from wsss.losses.term import Term


class EnergyLoss(EnergySettings, StudentLoss):
    """Dense Gaussian energy of the student's predictions."""

    names: ClassVar = ("energy",)

    weight: NonNegativeFloat = Field(default=0.1, description="factor of the loss in the sum of all losses")

    def terms(self, seen: Seen) -> dict[str, Term]:
        """On a grid with cells of `stride` pixels."""
        return {"energy": dense_energy(seen.logits, seen.images, seen.labels, self, seen.inside)}
