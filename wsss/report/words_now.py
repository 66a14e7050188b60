"""The verdict on the results that lie in the present folder, whoever made them: a stage that ran, or DVC's cache."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict

from wsss.core.locked_files import CACHE, is_as_listed, read_lock
from wsss.core.locked_stages import newer_stage
from wsss.core.params import Settings, load
from wsss.data.index import read_index
from wsss.data.origins import LABELS_SHA
from wsss.formats.own_masks import own_masks
from wsss.report.interval import read_interval
from wsss.report.other_labels import other_labels
from wsss.report.own_masks import masks_as_written
from wsss.report.scores import final_row, read_sources
from wsss.report.steps import Place, last_words
from wsss.stores.imported import Labels
from wsss.stores.labels import RelabelledStore

PARAMS, REPORTS, DATASET = Path("params.yaml"), Path("reports"), Path("artifacts/dataset")
LOCK, GALLERY, MADE = Path("dvc.lock"), REPORTS / "gallery", ("artifacts", "reports")
PICTURES = (GALLERY, REPORTS / "overlays", Path("artifacts/epochs"))
"""Folders of any number of files, of which the last words say nothing."""


class Shown(Settings):
    """Section `gallery`, as far as the last words depend on it."""

    model_config = ConfigDict(extra="ignore")

    split: str = "val"
    recipe: str = ""


class Params(Settings):
    """What is read of params.yaml."""

    dataset: Place
    distill: Labels = Labels()
    gallery: Shown = Shown()


def words_now() -> str:
    """What stage `gallery` would say of the reports that are here now: verdict, and what to do.

    Raises a `WsssError` where reports, index, labels or settings are not there, or cannot be read.
    """
    settings, made = load(PARAMS, Params), RelabelledStore(RelabelledStore.place)
    shown = settings.gallery.split, settings.gallery.recipe
    others, _ = other_labels(settings.distill.place, str(made.attributes.get(LABELS_SHA, "")))
    scored = final_row(read_sources(REPORTS / "sources.csv"), settings.gallery.split)
    interval = read_interval(GALLERY, scored)
    _, text = last_words(REPORTS, read_index(DATASET), made, *shown, settings.dataset, others, interval)
    return text


def are_complete() -> bool:
    """Whether all results, to the gallery, are here as dvc.lock lists them, and are of one run: then the last words are
    theirs, whatever stage has run again since and found the same. Of folders of pictures only that they are there.

    Raises what `read_lock` does.
    """
    if not LOCK.is_file():
        return False
    outputs = [output for output in read_lock(LOCK) if output.path.parts[0] in MADE]
    if GALLERY not in {output.path for output in outputs} or newer_stage(LOCK, str(GALLERY)):
        return False
    return all(
        output.path.is_dir() if output.path in PICTURES else output.path.exists() and is_as_listed(output, CACHE)
        for output in outputs
    )


def masks_now() -> str:
    """The warning about masks of the data set that are a network's own, on which the verdict may rest; empty if none
    are. Raises a `WsssError` where settings or index are not there.
    """
    dataset = load(PARAMS, Params).dataset
    masked = [record for record in read_index(DATASET).records if record.mask is not None]
    warnings = own_masks(masks_as_written(Path(dataset.root), dataset.masks, masked), len(masked))
    return "\n".join(f"warning: {dataset.root}: {each.what}\nfix: {each.fix}" for each in warnings)
