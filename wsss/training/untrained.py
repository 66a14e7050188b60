"""Stage `train` where nothing is to be trained: the classifier as it is, in the file that an OSTE has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from wsss.core.environment import leads
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.photos import Photos
from wsss.models.checkpoint import OSTE, save_network
from wsss.models.classifier import load_classifier
from wsss.models.oste import build_oste
from wsss.numeric.device import device
from wsss.training.judge import TagJudge
from wsss.training.oste import Trained, TrainSettings, shape_of
from wsss.training.probe import centre_maps


def keep_classifier(
    stage: Stage, index: Index, photos: Photos, classifier: Path, settings: TrainSettings, out: Path
) -> Trained:
    """Write the classifier to `out` as an OSTE without modules; the tags of held-out photos judge it as a trained one.

    Whether its maps have a signal is left to stage `correct`: it would take another pass over all photos.
    """
    trained, before = load_classifier(classifier, index.classes, settings.output_stride)
    shape = shape_of(settings, trained.bias, branch=False)
    card = replace(before, kind=OSTE, settings=shape, sizes=index.sizes)
    network = build_oste(card, load_weights=False)
    network.load_state_dict(trained.state_dict())
    network.to(device()).eval()
    judge = TagJudge(network, card, index, photos, 0, stage.scratch / "tags", stage.name)
    if leads():
        if load_classifier(classifier, index.classes)[1].backbone != before.backbone:
            # On a finer grid the average position is a little different.
            centre_maps(network, photos, index.split("train"), stage.name)
        judge(0)
        save_network(out, network, card)
    return Trained([], judge.table(0), np.full(index.foreground, np.nan))
