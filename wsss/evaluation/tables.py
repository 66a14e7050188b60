"""Scores as files: few scalars for `dvc metrics`, tables for plots, one table for people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wsss.core.atomic import write_text
from wsss.core.tables import csv_text
from wsss.data.index import Index
from wsss.evaluation.sources import Evaluation, Row, sources_csv

METRIC_NAMES = {
    "raw cam": "cam_raw_miou",
    "cam": "cam_miou",
    "cam oracle": "cam_oracle_miou",
    "pseudo-label": "pseudo_miou",
    "oste": "oste_miou",
    "student": "student_miou",
    "student ms+flip": "student_ms_miou",
    "student ms+flip+crf": "student_ms_crf_miou",
}


def write_tables(reports: Path, index: Index, result: Evaluation, split: str) -> str:
    """Write metrics.json, sources.csv, per_class.csv, confusion.csv and thresholds.csv; return the table for people.

    `split` is the one whose scores are the metrics and plots; `sources.csv` has all splits.
    """
    rows = [row for row in result.rows if row.split == split]
    write_text(reports / "metrics.json", json.dumps(_metrics(rows), indent=2) + "\n")
    write_text(reports / "sources.csv", sources_csv(result.rows))
    write_text(reports / "per_class.csv", _per_class(index, rows))
    final = result.confusions[rows[-1].source, split] if rows else np.zeros((0, 1), np.int64)
    write_text(reports / "confusion.csv", _confusion(index, final))
    sweep = [(f"{t:.2f}", f"{miou:.4f}") for t, miou in result.sweeps.get(split, ())]
    write_text(reports / "thresholds.csv", csv_text(("threshold", "miou"), sweep))
    return _for_people(result.rows)


def _metrics(rows: list[Row]) -> dict[str, float]:
    metrics = {METRIC_NAMES[row.source]: round(row.scores.miou, 4) for row in rows if row.source in METRIC_NAMES}
    for row in rows:
        if row.source == "pseudo-label":
            metrics["pseudo_miou_labelled"] = round(row.scores.miou_labelled, 4)
            metrics["pseudo_coverage"] = round(row.scores.coverage, 4)
    return metrics


def _per_class(index: Index, rows: list[Row]) -> str:
    def cell(value: float) -> str:
        return "" if np.isnan(value) else f"{value:.4f}"

    lines = [(name, *(cell(row.scores.iou[number]) for row in rows)) for number, name in enumerate(index.classes)]
    return csv_text(("class", *(row.source for row in rows)), lines)


def _confusion(index: Index, counts: np.ndarray) -> str:
    """Rows (actual, predicted, pixels, share of the actual class's pixels) of the last source."""
    names = (*index.classes, "unlabelled")
    lines = []
    for actual, line in enumerate(counts):
        for predicted, pixels in enumerate(line):
            if predicted < len(index.classes) or pixels:
                share = pixels / line.sum() if line.sum() else 0.0
                lines.append((names[actual], names[predicted], int(pixels), f"{share:.4f}"))
    return csv_text(("actual", "predicted", "pixels", "share"), lines)


def _for_people(rows: tuple[Row, ...]) -> str:
    if not rows:
        return "evaluate: no photo has a mask, so there is nothing to score"
    scored = f"{'mIoU %':>7} {'labelled %':>10} {'coverage %':>10}"
    lines = [f"{'source':<20} {'split':<6} {'photos':>6}  {'threshold':<12} {scored}"]
    for row in rows:
        s = row.scores
        lines.append(
            f"{row.source:<20} {row.split:<6} {row.images:>6}  {row.threshold:<12} "
            f"{100 * s.miou:>7.2f} {100 * s.miou_labelled:>10.2f} {100 * s.coverage:>10.1f}"
        )
    return "\n".join(lines)
