"""One training step of the student: each network runs once, then all active losses are computed."""

from __future__ import annotations

import torch
from torch import nn

from wsss.data.samples import Batch
from wsss.distill.losses.base import Need, Seen
from wsss.distill.networks import FrozenOste, OsteOutput, ProjectedOutput, Students
from wsss.distill.settings import DistillSettings
from wsss.losses.term import Term

PREFIXES = ("", "second_")
"""Prefixes of the terms: the first student's and, in a mutual pair, the second's."""


class DistillStep:
    """One step of a student, or of two that teach each other. `oste` may be None if no loss needs it."""

    monitors: tuple[str, ...] = ()

    def __init__(self, network: Students, oste: FrozenOste | None, seed: int, settings: DistillSettings) -> None:
        self.network: nn.Module = network
        self.oste, self.seed, self.settings = oste, seed, settings
        self.prefixes = PREFIXES[: len(network.students)]
        self.weights = {
            f"{prefix}{name}": loss.weight
            for prefix in self.prefixes
            for loss in settings.losses()
            for name in loss.names
        }

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        """The terms of all losses. Those that are not active in this epoch are 0."""
        losses = self.settings.losses(int(batch["epoch"][0]))
        needed: set[Need] = {need for loss in losses for need in loss.needs}
        mutual = self.settings.mutual
        images = batch["image"]
        outputs: tuple[ProjectedOutput, ...] = network(images, "features" in needed)
        asked = "oste" in needed or ("predictions" in needed and not mutual)
        taught = self.oste(images) if asked and self.oste is not None else None
        # Not a plain zero: with several processes, DDP would wait for the gradient of logits that enter no loss yet.
        nothing = torch.stack([(0.0 * output.logits).sum() for output in outputs]).sum().float()
        terms = dict.fromkeys(self.weights, Term(nothing, nothing.detach()))
        # In a mutual pair, each student learns from the other.
        others = [output.logits for output in reversed(outputs)]
        for prefix, output, other in zip(self.prefixes, outputs, others, strict=True):
            predictions = other if mutual else taught.logits if taught is not None else None
            seen = self.seen(batch, output, taught, predictions)
            for loss in losses:
                terms |= {f"{prefix}{name}": term for name, term in loss.terms(seen).items()}
        return terms

    def seen(
        self, batch: Batch, output: ProjectedOutput, taught: OsteOutput | None, predictions: torch.Tensor | None
    ) -> Seen:
        """The inputs of the losses of one student."""
        keys = zip(batch["epoch"].tolist(), batch["number"].tolist(), strict=True)
        return Seen(
            batch["image"],
            batch["label"],
            batch["confidence"].float() / 255.0,
            batch["inside"],
            batch["tags"],
            tuple((self.seed, epoch, number) for epoch, number in keys),
            output.logits,
            output.tags,
            output.fine,
            output.coarse,
            None if taught is None else taught.fine,
            None if taught is None else taught.coarse,
            None if taught is None else taught.cams,
            predictions,
        )
