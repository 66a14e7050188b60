"""What a classifier says of a few training photos after an epoch, for `wsss watch`: tags, and where the first is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from wsss.core.live import aside
from wsss.data.answers import HEAT, show_values
from wsss.data.batches import to_batch
from wsss.data.index import Index
from wsss.data.photos import Photos
from wsss.models.classifier import Classifier
from wsss.stores.snapshots import shown

SAID = 3
"""Most tags that are named."""


class Answers:
    """Shows the answers of `network` for the `shown` photos of split train. It changes nothing and draws no number."""

    def __init__(self, network: Classifier, index: Index, photos: Photos, judge: Callable[[int], None]) -> None:
        self.network, self.classes, self.photos, self.judge = network, index.classes, photos, judge
        self.records = shown(index.split("train"))

    def __call__(self, epoch: int) -> None:
        """After `epoch`, counted from 1: first `judge` it, which may end the training."""
        self.judge(epoch)
        aside(lambda: self.show(epoch))

    def show(self, epoch: int) -> None:
        network, training = self.network, self.network.training
        where = next(network.parameters()).device
        network.eval()
        try:
            with torch.inference_mode():
                for record in self.records:
                    image = self.photos.image(record)
                    features = network.backbone(to_batch([image], where))[-1]
                    known = network.logits(features)[0].float().sigmoid().cpu().numpy()
                    order = np.argsort(-known, kind="stable")
                    heat = network.head(features)[0, order[0]].float().clamp_min(0)
                    grey = (255 * heat / heat.max().clamp_min(1e-6)).byte().cpu().numpy()
                    says = ", ".join(f"{self.classes[1 + number]} {known[number]:.2f}" for number in order[:SAID])
                    show_values(record, image, grey, HEAT, epoch, self.classes, says)
        finally:
            network.train(training)
