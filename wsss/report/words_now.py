"""The verdict on the results that lie in the present folder, whoever made them: a stage that ran, or DVC's cache."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ConfigDict

from wsss.core.errors import UserError
from wsss.core.params import Settings, load
from wsss.data.images import load_mask
from wsss.data.index import IGNORE, Record, read_index
from wsss.data.origins import LABELS_SHA, digest
from wsss.formats.own_masks import as_written, digests_as_written, own_masks
from wsss.formats.problems import Finding
from wsss.report.interval import read_interval
from wsss.report.other_labels import other_labels
from wsss.report.scores import best_row, read_sources
from wsss.report.steps import Place, last_words
from wsss.stores.imported import Labels
from wsss.stores.labels import RelabelledStore

PARAMS, REPORTS, DATASET = Path("params.yaml"), Path("reports"), Path("artifacts/dataset")


class Shown(Settings):
    """Section `gallery`, as far as the last words depend on it."""

    model_config = ConfigDict(extra="ignore")

    split: str = "val"
    recipe: str = ""


class Masked(Place):
    """The same with the folder of masks."""

    masks: str = ""


class Params(Settings):
    """What is read of params.yaml."""

    dataset: Masked
    distill: Labels = Labels()
    gallery: Shown = Shown()


def words_now() -> str:
    """What stage `gallery` would say of the reports that are here now: verdict, and what to do.

    Raises a `WsssError` where reports, index, labels or settings are not there, or cannot be read.
    """
    settings, made = load(PARAMS, Params), RelabelledStore(RelabelledStore.place)
    shown = settings.gallery.split, settings.gallery.recipe
    others, _ = other_labels(settings.distill.place, str(made.attributes.get(LABELS_SHA, "")))
    scored = best_row(read_sources(REPORTS / "sources.csv"), settings.gallery.split, "student")
    interval = read_interval(REPORTS / "gallery", scored)
    _, text = last_words(REPORTS, read_index(DATASET), made, *shown, settings.dataset, others, interval)
    return text


def masks_now() -> str:
    """The warning about masks of the data set that are a network's own, on which the verdict may rest; empty if none
    are. Raises a `WsssError` where settings or index are not there.
    """
    dataset, records = load(PARAMS, Params).dataset, read_index(DATASET).records
    warnings = own_masks_of(dataset, [record for record in records if record.mask is not None])
    return "\n".join(f"warning: {dataset.root}: {each.what}\nfix: {each.fix}" for each in warnings)


def own_masks_of(dataset: Masked, records: Sequence[Record]) -> list[Finding]:
    """The finding of stage `index` on the masks that the photos `records` have now."""
    root, folder = Path(dataset.root), Path(dataset.root) / dataset.masks
    if not dataset.masks or not digests_as_written(folder):
        return []
    masks = {}
    for record in records:
        path = root / str(record.mask)
        if not path.is_relative_to(folder):
            continue  # the settings name other masks now, and stage `index` has not run since
        with suppress(UserError):  # it is gone, or changed to what is no mask: `wsss check` says so
            shown = digest(load_mask(path, record.own_size, IGNORE))
            masks[record.id] = path.relative_to(folder).as_posix(), shown
    return own_masks(as_written(folder, masks), len(records))
