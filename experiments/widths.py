"""Widths of the dense CRF's appearance kernel: pseudo-labels and the student's masks, made with each and scored.

Masks are read here, to score. What is chosen by this table on a split is an oracle's choice for that split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.nn import functional as F

from experiments.correction import mixture_scores, read_photos, shared_scores
from wsss.core.log import Progress
from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.correct.fixed import fixed_pseudo_label
from wsss.correct.mixtures import fit_maps
from wsss.correct.settings import CorrectSettings
from wsss.crf.settings import PUBLISHED
from wsss.data.batches import to_batch
from wsss.data.index import Index, read_index
from wsss.data.photos import Location
from wsss.evaluation.confusion import count_pairs, scores
from wsss.evaluation.sources import EvaluateSettings
from wsss.models.student import load_student
from wsss.numeric.device import set_threads
from wsss.predict.segment import probabilities, refine
from wsss.stores.cams import CamStore

WIDTHS = tuple((xy, rgb) for xy in (40.0, 80.0, 160.0) for rgb in (3.0, 5.0, 8.0, 13.0, 20.0))
HEADING = ("bilateral_xy", "bilateral_rgb", "labels, 255 wrong", "labelled", "coverage", "student, ms + flip + CRF")


class Params(Settings):
    """What this comparison reads of params.yaml."""

    dataset: Location
    correct: CorrectSettings
    evaluate: EvaluateSettings


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@click.option("--student", type=click.Path(path_type=Path), default="artifacts/student.pt")
@click.option("--split", default="val")
@click.option("--step", type=click.IntRange(1), default=1, show_default=True, help="every how-manieth photo")
def main(params: Path, dataset: Path, cams: Path, student: Path, split: str, step: int) -> str:
    """Print what the labels and the student's masks score with each pair of widths, as Markdown."""
    settings, index, store = load(params, Params), read_index(dataset), CamStore(cams)
    set_threads(1)
    photos = read_photos(settings.dataset, Index(index.classes, index.split(split)[::step]), store, split)
    shared, count = shared_scores(store, index, settings.correct), len(index.classes)
    chosen: list[dict[str, Any]] = [{"bilateral_xy": xy, "bilateral_rgb": rgb} for xy, rgb in WIDTHS]
    masks = [np.zeros((count, count + 1), np.int64) for _ in WIDTHS]
    with Progress("student", len(photos), "photos") as progress:
        found = predicted((photo.image for photo in photos), student, index.classes, settings.evaluate)
        for photo, averaged in zip(photos, found, strict=True):
            for width, counts in zip(chosen, masks, strict=True):
                crf = (settings.evaluate.crf or PUBLISHED).model_copy(update=width)
                counts += count_pairs(photo.truth, refine(photo.image, averaged, crf)[0], count)
            progress.advance()
    lines = [HEADING, ("--:",) * len(HEADING)]
    for width, counts in zip(chosen, masks, strict=True):
        fixed, gmm = settings.correct.fixed, settings.correct.gmm
        fixed = fixed.model_copy(update={"crf": (fixed.crf or PUBLISHED).model_copy(update=width)})
        gmm = gmm.model_copy(update={"crf": (gmm.crf or PUBLISHED).model_copy(update=width)})
        before = [fixed_pseudo_label(photo.image, photo.cams, photo.classes, fixed) for photo in photos]
        mixtures = fit_maps([photo.cams for photo in photos], gmm, shared)
        labels = mixture_scores(photos, index, fixed, gmm, before, mixtures)
        values = (labels.miou, labels.miou_labelled, labels.coverage, scores(counts).miou)
        lines.append((*(f"{each:g}" for each in width.values()), *(f"{100 * value:.2f}" for value in values)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@torch.inference_mode()
def predicted(
    images: Iterator[np.ndarray], student: Path, classes: tuple[str, ...], settings: EvaluateSettings
) -> Iterator[np.ndarray]:
    """For each photo (H, W, 3) uint8, what its dense CRF is given: (K+1, H, W) float32 in [0, 1]."""
    network, _ = load_student(student, classes)
    for image in images:
        views = to_batch([image], torch.device("cpu"))
        coarse = probabilities(network, "student", views, settings.scales, settings.flip)
        yield F.interpolate(coarse, image.shape[:2], mode="bilinear", align_corners=False)[0].numpy()


if __name__ == "__main__":
    main()
