"""Writes the scores: a few scalars for `dvc metrics`, CSV tables for plots, and a text table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsss.core.atomic import write_text
from wsss.data.index import Index
from wsss.data.tables import csv_text, yes_no
from wsss.evaluation.classification import TagScores
from wsss.evaluation.sources import Evaluation, Row, Sweep
from wsss.evaluation.thresholds import ThresholdSweep
from wsss.stores.imported import ImportedStore
from wsss.stores.labels import PseudoStore

SOURCE_COLUMNS = (
    *("source", "split", "images", "tags_used", "threshold", "multiscale", "crf", "collapsed"),
    *("miou", "miou_labelled", "boundary_miou", "coverage"),
)
CLASS_COLUMNS = ("source", "split", "class", "iou", "precision", "recall", "boundary_iou", "pixels")
METRIC_NAMES = {
    "raw cam": "cam_raw_miou",
    "cam": "cam_miou",
    "oste": "oste_miou",
    "student": "student_miou",
    "student ms+flip": "student_ms_miou",
    "student ms+flip+crf": "student_ms_crf_miou",
}
LABEL_NAMES = {PseudoStore.source: "pseudo", ImportedStore.source: "labels"}
"""What the names of the metrics of labels begin with: two names, so that nobody compares labels of two kinds as one."""


def write_tables(reports: Path, index: Index, result: Evaluation, split: str, imported: bool = False) -> str:
    """Write metrics.json, sources.csv, classes.csv, per_class.csv, classification.csv, confusion.csv and
    thresholds.csv; return the table for people.

    Metrics and plots show the scores of `split`; `sources.csv` and `classes.csv` have all splits. `imported`: the
    student learned from labels that no stage made, be they scored or not.
    """
    rows = [row for row in result.rows if row.split == split]
    final = result.confusions[rows[-1].source, split] if rows else np.zeros((0, 1), np.int64)
    sweeps = {source: sweep for (source, of), sweep in result.sweeps.items() if of == split}
    write_text(reports / "metrics.json", json.dumps(_metrics(rows, result.tags, imported), indent=2) + "\n")
    write_text(reports / "sources.csv", sources_csv(result.rows))
    write_text(reports / "classes.csv", classes_csv(index, result.rows))
    write_text(reports / "per_class.csv", _per_class(index, rows))
    write_text(reports / "classification.csv", _classification(index, result.tags))
    write_text(reports / "confusion.csv", _confusion(index, final))
    write_text(reports / "thresholds.csv", _thresholds(sweeps))
    return _for_people(result, split)


def sources_csv(rows: Sequence[Row]) -> str:
    """The score table; scores are fractions with four digits."""
    return csv_text(
        SOURCE_COLUMNS,
        [
            (
                *(row.source, row.split, row.images, yes_no(row.made.tags_used), row.made.threshold),
                *("" if each is None else yes_no(each) for each in (row.made.multiscale, row.made.crf, row.collapsed)),
                *(_cell(row.scores.miou), _cell(row.scores.miou_labelled)),
                *(_cell(row.boundary_miou), _cell(row.scores.coverage)),
            )
            for row in rows
        ],
    )


def classes_csv(index: Index, rows: Sequence[Row]) -> str:
    """Every class of every source; an undefined score is an empty cell."""
    lines = []
    for row in rows:
        found = row.scores
        boundary = np.full(len(index.classes), np.nan) if row.boundary_iou is None else row.boundary_iou
        columns = zip(found.iou, found.precision, found.recall, boundary, strict=True)
        for name, pixels, values in zip(index.classes, found.pixels, columns, strict=True):
            lines.append((row.source, row.split, name, *(_cell(value) for value in values), int(pixels)))
    return csv_text(CLASS_COLUMNS, lines)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def _metrics(rows: list[Row], tags: TagScores, imported: bool) -> dict[str, float]:
    """At most ten metrics. Of the student's steps, only the first and the last; of labels, those it learned from, where
    they have all photos that it was scored on: of some photos alone they are no number to set beside its own.
    """
    final = rows[-1] if rows else None
    source = ImportedStore.source if imported else PseudoStore.source
    kind, names = LABEL_NAMES[source], METRIC_NAMES | {source: f"{LABEL_NAMES[source]}_miou"}
    rows = [row for row in rows if row.source != source or (final is not None and row.images == final.images)]
    scored = [row for row in rows if row.source in names and (row.source != "student ms+flip" or row is final)]
    metrics = {names[row.source]: row.scores.miou for row in scored}
    for row in rows:
        if row.source == source:
            metrics |= {f"{kind}_miou_labelled": row.scores.miou_labelled, f"{kind}_coverage": row.scores.coverage}
    if final is not None:
        metrics["student_boundary_miou"] = final.boundary_miou
    metrics["tags_map"] = tags.mean
    return {name: round(value, 4) for name, value in metrics.items() if not np.isnan(value)}


def _per_class(index: Index, rows: list[Row]) -> str:
    lines = [(name, *(_cell(row.scores.iou[number]) for row in rows)) for number, name in enumerate(index.classes)]
    return csv_text(("class", *(row.source for row in rows)), lines)


def _classification(index: Index, tags: TagScores) -> str:
    lines = zip(index.classes[1:], tags.photos.tolist(), map(_cell, tags.precision), strict=True)
    return csv_text(("class", "photos", "ap"), lines)


def _confusion(index: Index, counts: np.ndarray) -> str:
    """Rows (actual, predicted, pixels, fraction of the actual class's pixels) of the last source."""
    names = (*index.classes, "unlabelled")
    lines = []
    for actual, line in enumerate(counts):
        for predicted, pixels in enumerate(line):
            if predicted < len(index.classes) or pixels:
                share = pixels / line.sum() if line.sum() else 0.0
                lines.append((names[actual], names[predicted], int(pixels), f"{share:.4f}"))
    return csv_text(("actual", "predicted", "pixels", "share"), lines)


def _thresholds(sweeps: dict[str, Sweep]) -> str:
    """mIoU of the CAM and of the raw CAM; `chosen` marks the CAM's fixed threshold and the best one."""
    lines = []
    if "cam" in sweeps:
        cam, raw = sweeps["cam"], sweeps.get("raw cam")
        before = np.full(len(cam.miou), np.nan) if raw is None else raw.miou
        for number, threshold in enumerate(ThresholdSweep.thresholds()):
            chosen = [name for name, at in (("fixed", cam.fixed), ("oracle", cam.oracle)) if at == number]
            lines.append((f"{threshold:.2f}", _cell(cam.miou[number]), _cell(before[number]), " ".join(chosen)))
    return csv_text(("threshold", "miou", "raw_miou", "chosen"), lines)


def _for_people(result: Evaluation, split: str) -> str:
    tags = result.tags
    known = int((~np.isnan(tags.precision)).sum())
    mean = "n/a" if np.isnan(tags.mean) else f"{100 * tags.mean:.2f} %"
    last = f"tags: mean average precision {mean} ({split}, {tags.total} photos, {known} classes)"
    if not result.rows:
        return f"evaluate: no photo has a mask, so only tags are scored\n{last}"
    scored = f"{'mIoU %':>7} {'labelled %':>10} {'boundary %':>10} {'coverage %':>10}"
    lines = [f"{'source':<20} {'split':<6} {'photos':>6}  {'threshold':<12} {scored}"]
    for row in result.rows:
        s = row.scores
        boundary = "" if np.isnan(row.boundary_miou) else f"{100 * row.boundary_miou:.2f}"
        lines.append(
            f"{row.source:<20} {row.split:<6} {row.images:>6}  {row.made.threshold:<12} "
            f"{100 * s.miou:>7.2f} {100 * s.miou_labelled:>10.2f} {boundary:>10} {100 * s.coverage:>10.1f}"
        )
    return "\n".join([*lines, last])
