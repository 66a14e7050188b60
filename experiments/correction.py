"""Gaussian correction against fixed thresholds: the pseudo-labels of one store of CAMs, made in every way and scored,
and the CAMs themselves. Or the score of labels as they are. Nothing is trained.

Masks are read here, to score; `oracle` marks what was chosen by looking at the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import click
import numpy as np

from wsss.core.errors import UserError
from wsss.core.log import Progress
from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.correct.fixed import FixedSettings, PseudoLabel, fixed_pseudo_label
from wsss.correct.gmm import MixtureCorrection, corrected_label
from wsss.correct.labels import agree, foreground_scores, threshold, to_class_ids, upsample, with_background
from wsss.correct.mixtures import LOST, GmmSettings, Mixture, Shared, fit_maps
from wsss.correct.settings import CorrectSettings
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED
from wsss.data.index import Index, Record, read_index
from wsss.data.masks import MaskedImages
from wsss.data.photos import Location
from wsss.data.size import fit_label
from wsss.evaluation.confusion import Scores, count_pairs, scores
from wsss.evaluation.sources import EvaluateSettings, sweep_of
from wsss.evaluation.thresholds import BINS, ThresholdSweep
from wsss.numeric.device import set_threads
from wsss.stores.cams import CamStore
from wsss.stores.labels import PseudoStore

SWEEP = tuple(round(0.05 * step, 2) for step in range(4, 20))
SHOWN = (0.5, 0.6, 0.7, 0.8, 0.9)
SCOPES: dict[str, dict[str, str | float]] = {
    "image": {"scope": "image"},
    "dataset": {"scope": "hybrid", "prior_cells": 1e12},  # no map's own scores outweigh so many: one mixture for all
    "hybrid": {"scope": "hybrid"},
}
CUTS, SLOPES = (0.3, 0.4, 0.5), (10, 20, 40)
HEADING = ("labels", "dense CRF", "mIoU, 255 wrong", "mIoU, labelled", "coverage", "background IoU")


T = TypeVar("T", FixedSettings, GmmSettings)


class Params(Settings):
    """What this comparison reads of params.yaml."""

    dataset: Location
    correct: CorrectSettings
    evaluate: EvaluateSettings


@dataclass(frozen=True)
class Photo:
    """One photo: pixels, CAMs and class ids of its tags, ground truth."""

    image: np.ndarray
    cams: np.ndarray
    classes: np.ndarray
    truth: np.ndarray


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@click.option("--split", default="train")
@click.option("--sigmoids", is_flag=True, help="also with posteriors of no mixture: one sigmoid of the score for all")
@click.option("--labels", type=click.Path(path_type=Path), multiple=True, help="score this store of labels instead")
def main(params: Path, dataset: Path, cams: Path, split: str, sigmoids: bool, labels: tuple[Path, ...]) -> str:
    """Print the table of the CAMs, and of all ways to make pseudo-labels of them. With --labels, of these alone."""
    settings, index = load(params, Params), read_index(dataset)
    set_threads(1)
    if labels:
        return table_of([(str(path), "", label_scores(path, settings.dataset, index, split)) for path in labels])
    store = CamStore(cams)
    photos = read_photos(settings.dataset, index, store, split)
    shared = shared_scores(store, index, settings.correct)
    rows = [*cam_rows(photos, index, settings.evaluate.cam_threshold), *fixed_rows(photos, index, settings.correct)]
    for crf in (False, True):
        fixed, used = with_crf(settings.correct.fixed, crf), "yes" if crf else "no"
        before = [fixed_pseudo_label(photo.image, photo.cams, photo.classes, fixed) for photo in _watched("Y", photos)]
        for (name, changes), strict in product(SCOPES.items(), (True, False) if crf else (False,)):
            chosen = with_crf(settings.correct.gmm.model_copy(update={**changes, "agree": strict}), crf)
            mixtures = fit_maps([photo.cams for photo in photos], chosen, shared)
            scored = mixture_scores(photos, index, fixed, chosen, before, mixtures)
            rows.append((f"mixture, {name}{', agree' if strict else ''}", used, scored))
            if sigmoids and crf and name == "dataset":
                rows += sigmoid_rows(photos, index, fixed, chosen, before, mixtures)
    return table_of(rows)


def read_photos(location: Location, index: Index, store: CamStore, split: str) -> list[Photo]:
    """All photos of `split` that have a mask."""
    photos = []
    for record, truth, masks in _truths(location, index, split):
        found = store.read(record.id)
        photos.append(Photo(masks.photos.image(record), found.scores, found.classes, truth))
    return photos


def _truths(location: Location, index: Index, split: str) -> Iterator[tuple[Record, np.ndarray, MaskedImages]]:
    """The masks of `split`, at the size that photos are read at, which is that of the labels that are compared.

    Raises `UserError` if there is none.
    """
    records = [record for record in index.split(split) if record.mask is not None]
    if not records:
        raise UserError(split, "no photo of this split has a mask", "name another --split, or set dataset.masks")
    masks = MaskedImages(location.photos(records), len(index.classes), dropped=index.dropped)
    for record in records:
        truth = masks.mask(record)
        assert truth is not None
        yield record, fit_label(truth, record.size), masks


def label_scores(path: Path, location: Location, index: Index, split: str) -> Scores:
    """Of the store of labels at `path`, as they are."""
    store, count = PseudoStore(path), len(index.classes)
    pairs = (count_pairs(truth, store.label(record.id), count) for record, truth, _ in _truths(location, index, split))
    return scores(sum(pairs, np.zeros((count, count + 1), np.int64)))


def cam_rows(photos: Sequence[Photo], index: Index, threshold: float) -> list[tuple[str, str, Scores]]:
    """The strongest map of each pixel, background below the threshold: `threshold`, then the best of a hundred."""
    sweep = ThresholdSweep(len(index.classes))
    for photo in _watched("CAMs", photos):
        sweep.update(photo.truth, foreground_scores(upsample(photo.cams, photo.truth.shape)), photo.classes)
    found = sweep_of(sweep.counts, min(BINS - 1, round(threshold * BINS)))
    named = (("CAM, fixed threshold", found.fixed), ("CAM, oracle", found.oracle))
    return [(f"{name} = {number / BINS:.2f}", "no", scores(sweep.at(number))) for name, number in named]


def shared_scores(store: CamStore, index: Index, settings: CorrectSettings) -> Shared | None:
    """What scope `hybrid` knows of all training photos."""
    hybrid = settings.gmm.model_copy(update={"scope": "hybrid"})
    survey = MixtureCorrection(settings.fixed, hybrid).survey
    return survey(store.read(record.id) for record in index.split("train"))


def table_of(rows: Sequence[tuple[str, str, Scores]]) -> str:
    """The rows (labels, with or without CRF, scores) as Markdown."""
    lines = [HEADING, ("---", "---", *("--:" for _ in HEADING[2:])), *(_line(*row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(name: str, crf: str, found: Scores) -> tuple[str, ...]:
    values = (found.miou, found.miou_labelled, found.coverage, float(found.iou[0]))
    return name, crf, *(f"{100 * value:.2f}" for value in values)


def fixed_rows(photos: Sequence[Photo], index: Index, settings: CorrectSettings) -> list[tuple[str, str, Scores]]:
    """α without and with CRF (Eqs 11–13), the best α of a sweep, and the CRF's arg-max of everything."""
    count = len(index.classes)
    sums = {(alpha, crf): np.zeros((count, count + 1), np.int64) for alpha in SWEEP for crf in (False, True)}
    everything = np.zeros((count, count + 1), np.int64)
    for photo in _watched("fixed", photos):
        if len(photo.classes):
            maps = foreground_scores(upsample(photo.cams, photo.truth.shape))
            unary = with_background(maps, settings.fixed.gamma)
            smooth = dense_crf(photo.image, unary, settings.fixed.crf or PUBLISHED).argmax(0).astype(np.uint8)
            made = {alpha: threshold(unary, alpha) for alpha in SWEEP}
        else:
            smooth = np.zeros(photo.truth.shape, np.uint8)
            made = dict.fromkeys(SWEEP, smooth)
        everything += count_pairs(photo.truth, to_class_ids(smooth, photo.classes), count)
        for alpha, label in made.items():
            for crf, final in ((False, label), (True, agree(label, smooth))):
                sums[alpha, crf] += count_pairs(photo.truth, to_class_ids(final, photo.classes), count)
    rows = []
    for crf, used in ((False, "no"), (True, "yes")):
        found = {alpha: scores(sums[alpha, crf]) for alpha in SWEEP}
        rows += [(f"fixed α = {alpha}", used, found[alpha]) for alpha in SHOWN]
        best = max(SWEEP, key=lambda alpha: found[alpha].miou)
        rows.append((f"fixed α, oracle = {best}", used, found[best]))
    return [*rows, ("arg-max of the CRF, nothing dropped", "yes", scores(everything))]


