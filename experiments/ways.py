"""At which test-time scales and with which CRF is a student read best, and could a set know that without masks?

Each way is scored by masks, by its agreement with the pseudo-labels of the same photos, and by how well the classes
that it paints are the photos' tags: neither of these two reads a mask. Run it where a pipeline has run; the artifacts
are only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.nn import functional as F

from wsss.core.log import Progress
from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.crf.settings import CrfSettings
from wsss.data.batches import to_batch
from wsss.data.index import Record, read_index
from wsss.data.masks import MaskedImages
from wsss.data.photos import Location
from wsss.data.size import fit_label
from wsss.evaluation.confusion import count_pairs, scores
from wsss.models.base_student import BaseStudent
from wsss.models.student import load_student
from wsss.numeric.device import device
from wsss.predict.segment import probabilities, refine
from wsss.predict.ways import tag_fit
from wsss.stores.labels import PseudoStore
from wsss.training.probe import evenly

SCALES = ((1.0,), (1.25,), (1.5,), (1.0, 1.25), (1.0, 1.5))
FULL = CrfSettings(bilateral_rgb=5)
"""The CRF of recipe `photos`: the published weights."""
CRFS: Mapping[str, CrfSettings | None] = {
    "none": None,
    "half": FULL.model_copy(update={"bilateral_weight": 5.0, "spatial_weight": 1.5}),
    "full": FULL,
}
HEADING = ("scales", *(f"{what}, CRF {name}" for what in ("mIoU", "agreement", "tags") for name in CRFS))

Way = tuple[tuple[float, ...], str]


class Params(Settings):
    """What this comparison reads of params.yaml."""

    dataset: Location


@stage_command
@click.option("--artifacts", type=click.Path(path_type=Path), default="artifacts")
@click.option("--most", type=click.IntRange(min=1), default=100, help="val photos, at most")
def main(params: Path, artifacts: Path, most: int) -> str:
    """Print a line for each choice of scales, with the horizontal flip, over the val photos with a mask."""
    index = read_index(artifacts / "dataset")
    photos = load(params, Params).dataset.photos(index.records)
    masks = MaskedImages(photos, len(index.classes), dropped=index.dropped)
    records = evenly([record for record in index.split("val") if record.mask is not None], most)
    network = load_student(artifacts / "student.pt", index.classes)[0].to(device()).eval()
    labels, size = PseudoStore(artifacts / "pseudo"), len(index.classes)
    pairs: dict[Way, Any] = dict.fromkeys(_ways(), 0)
    fits: dict[Way, list[float]] = {way: [] for way in _ways()}
    with Progress("ways", len(records), "photos") as progress:
        for record in records:
            truth, believed = masks.mask(record), labels.label(record.id)
            assert truth is not None
            for way, label in _labels(network, masks.photos.image(record), record):
                whole = fit_label(label, truth.shape)  # masks judge at the photo's own size, as in `evaluate`
                found = count_pairs(truth, whole, size), count_pairs(believed, label, size)
                pairs[way] += np.stack(found)
                fits[way].append(tag_fit(label, record))
            progress.advance()
    lines = [HEADING, ("---", *("--:" for _ in HEADING[1:]))]
    for scales in SCALES:
        told = [scores(pairs[scales, name][which]).miou for which in (0, 1) for name in CRFS]
        told += [float(np.mean(fits[scales, name])) for name in CRFS]
        lines.append((", ".join(map(str, scales)), *(f"{100 * each:.1f}" for each in told)))
    click.echo("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return f"{len(records)} photos"


def _ways() -> list[Way]:
    return [(scales, name) for scales in SCALES for name in CRFS]


@torch.inference_mode()
def _labels(network: BaseStudent, image: np.ndarray, record: Record) -> Iterator[tuple[Way, np.ndarray]]:
    views = to_batch([image], device())
    single = sorted({scale for scales in SCALES for scale in scales})
    seen = {scale: probabilities(network, "student", views, (scale,), True) for scale in single}
    for scales in SCALES:
        mean = torch.stack([seen[scale] for scale in scales]).mean(0)
        whole = F.interpolate(mean, record.size, mode="bilinear", align_corners=False)[0].cpu().numpy()
        for name, crf in CRFS.items():
            label = whole.argmax(0).astype(np.uint8) if crf is None else refine(image, whole, crf)[0]
            yield (scales, name), label


if __name__ == "__main__":
    main()
