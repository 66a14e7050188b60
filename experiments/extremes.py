"""The photos that came out best, in the middle and worst: photo · OSTE's prediction · student's · mask.

Ranked by the student's mean IoU on each photo. Masks are read here, to rank and to show.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from experiments.sheet import below, beside, save, titled
from wsss.core.errors import UserError
from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.data.index import Record, read_index
from wsss.data.masks import MaskedImages
from wsss.data.palette import display_palette
from wsss.data.photos import Location
from wsss.data.render import fit, label_overlay
from wsss.data.size import fit_label
from wsss.report.cards import OSTE
from wsss.report.ranking import class_ious, mean_iou
from wsss.stores.labels import PredictionStore

WIDTH, APART = 150, 30
TITLES = ("Photo", "OSTE", "Student", "Mask")


class Params(Settings):
    """What this picture reads of params.yaml."""

    dataset: Location


@stage_command
@click.option("--count", type=click.IntRange(1), default=8, show_default=True, help="photos of each of the three kinds")
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--predictions", type=click.Path(path_type=Path), default="artifacts/predictions")
@click.option("--out", type=click.Path(path_type=Path), default="reports/extremes.png")
def main(params: Path, count: int, dataset: Path, predictions: Path, out: Path) -> str:
    """Draw the best photos on the left, the median ones in the middle, the worst on the right."""
    index, store = read_index(dataset), PredictionStore(predictions)
    records = [record for record in index.records if record.id in store and record.mask is not None]
    if len(records) < 3 * count:
        raise UserError(
            store.path, f"{len(records)} photos with a mask", f"give a --count of {len(records) // 3} or less"
        )
    masked = MaskedImages(load(params, Params).dataset.photos(records), len(index.classes), dropped=index.dropped)
    ious = {}
    for record in records:
        mask = masked.mask(record)
        assert mask is not None
        ious[record.id] = (
            mean_iou(class_ious(fit_label(store.label(record.id), mask.shape), mask, len(index.classes))) or 0.0
        )
    ranked = sorted(records, key=lambda record: (-ious[record.id], record.id))
    middle = (len(ranked) - count) // 2
    kinds = (ranked[:count], ranked[middle : middle + count], ranked[-count:])
    save(beside([below([row_of(record, masked, store) for record in kind]) for kind in kinds]), out)
    spans = [f"{100 * ious[kind[-1].id]:.0f}–{100 * ious[kind[0].id]:.0f}" for kind in kinds]
    return f"extremes: IoU {', '.join(spans)} % (best, median, worst; photo · OSTE · student · mask) → {out}"


def row_of(record: Record, masked: MaskedImages, store: PredictionStore) -> np.ndarray:
    """One photo's four pictures, with some room to the right."""
    small, mask = fit(masked.photos.image(record), WIDTH), masked.mask(record)
    assert mask is not None
    labels = (store.label(record.id, OSTE), store.label(record.id), mask)
    overlays = [label_overlay(small, fit_label(label, small.shape), display_palette()) for label in labels]
    return beside([*titled(TITLES, [small, *overlays]), np.full((1, APART, 3), 255, np.uint8)])


if __name__ == "__main__":
    main()
