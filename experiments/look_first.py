"""Does `wsss predict` name the worst masks first? Orders of photos, and the mean IoU of the tenth that each puts first:
the rules of `look` as they are, as they were, and what was tried in their place or beside them.

Masks are read here, to score. Run it where a pipeline has run; the artifacts are only read. The photos are those of
split val, whose masks `evaluate` made; with --found, those of a folder of `wsss predict`, such as train photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import median

import click
import numpy as np

from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.data.index import read_index
from wsss.data.masks import MaskedImages
from wsss.data.photos import Location
from wsss.data.size import fit_label
from wsss.export.predicted import Predicted
from wsss.predict.least_sure import looks
from wsss.predict.look import UNSURE, differing, reasons, weight
from wsss.predict.own_labels import open_labels
from wsss.predict.table import Row
from wsss.report.ranking import class_ious, mean_iou
from wsss.stores.labels import PredictionStore

TENTH = 10
SHOWS = 0.001
"""A class that covers less of a photo says nothing of its usual share."""
FILLED, TAGS = " covers ", " tag"


@dataclass(frozen=True)
class Photo:
    """Its mean IoU; what is said of it by the rules with its tags and pseudo-label, and without; mean confidence; by
    tagged class that it shows: fraction of the photo, mean confidence there; fraction of the pixels that differ from
    what the student has learned from.
    """

    iou: float
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    confidence: float
    shares: dict[int, float]
    sure: dict[int, float]
    differs: float = 0.0


class Params(Settings):
    """What this comparison reads of params.yaml."""

    dataset: Location


@stage_command
@click.option("--artifacts", type=click.Path(path_type=Path), default="artifacts")
@click.option("--found", type=click.Path(path_type=Path), help="folder of wsss predict, made of photos with masks")
def main(params: Path, artifacts: Path, found: Path | None) -> str:
    """Print a line for each order: mean IoU of the first tenth of the predicted photos that have a mask."""
    photos = list(_photos(load(params, Params), artifacts, found))
    for name, order in ORDERS.items():
        click.echo(f"{name}: {first_tenth(photos, order(photos)):.3f}")
    rows = [Row(str(number), photo.confidence, photo.known, (), ()) for number, photo in enumerate(photos)]
    quiet = [photo for photo in photos if not photo.known]
    named = [photos[int(name)] for name, found in looks(rows).items() if found and not photos[int(name)].known]
    worst = first_tenth(photos, [-photo.iou for photo in photos])
    unlike = sorted(quiet, key=lambda photo: -photo.differs)[: len(quiet) // UNSURE]
    parts = {"all": photos, "no rule names": quiet, "of these, named as least sure": named, "as most unlike": unlike}
    told = ", ".join(
        f"{name} {len(each)}: {np.mean([one.iou for one in each]):.3f}" for name, each in parts.items() if each
    )
    return f"mean IoU: {told}; the worst tenth {worst:.3f}"


def first_tenth(photos: Sequence[Photo], odd: Sequence[float]) -> float:
    """Mean IoU of the tenth of the photos of the largest values `odd`, equal ones by confidence, the lowest first."""
    order = sorted(range(len(photos)), key=lambda number: (-odd[number], photos[number].confidence))
    return float(np.mean([photos[number].iou for number in order[: max(1, round(len(photos) / TENTH))]]))


def unusual(photos: Sequence[Photo], values: Callable[[Photo], dict[int, float]], sign: int = 0) -> list[float]:
    """How far a photo's values are from the median of each class over the photos, the largest of its classes, in median
    absolute deviations over all classes; `sign`: 1 only above, -1 only below, 0 both.
    """
    classes = {number for photo in photos for number in values(photo)}
    usual = {number: median(values(each)[number] for each in photos if number in values(each)) for number in classes}
    apart = [{number: value - usual[number] for number, value in values(photo).items()} for photo in photos]
    scale = median(abs(each) for found in apart for each in found.values()) or 1.0
    signed = [[sign * each if sign else abs(each) for each in found.values()] for found in apart]
    return [max(found, default=0.0) / scale for found in signed]


def log_odds(photo: Photo) -> dict[int, float]:
    """Of its shares: a class that fills the photo is as far out as one that is hardly there."""
    return {number: float(np.log(max(share, SHOWS) / max(1 - share, SHOWS))) for number, share in photo.shares.items()}


def before(found: Sequence[str]) -> int:
    """The weight when a class that fills the photo counted twice."""
    return weight(found) + sum(FILLED in each and TAGS not in each for each in found)


def _with_share(photos: Sequence[Photo]) -> list[float]:
    unusually = unusual(photos, log_odds)
    return [weight(photo.known) + (odd > 3 * 1.4826) for photo, odd in zip(photos, unusually, strict=True)]


def _with_confidence(photos: Sequence[Photo]) -> list[float]:
    lowest = sorted(photo.confidence for photo in photos)[len(photos) // TENTH]
    return [weight(photo.known) + (photo.confidence < lowest) for photo in photos]


ORDERS: dict[str, Callable[[Sequence[Photo]], list[float]]] = {
    "tags known, before": lambda photos: [before(photo.known) for photo in photos],
    "tags known, now": lambda photos: [weight(photo.known) for photo in photos],
    "now, and one more for an unusual area (3 deviations)": _with_share,
    "now, and one more for a confidence in the lowest tenth": _with_confidence,
    "no tags known, before": lambda photos: [before(photo.unknown) for photo in photos],
    "no tags known, now": lambda photos: [weight(photo.unknown) for photo in photos],
    "unusual area alone": lambda photos: unusual(photos, log_odds),
    "large area alone": lambda photos: unusual(photos, log_odds, 1),
    "small area alone": lambda photos: unusual(photos, log_odds, -1),
    "low confidence of a class alone": lambda photos: unusual(photos, lambda photo: photo.sure, -1),
    "low confidence alone": lambda photos: [-photo.confidence for photo in photos],
}


def _photos(settings: Params, artifacts: Path, found: Path | None) -> Iterator[Photo]:
    index = read_index(artifacts / "dataset")
    made = None if found is None else Predicted(found)
    predicted = PredictionStore(artifacts / "predictions")
    names = {record.id: record.id if made is None else PurePosixPath(record.id).name for record in index.records}
    there = predicted.ids if made is None else made.ids
    records = [record for record in index.records if record.mask and names[record.id] in there]
    labels = open_labels({record.id: record.id for record in records}, index.classes, artifacts.parent)
    mean = {} if made is None else {row.id: row.confidence for row in made.rows}
    masks = MaskedImages(settings.dataset.photos(records), len(index.classes), dropped=index.dropped)
    for record in records:
        truth = masks.mask(record)
        assert truth is not None
        name = names[record.id]
        label = predicted.label(name) if made is None else made.label(name)
        sure = predicted.confidence(name) if made is None else np.full(label.shape, mean[name])
        learned = None if labels is None else labels.learned(record.id)
        iou = mean_iou(class_ious(fit_label(label, truth.shape), truth, len(index.classes)))
        areas = np.bincount(label.ravel(), minlength=len(index.classes)) / label.size
        shown = [tag for tag in record.tags if areas[tag] > SHOWS]
        yield Photo(
            iou or 0.0,
            reasons(label, index.classes, record.tags, None if labels is None else labels.label(record.id)),
            reasons(label, index.classes),
            float(sure.mean(dtype=np.float64)),
            {tag: float(areas[tag]) for tag in shown},
            {tag: float(sure[label == tag].mean(dtype=np.float64)) for tag in shown},
            (None if learned is None else differing(label, learned)) or 0.0,
        )


if __name__ == "__main__":
    main()
