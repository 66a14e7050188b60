"""Two runs on the same photos: what became better, what became worse, and by which settings they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsss.core.atomic import sha256_file
from wsss.core.errors import UserError, did_you_mean
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.data.index import Record
from wsss.data.masks import MaskedImages
from wsss.data.photos import Photos
from wsss.data.size import fit_label
from wsss.evaluation.confusion import count_pairs, share
from wsss.evaluation.counting import predicted_sources
from wsss.report.bootstrap import overlap
from wsss.report.changes import changed
from wsss.report.compare_rows import (
    COVERAGE,
    LABELLED,
    LabelScore,
    Photo,
    Pooled,
    Row,
    Score,
    counted,
    of_labels,
    pooled,
)
from wsss.report.differing import differing_settings
from wsss.report.ranking import mean_iou
from wsss.report.sides import Side
from wsss.stores.labels import LabelStore

MEGAPIXELS = 1000.0
"""Photos were checked against the user's limit when they were indexed."""


@dataclass(frozen=True)
class Maps:
    """One kind of label maps in one run: `field` of `store`, which the table of scores calls `source`."""

    source: str
    store: LabelStore
    field: str

    def label(self, record: Record) -> np.ndarray:
        """(H, W) uint8 at the photo's own size: two runs may have read it at different ones."""
        return fit_label(self.store.label(record.id, self.field), record.own_size)


@dataclass(frozen=True)
class Comparison:
    """Run A against run B.

    `names`: the runs as they were given, `titles`: in words; `photos`: those in both, of the splits `splits`;
    `classes`: IoU over all of them together, and their `mean`, empty and None without masks, and `labelled`: of maps
    with ignored pixels what these hide; `scores`: every source of the runs' own tables, and `labels`: the same of those
    with ignored pixels; `settings`: key and its value in each run, as text; `code`: stages that ran by other code;
    `newer`: of each run, the stage that is newer than its predictions.
    """

    names: tuple[str, str]
    titles: tuple[str, str]
    class_names: tuple[str, ...]
    maps: tuple[Maps, Maps]
    splits: tuple[str, ...]
    photos: tuple[Photo, ...]
    mean: Pooled | None
    classes: tuple[Pooled, ...]
    labelled: tuple[Row, ...]
    scores: tuple[Score, ...]
    labels: tuple[LabelScore, ...]
    settings: tuple[tuple[str, str, str], ...]
    code: tuple[str, ...]
    newer: tuple[str | None, str | None]
    masked: MaskedImages

    @property
    def judged(self) -> int:
        """Number of photos with a mask."""
        return sum(photo.delta is not None for photo in self.photos)

    @property
    def source(self) -> str:
        """What was compared."""
        a, b = (maps.source for maps in self.maps)
        return a if a == b else f"{a} against {b}"

    def extremes(self, count: int) -> dict[str, list[Photo]]:
        """At most `count` photos under each heading: most improved and most worsened, or without masks most changed."""
        if not self.judged:
            moved = sorted((p for p in self.photos if p.changed), key=lambda p: (-p.changed, p.name))
            return {"most changed": moved[:count]}
        known = sorted((p for p in self.photos if p.delta), key=lambda p: (p.delta, p.name))
        return {
            "most improved": [p for p in reversed(known) if (p.delta or 0) > 0][:count],
            "most worsened": [p for p in known if (p.delta or 0) < 0][:count],
        }


