"""What the lab can try, by name: each idea is a few settings, or a small function that takes the place of a step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from experiments.lab.chain import BATCH, Idea, Labels, Params, World, images_of
from wsss.cams.local import local_levels, local_maps
from wsss.cams.stage import present_cams
from wsss.cams.walk import walk
from wsss.correct.labels import foreground_scores, to_class_ids, upsample, without_signal
from wsss.data.batches import size_batches
from wsss.data.index import IGNORE
from wsss.distill.losses.pseudo_labels import PseudoLabelLoss
from wsss.losses.term import Term
from wsss.models.cam import divide_by_peak
from wsss.stores.cams import Cams
from wsss.training.probe import fit_probe, tags_of


def plain_cut(world: World, settings: Params, cams: Mapping[str, Cams], cut: float = 0.25) -> Labels:
    """A class where its map is above `cut` of its peak, background elsewhere; nothing is ignored."""
    found = {}
    for record in world.train.records:
        here = cams[record.id]
        maps = foreground_scores(upsample(here.scores, record.size))
        winner = np.zeros(record.size, np.uint8)
        if len(maps):
            winner = np.where(maps.max(0) > cut, maps.argmax(0) + 1, 0).astype(np.uint8)
        if without_signal(here.scores).any():
            winner[winner == 0] = IGNORE
        found[record.id] = to_class_ids(winner, here.classes), np.where(winner == IGNORE, 0, 1).astype(np.float32)
    return Labels(found)


def plain_cut_half(world: World, settings: Params, cams: Mapping[str, Cams]) -> Labels:
    """The same above half of the peak."""
    return plain_cut(world, settings, cams, 0.5)


@torch.inference_mode()
def two_levels(world: World, settings: Params) -> dict[str, Cams]:
    """The mean of the maps of the last level and of a second probe on the level before the last stage (c4)."""
    level = local_levels(world.backbone.levels)[-1]
    seen: dict[str, torch.Tensor] = {}
    for batch in size_batches(world.train.records, BATCH):
        for record, found in zip(batch, world.backbone(images_of(world.train, batch))[level], strict=True):
            seen[record.id] = found
    pooled = np.stack([seen[r.id].mean((1, 2)).numpy() for r in world.train.records])
    probe = fit_probe(pooled, tags_of(world.train.records, world.index.foreground))
    head = nn.Conv2d(pooled.shape[1], world.index.foreground, 1)
    head.weight.copy_(torch.from_numpy(probe.weight)[:, :, None, None])
    assert head.bias is not None
    head.bias.copy_(torch.from_numpy(-probe.weight @ probe.mean))
    found = {}
    for batch in size_batches(world.train.records, BATCH):
        levels = world.backbone(images_of(world.train, batch))
        both = (divide_by_peak(part.relu()) for part in (world.network.head(levels[-1]), head(levels[level])))
        maps = sum(both, torch.zeros(()))
        local = local_maps(levels, local_levels(world.backbone.levels), (maps.shape[-2], maps.shape[-1]))
        for record, photo in zip(batch, walk(maps, local, settings.cams.walk), strict=True):
            found[record.id] = present_cams(photo, None, record)
    return found


class TemperedLoss(PseudoLabelLoss):
    """Cross-entropy whose halves, background and classes, weigh by a power of their shares of the labelled pixels.

    0: both the same, as the product does; 1: one mean over all pixels, so that what is small weighs little.
    """

    power: float

    def of_pixels(self, logits: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor) -> dict[str, Term]:
        """As of `PseudoLabelLoss`; the weights of the two halves sum up to 2, as they do there."""
        halves = super().of_pixels(logits, labels, confidence)
        shares = torch.stack([half.weight for half in halves.values()]) ** self.power
        factors = 2 * shares / shares.sum().clamp_min(1e-6)
        return {
            name: Term(factor * half.total, half.weight)
            for factor, (name, half) in zip(factors, halves.items(), strict=True)
        }


IDEAS: dict[str, Idea] = {
    "base": Idea({}),
    "no walk": Idea({"cams.walk": 0}),
    "one step": Idea({"cams.walk": 1}),
    "three scales": Idea({"cams.scales": (1.0, 1.5, 2.0)}),
    "no stuff": Idea({"cams.stuff": False}),
    "two levels": Idea({"cams.stuff": False}, cams=two_levels),
    "floor": Idea({"cams.floor": 1.5}),
    "low floor": Idea({"cams.floor": 0.5}),
    "high floor": Idea({"cams.floor": 3.0}),
    "floor, two scales": Idea({"cams.floor": 1.5, "cams.scales": (1.0, 1.5)}),
    "floor, root loss": Idea({"cams.floor": 1.5, "distill.seg": TemperedLoss(power=0.5)}),
    "cut .25": Idea({}, labels=plain_cut),
    "cut .5": Idea({}, labels=plain_cut_half),
    "no CRF": Idea({"correct.gmm.crf": None}),
    "mixture of each photo": Idea({"correct.gmm.scope": "image"}),
    "plain loss": Idea({"distill.seg": TemperedLoss(power=1.0)}),
    "root loss": Idea({"distill.seg": TemperedLoss(power=0.5)}),
    "one round": Idea({"distill.rounds": 1}),
}
"""`walked` and `mixture` are the steps of those that name none."""
