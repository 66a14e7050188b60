"""What one step of the student computes: from pseudo-labels alone, or from a teacher as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from wsss.core.device import workers
from wsss.data.datasets import Batch
from wsss.data.index import IGNORE
from wsss.losses.classification import multilabel_soft_margin
from wsss.losses.distillation import cam_distance, confident_kl, correspondence, feature_distance, present_only
from wsss.losses.energy import dense_energy
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term
from wsss.pseudo.pool import CrfPool
from wsss.training.lessons import LessonSettings
from wsss.training.pupils import PupilOutput, Pupils
from wsss.training.relabel import CHANGES, relabel
from wsss.training.teacher import Lesson, MovingAverage, OsteTeacher

POINTS = 2
"""Key of the generator of pixel pairs beside (seed, epoch, number)."""


class FollowLabels:
    """One step: cross-entropy against pseudo-labels, background and foreground balanced."""

    monitors: tuple[str, ...] = ()

    def __init__(self, network: nn.Module, confidence_weights: bool, weight: float = 1.0) -> None:
        self.network, self.confidence_weights = network, confidence_weights
        self.weights = {"seg_background": weight, "seg_foreground": weight}

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        return self.segmentation(network(batch["image"]), batch["label"], batch["confidence"].float() / 255.0)

    def segmentation(self, logits: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor) -> dict[str, Term]:
        """Eq (17), weighted by `confidence` (N, H, W) in [0, 1] if the settings say so."""
        if not self.confidence_weights:
            confidence = torch.ones_like(confidence)
        background, foreground = balanced_cross_entropy(logits, labels, confidence)
        return {"seg_background": background, "seg_foreground": foreground}


class FollowTeacher(FollowLabels):
    """One step of a student, or of two, with a teacher. Our design after DKD-GC (doi 10.11834/jig.250040).

    Features and CAMs are always OSTE's; predictions are those of OSTE's segmentation branch, of the student's moving
    average, or of the other student. A teacher's predictions are limited to the photo's tags, which the student never
    sees; it may learn to tell them.
    """

    def __init__(
        self,
        network: Pupils,
        oste: OsteTeacher,
        average: MovingAverage | None,
        seed: int,
        settings: LessonSettings,
    ) -> None:
        super().__init__(network, settings.confidence_weights)
        self.oste, self.average, self.seed, self.settings = oste, average, seed, settings
        self.prefixes = ("", "second_")[: len(network.pupils)]
        self.weights = {
            f"{prefix}{name}": weight for prefix in self.prefixes for name, weight in settings.parts().items()
        }
        if average is not None and settings.ema.relabel.enabled:
            self.monitors = CHANGES
        self.crf = CrfPool(settings.ema.relabel.crf, workers()) if settings.ema.relabel.crf.enabled else None

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        settings, images = self.settings, batch["image"]
        epoch = int(batch["epoch"][0])
        acting = settings.parts(epoch)
        batch = batch | {"confidence": batch["confidence"].float() / 255.0}
        average = self.average if epoch >= settings.stage1.epochs else None
        view = images if average is None else batch["strong"].float()
        outputs: tuple[PupilOutput, ...] = network(view, "feature_fine" in acting)
        # Not a plain zero: other processes would wait for the gradient of logits that enter no loss yet.
        nothing = torch.stack([(0.0 * output.logits).sum() for output in outputs]).sum().float()
        terms = dict.fromkeys((*self.weights, *self.monitors), Term(nothing, nothing.detach()))
        lesson = self.oste.teach(images) if self.listens(acting) else None
        targets = [output.logits for output in reversed(outputs)]
        if average is not None:
            targets = [average.predict(images)]
        elif lesson is not None and not settings.mutual:
            targets = [lesson.logits]
        if average is not None and settings.ema.relabel.enabled:
            batch, changes = self.relabelled(batch, targets[0])
            terms |= changes
        for prefix, output, target in zip(self.prefixes, outputs, targets, strict=True):
            found = self.losses(acting, output, target, lesson, batch)
            terms |= {f"{prefix}{name}": term for name, term in found.items()}
        return terms

    def listens(self, acting: Mapping[str, float]) -> bool:
        """True if a loss that is `acting` needs OSTE."""
        return bool({"feature_fine", "corr", "cam"} & acting.keys()) or (
            "kl" in acting and self.settings.teacher == "frozen"
        )

    def losses(
        self,
        acting: Mapping[str, float],
        output: PupilOutput,
        target: torch.Tensor,
        lesson: Lesson | None,
        batch: Batch,
    ) -> dict[str, Term]:
        """The `acting` losses of one student; `target` are its teacher's logits (N, K+1, h, w)."""
        settings, inside, tags = self.settings, batch["inside"], batch["tags"]
        found: dict[str, Term] = {}
        if "seg_background" in acting:
            found |= self.segmentation(output.logits, batch["label"], batch["confidence"])
        if output.tags is not None:
            found["tags"] = multilabel_soft_margin(output.tags, tags)
        if lesson is not None and output.fine is not None and output.coarse is not None:
            found["feature_fine"] = feature_distance(output.fine, lesson.fine, inside)
            found["feature_coarse"] = feature_distance(output.coarse, lesson.coarse, inside)
        if lesson is not None and "corr" in acting:
            points = self.points(batch, settings.stage1.correspondence.points).to(inside.device)
            found["corr"] = correspondence(output.logits.float().softmax(1), lesson.coarse, points, inside)
        if "kl" in acting:
            found["kl"] = confident_kl(
                output.logits, present_only(target, tags), settings.stage2.kl.temperature, inside
            )
        if lesson is not None and "cam" in acting:
            found["cam"] = cam_distance(output.logits, lesson.cams, tags, inside)
        if "energy" in acting:
            # Colours of the crop as it is; those of the strong view are made up.
            energy = settings.stage2.energy
            found["energy"] = dense_energy(output.logits, batch["image"], batch["label"], energy, inside)
        return found

    def relabelled(self, batch: Batch, logits: torch.Tensor) -> tuple[Batch, dict[str, Term]]:
        """`batch` with its labels corrected by a teacher's `logits` (N, K+1, h, w), and the share of pixels changed."""
        scores = present_only(logits, batch["tags"]).float()
        whole = F.interpolate(scores, batch["label"].shape[-2:], mode="bilinear", align_corners=False)
        shares = posteriors = whole.softmax(1)
        if self.crf is not None:
            posteriors = self.crf.posteriors(batch["image"], shares, batch["tags"])
        corrected = relabel(batch["label"], batch["confidence"], shares, posteriors, self.settings.ema.relabel)
        inside = batch["inside"]  # what a crop shows beside its photo has no label to correct
        pixels = inside.sum().float()
        changes = {name: Term((getattr(corrected, name) & inside).sum().float(), pixels) for name in self.monitors}
        labels = corrected.labels.masked_fill(~inside, IGNORE)
        return batch | {"label": labels, "confidence": corrected.confidence.masked_fill(~inside, 0.0)}, changes

    def points(self, batch: Batch, count: int) -> torch.Tensor:
        """(N, 2, count, 2) float64 in [0, 1), keyed by (seed, epoch, photo): on any process a photo has the same."""
        keys = zip(batch["epoch"].tolist(), batch["number"].tolist(), strict=True)
        drawn = [np.random.default_rng((self.seed, *key, POINTS)).random((2, count, 2)) for key in keys]
        return torch.from_numpy(np.stack(drawn))

    def after_step(self, step: int, steps: int) -> None:
        """The moving average takes the step in."""
        if self.average is not None:
            self.average.follow(step, steps)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold beside the network."""
        return {} if self.average is None else self.average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        if self.average is not None:
            self.average.load_state_dict(state)