def compare(
    a: Side,
    b: Side,
    source: str | None = None,
    split: str | None = None,
    data: Path | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare the label maps that `source` names, or the final predictions, of the photos that are in both runs: the
    pseudo-labels where one of the runs has ended before its predictions.

    `split`: one of theirs; by default those that both have predicted. `data`: where the photos lie, if not where the
    settings say. `defaults`: as for `differing_settings`. Raises `UserError` for other classes, no photo in common, or
    an unknown source.
    """
    _same_classes(a, b)
    source = "pseudo-label" if source is None and (a.newer or b.newer) else source
    maps = tuple(_maps(side, source) for side in (a, b))
    records = _common(a, b, (maps[0], maps[1]), split)
    masked = MaskedImages(Photos(_root(a, b, data), MEGAPIXELS, records), len(b.index.classes), dropped=b.index.dropped)
    overlaps: list[np.ndarray] = []
    photos: list[Photo] = []
    counts = np.zeros((2, masked.classes, masked.classes + 1), np.int64)
    with Progress("compare", len(records), "photos") as progress:
        for record in records:
            check_stop()
            first, second = (each.label(record) for each in maps)
            mask = _mask(masked, record, {**a.checksums, **b.checksums})
            ious: list[float | None] = [None, None]
            if mask is not None:
                pairs = [count_pairs(mask, label, masked.classes) for label in (first, second)]
                counts += np.stack(pairs)
                both = np.stack([overlap(each) for each in pairs])
                ious = [mean_iou(share(*each)) for each in both]
                overlaps.append(both)
            photos.append(Photo(record.id, ious[0], ious[1], record, changed(first, second)))
            progress.advance()
    mean, classes = pooled(b.index.classes, overlaps)
    labelled, own, labels = of_labels(counts), _scores(a, b), _label_scores(a, b)
    judged = [photo.record.split for photo in photos if photo.delta is not None]
    if (a.newer or b.newer) and mean is not None and len({*judged}) == 1:
        own, labels = counted(own, labels, (maps[0].source, judged[0]), (mean, *labelled), len(judged))
    return Comparison(
        (a.name, b.name),
        (a.title or a.name, b.title or b.name),
        b.index.classes,
        (maps[0], maps[1]),
        tuple(sorted({record.split for record in records})),
        tuple(photos),
        mean,
        classes,
        labelled,
        tuple(own),
        tuple(labels),
        tuple(differing_settings(a.settings, b.settings, defaults or {})),
        tuple(stage for stage, code in a.code.items() if code != b.code.get(stage, code)),
        (a.newer, b.newer),
        masked,
    )


def sources(side: Side) -> dict[str, tuple[LabelStore, str]]:
    """Label maps that a run keeps, by the names of the score table; the student's final one comes last.

    Predictions that are older than what they should be made from are none of this run's.
    """
    found: dict[str, tuple[LabelStore, str]] = {"pseudo-label": (side.pseudo, "label")}
    if side.predictions.ids and not side.newer:
        kept = ("label", *side.predictions.versions(side.predictions.ids[0]))
        named = predicted_sources(side.predictions)
        found |= {name: (side.predictions, field) for name, field in named.items() if field in kept}
    return found


def _maps(side: Side, source: str | None) -> Maps:
    known = sources(side)
    name = list(known)[-1] if source is None else source
    if name not in known:
        what = f"{side.name} keeps no label maps of {name!r}{did_you_mean(name, known)}"
        if side.newer:
            what += f"; its predictions are older than {side.newer}"
        raise UserError("--source", what, f"choose one of: {', '.join(known)}")
    return Maps(name, *known[name])


def _same_classes(a: Side, b: Side) -> None:
    first, second = a.index.classes, b.index.classes
    if first != second:
        missing, extra = sorted(set(first) - set(second)), sorted(set(second) - set(first))
        how = f"only in {a.name}: {missing}, only in {b.name}: {extra}" if missing or extra else "in another order"
        raise UserError(f"{a.name}, {b.name}", f"their classes differ ({how})", "compare runs on one list of classes")


def _common(a: Side, b: Side, maps: tuple[Maps, Maps], split: str | None) -> list[Record]:
    """Records of photos in both runs, the same files, with label maps in both; with a mask where either knows one."""
    others = {record.id: record for record in a.index.records}
    same = [record for record in b.index.records if record.id in others and others[record.id].sha256 == record.sha256]
    splits = {split} if split else _predicted(a, b, same)
    chosen = [r for r in same if r.split in splits and all(r.id in each.store for each in maps)]
    if not chosen:
        where = f"{a.name}, {b.name}"
        if not same:
            raise UserError(where, "not one photo is in both", "compare runs on one data set")
        here = sorted({r.split for r in same if all(r.id in each.store for each in maps)})
        what = f"not one photo of split {' or '.join(sorted(splits))} has a label map of {maps[0].source!r} in both"
        raise UserError(where, what, f"choose --split {' or '.join(here)}" if here else "choose another --source")
    return chosen


def _predicted(a: Side, b: Side, records: Sequence[Record]) -> set[str]:
    """Those of photos that both runs have predicted, or all where one has no predictions of its own."""
    own = not (a.newer or b.newer)
    predicted = {r.split for r in records if own and r.id in a.predictions and r.id in b.predictions}
    return predicted or {r.split for r in records}


def _mask(masked: MaskedImages, record: Record, checksums: Mapping[str, str]) -> np.ndarray | None:
    """As `MaskedImages.mask`; its error says so if the file is another one than the indexed, of these `checksums`."""
    try:
        return masked.mask(record)
    except UserError as error:
        path = masked.photos.root / str(record.mask)
        if not path.is_file() or sha256_file(path) == checksums.get(record.id, sha256_file(path)):
            raise
        fix = f"restore it (wsss verify tells what else has changed); or {error.fix}"
        raise UserError(error.where, f"{error.what}; it has changed since it was indexed", fix) from error


def _root(a: Side, b: Side, data: Path | None) -> Path:
    known = [data] if data else [side.root for side in (b, a) if side.root]
    found = next((root for root in known if root.is_dir()), None)
    if found is None:
        tried = ", ".join(str(root) for root in known) or "the settings name no folder"
        raise UserError("photos", f"their folder is not here ({tried})", "name it: --data FOLDER")
    return found


def _scores(a: Side, b: Side) -> list[Score]:
    found = []
    for key in dict.fromkeys([*b.scores, *a.scores]):
        (first, photos_a), (second, photos_b) = (side.scores.get(key, (None, None)) for side in (a, b))
        source, split = key
        found.append(Score(source, first, second, split, (photos_a, photos_b)))
    return found


def _label_scores(a: Side, b: Side) -> list[LabelScore]:
    found = []
    for source, split in dict.fromkeys([*b.labels, *a.labels]):
        first, second = (side.labels.get((source, split), (None, None)) for side in (a, b))
        for measure, one, two in zip((LABELLED, COVERAGE), first, second, strict=True):
            found.append(LabelScore(measure, one, two, source, split))
    return found