def with_crf(settings: T, enabled: bool) -> T:
    """The same settings with their CRF, or the published one, on or off."""
    return settings.model_copy(update={"crf": (settings.crf or PUBLISHED) if enabled else None})


def mixture_scores(
    photos: Sequence[Photo],
    index: Index,
    fixed: FixedSettings,
    settings: GmmSettings,
    before: Sequence[PseudoLabel],
    mixtures: Sequence[Sequence[Mixture]],
) -> Scores:
    """Scores of the labels as `mixtures` correct them; `before` are those of `fixed`. Each has an item for a photo."""
    counts = np.zeros((len(index.classes), len(index.classes) + 1), np.int64)
    for number, photo in enumerate(_watched("mixture", photos)):
        given = (photo.image, photo.cams, photo.classes, mixtures[number], fixed, settings, before[number])
        counts += count_pairs(photo.truth, corrected_label(*given).label, len(index.classes))
    return scores(counts)


def sigmoid_rows(
    photos: Sequence[Photo],
    index: Index,
    fixed: FixedSettings,
    settings: GmmSettings,
    before: Sequence[PseudoLabel],
    mixtures: Sequence[Sequence[Mixture]],
) -> list[tuple[str, str, Scores]]:
    """Nothing fitted: `one_sigmoid` in place of all `mixtures` but those of maps without any information. Best last."""
    found = {}
    for cut, slope in product(CUTS, SLOPES):
        every = one_sigmoid(cut, slope)
        same = [[fitted if fitted.guard in LOST else every for fitted in of_photo] for of_photo in mixtures]
        found[f"cut {cut}, slope {slope}"] = mixture_scores(photos, index, fixed, settings, before, same)
    best = max(found, key=lambda name: found[name].miou)
    strict = ", agree" if settings.agree else ""
    named = [*found.items(), (f"oracle = {best}", found[best])]
    return [(f"one sigmoid, {name}{strict}", "yes", scored) for name, scored in named]


def one_sigmoid(cut: float, slope: float) -> Mixture:
    """A mixture whose posterior of the class is sigmoid(slope · (score − cut))."""
    deviation = np.sqrt(0.5 / slope)  # the slope of `posteriors` is the distance of the means through the variance
    return Mixture("", np.full(2, 0.5), np.array([cut - 0.25, cut + 0.25]), np.full(2, deviation))


def _watched(label: str, photos: Sequence[Photo]) -> Iterator[Photo]:
    with Progress(label, len(photos), "photos") as progress:
        for photo in photos:
            yield photo
            progress.advance()


if __name__ == "__main__":
    main()
