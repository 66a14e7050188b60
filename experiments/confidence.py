"""Does a photo's mean confidence tell how good its prediction is? That of the store, which is the CRF's posterior, and
the network's own probability of the same labels.

Masks are read here, to score. Run it where a pipeline has run; the artifacts are only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from scipy.stats import spearmanr
from torch.nn import functional as F

from wsss.core.log import Progress
from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.data.batches import to_batch
from wsss.data.index import IGNORE, read_index
from wsss.data.masks import MaskedImages
from wsss.data.photos import Location
from wsss.data.size import fit_label
from wsss.evaluation.confusion import count_pairs, scores
from wsss.evaluation.sources import EvaluateSettings
from wsss.models.student import load_student
from wsss.numeric.device import device
from wsss.predict.segment import probabilities
from wsss.stores.labels import PredictionStore

HEADING = ("confidence", "mean", "pixels that are right", "rank correlation with the photo's mIoU")


class Params(Settings):
    """What this comparison reads of params.yaml."""

    dataset: Location
    evaluate: EvaluateSettings


@stage_command
@click.option("--artifacts", type=click.Path(path_type=Path), default="artifacts")
def main(params: Path, artifacts: Path) -> str:
    """Print a table, a line for each of the two confidences, over the photos of the evaluation split with a mask."""
    photos = np.array(list(_photos(load(params, Params), artifacts)))
    lines = [HEADING, ("---", *("--:" for _ in HEADING[1:]))]
    for column, name in ((2, "after the CRF"), (3, "the network's own")):
        rank = spearmanr(photos[:, 0], photos[:, column]).statistic
        lines.append((name, f"{photos[:, column].mean():.3f}", f"{photos[:, 1].mean():.3f}", f"{rank:.2f}"))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    click.echo(table)
    return f"{len(photos)} photos"


@torch.inference_mode()
def _photos(settings: Params, artifacts: Path) -> Iterator[tuple[float, float, float, float]]:
    """Of each photo with a mask: mIoU, fraction of pixels that are right, and the mean of both confidences."""
    index, how = read_index(artifacts / "dataset"), settings.evaluate
    masks = MaskedImages(settings.dataset.photos(index.records), len(index.classes), dropped=index.dropped)
    network = load_student(artifacts / "student.pt", index.classes)[0].to(device()).eval()
    store, records = PredictionStore(artifacts / "predictions"), index.split(how.split)
    with Progress("confidence", len(records), "photos") as progress:
        for record in records:
            progress.advance()
            truth = masks.mask(record)
            if truth is None:
                continue
            truth, label = fit_label(truth, record.size), store.label(record.id)
            views = to_batch([masks.photos.image(record)], device())
            coarse = probabilities(network, "student", views, how.scales, how.flip)
            own = F.interpolate(coarse, record.size, mode="bilinear", align_corners=False)[0].cpu().numpy()
            own = np.take_along_axis(own, label[None].astype(np.int64), 0)[0]
            known, sure = truth != IGNORE, store.confidence(record.id)
            right = float((truth == label)[known].mean())
            miou = scores(count_pairs(truth, label, len(index.classes))).miou
            yield miou, right, float(sure.mean(dtype=np.float64)), float(own.mean(dtype=np.float64))


if __name__ == "__main__":
    main()
