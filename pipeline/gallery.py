"""Stage `gallery`: everything made so far → a page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.live import note_words
from wsss.core.params import Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.data.index import read_index
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.origins import LABELS_SHA
from wsss.report.cards import Results
from wsss.report.differing import settings_beside_recipe
from wsss.report.findings import TABLES as VERDICT_TABLES
from wsss.report.gallery import GallerySettings, build_gallery
from wsss.report.interval import score_interval
from wsss.report.other_labels import other_labels
from wsss.report.overlays import draw_overlays
from wsss.report.plots import TABLES
from wsss.report.scores import cam_threshold, final_row, read_sources
from wsss.report.steps import Place, last_words
from wsss.report.templates import percent
from wsss.stores.cams import CamStore
from wsss.stores.imported import Labels
from wsss.stores.labels import PredictionStore, RelabelledStore
from wsss.stores.options import label_store_options, open_label_stores


class Params(Settings):
    """What this stage reads of params.yaml."""

    dataset: Place
    distill: Labels = Labels()
    gallery: GallerySettings


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--masks", type=click.Path(path_type=Path), default="artifacts/masks.csv")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@label_store_options
@click.option("--predictions", type=click.Path(path_type=Path), default="artifacts/predictions")
@click.option("--epochs", type=click.Path(path_type=Path), default="artifacts/epochs")
@click.option("--reports", type=click.Path(path_type=Path), default="reports")
@click.option("--out", type=click.Path(path_type=Path), default="reports/gallery")
@click.option("--overlays", type=click.Path(path_type=Path), default="reports/overlays")
@click.option("--photos", type=click.Path(path_type=Path), default="reports/photos.csv")
def main(
    params: Path,
    dataset: Path,
    masks: Path,
    cams: Path,
    predictions: Path,
    epochs: Path,
    reports: Path,
    out: Path,
    overlays: Path,
    photos: Path,
    **label_stores: Path,
) -> str:
    """Lay photos, CAMs, pseudo-labels, predictions and masks side by side on one page, worst first."""
    settings = load(params, Params)
    tables = [reports / name for name in ("sources.csv", *TABLES, *VERDICT_TABLES)]
    inputs = [dataset, masks, cams, *label_stores.values(), predictions, epochs, *tables]
    # A recipe is no input: its comments change often, and what is said of it is a remark.
    differing = settings_beside_recipe(params, settings.gallery.recipe)
    identity = settings.model_dump(exclude={"dataset"}) | {"differing": differing}
    with open_stage("gallery", identity, inputs, files=[photos], folders=[out, overlays]):
        index = read_index(dataset)
        masked = MaskedImages(
            settings.dataset.photos(index.records), len(index.classes), read_mask_checksums(masks), index.dropped
        )
        labels = open_label_stores(label_stores)
        made = next(store for store in labels if isinstance(store, RelabelledStore))
        others, learned = other_labels(settings.distill.place, str(made.attributes.get(LABELS_SHA, "")))
        sources = read_sources(reports / "sources.csv")
        stores = CamStore(cams), labels, PredictionStore(predictions)
        results = Results(index, masked, *stores, others, cam_threshold(sources))
        for store in (results.cams, *labels, results.predictions, *([] if others is None else [others])):
            store.expect_classes(index.classes)
        named = settings.gallery.split, settings.gallery.recipe, settings.dataset
        interval = score_interval(results, final_row(sources, settings.gallery.split))
        shown, last = last_words(reports, index, made, *named, others, interval)
        about = shown, photos, differing, learned, interval
        first, *_ = build_gallery(results, sources, settings.gallery, out, reports, epochs, *about)
        draw_overlays(results, settings.gallery.split, overlays)
        note_words(last)
    of = f" of a {first.judged}" if first.measure == "IoU" else ""
    judged = f", median {first.measure}{of} {percent(first.median)}" if first.median is not None else ""
    many = f"{first.photos} {first.split} photo{'' if first.photos == 1 else 's'}"
    return f"gallery: {len(first.cards)} of {many}{judged} → {out}/index.html\n{last}"


if __name__ == "__main__":
    main()
