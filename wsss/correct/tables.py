"""Mixtures as rows in the store of pseudo-labels, and as two CSV tables for people and plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wsss.core.atomic import write_text
from wsss.core.interrupt import check_stop
from wsss.correct import em
from wsss.correct.mixtures import GUARDS, MAX_COMPONENTS, Mixture, count_scores
from wsss.data.index import Index, Record
from wsss.data.tables import csv_text
from wsss.stores.cams import CamStore
from wsss.stores.labels import PseudoStore

RULES = ("to_background", "to_class", "to_unsure", "moved_by_crf", "filled")
"""Rules (a)–(e) of the Gaussian correction (docs/method/labels.md)."""
COLUMNS = (
    *("id", "class", "components", "weights", "means", "deviations", "background_below", "class_above"),
    *RULES,
    "guard",
)
HISTOGRAM_COLUMNS = ("class", "score", "share", "background", "uncertain", "foreground", "below", "above")
PLOT_BINS = 64
"""Bins of the plotted histograms, merged from the 256 that are fitted."""
WIDTH = 2 + 3 * MAX_COMPONENTS + 2 + len(RULES)


def pack(mixtures: Sequence[Mixture], cuts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(P, 18) float64, one row for each map: guard, components, mixture, thresholds, counts of the rules."""
    rows = np.zeros((len(mixtures), WIDTH))
    for row, mixture, cut, count in zip(rows, mixtures, cuts, counts, strict=True):
        used = len(mixture.weights)
        row[:2] = GUARDS.index(mixture.guard), used
        for place, part in enumerate((mixture.weights, mixture.means, mixture.deviations)):
            row[2 + place * MAX_COMPONENTS :][:used] = part
        row[-len(RULES) - 2 :] = *cut, *count
    return rows


def unpack(row: np.ndarray) -> tuple[Mixture, np.ndarray, np.ndarray]:
    """The mixture, its two thresholds and the counts of the rules of one row that `pack` made."""
    used = int(row[1])
    weights, means, deviations = (row[2 + place * MAX_COMPONENTS :][:used] for place in range(3))
    mixture = Mixture(GUARDS[int(row[0])], weights, means, deviations)
    return mixture, row[-len(RULES) - 2 : -len(RULES)], row[-len(RULES) :].astype(np.int64)


def mixtures_csv(labels: PseudoStore, records: Iterable[Record], names: Sequence[str]) -> str:
    """One row for each map, by id and class; several components in one cell are separated by spaces."""
    lines: list[tuple[object, ...]] = []
    for record in records:
        for number, row in zip(record.tags, labels.mixtures(record.id), strict=True):
            mixture, cuts, counts = unpack(row)
            parts = (
                " ".join(f"{x:.4f}" for x in part) for part in (mixture.weights, mixture.means, mixture.deviations)
            )
            limits = ("" if np.isnan(cut) else f"{cut:.3f}" for cut in cuts)
            lines.append((record.id, names[number], len(mixture.means), *parts, *limits, *counts, mixture.guard))
    return csv_text(COLUMNS, lines)


def histograms_csv(cams: CamStore, labels: PseudoStore, records: Sequence[Record], names: Sequence[str]) -> str:
    """For each class and bin: the fraction of the scores, and the density of the maps' components, also as fractions.

    The components are the mean over the class's maps that have an unguarded mixture, weighted by the number of their
    scores. So are the scores `below` which it is background and `above` which it is the class; they are the same in all
    rows of a class.
    """
    counts = np.zeros((len(names), em.BINS))
    densities = np.zeros((len(names), 3, em.BINS))
    fitted, cuts = np.zeros(len(names)), np.zeros((len(names), 2))
    for record in records:
        check_stop()
        found = cams.read(record.id)
        histograms = count_scores(found.scores)
        counts[found.classes] += histograms
        for number, row, histogram in zip(found.classes, labels.mixtures(record.id), histograms, strict=True):
            mixture, limits, _ = unpack(row)
            if not mixture.guard:
                cuts[number] += histogram.sum() * limits
                densities[number] += histogram.sum() * component_densities(mixture)
                fitted[number] += histogram.sum()
    lines = []
    for number in np.flatnonzero(counts.sum(1)).tolist():
        share = _coarse(counts[number]) / counts[number].sum()
        parts = _coarse(densities[number]) / max(fitted[number], 1.0)
        means = cuts[number] / fitted[number] if fitted[number] else np.full(2, np.nan)
        chosen = ["" if np.isnan(mean) else f"{mean:.3f}" for mean in means]
        for place in range(PLOT_BINS):
            values = (f"{value:.5f}" for value in (share[place], *parts[:, place]))
            lines.append((names[number], f"{(place + 0.5) / PLOT_BINS:.4f}", *values, *chosen))
    return csv_text(HISTOGRAM_COLUMNS, lines)


def component_densities(mixture: Mixture) -> np.ndarray:
    """(3, 256): the probability of each bin under the first, all middle and the last component."""
    weights, means, deviations = (part[:, None] for part in (mixture.weights, mixture.means, mixture.deviations))
    scaled = np.exp(-0.5 * ((em.CENTRES - means) / deviations) ** 2) * weights
    parts = scaled / (deviations * np.sqrt(2 * np.pi)) / em.BINS
    return np.stack([parts[0], parts[1:-1].sum(0), parts[-1]])


def write_tables(reports: tuple[Path, Path], cams: CamStore, labels: PseudoStore, index: Index) -> None:
    """Write `mixtures.csv` and `mixture_histograms.csv`; only headers if no mixtures were fitted."""
    records = index.records if labels.has_mixtures else ()
    write_text(reports[0], mixtures_csv(labels, records, index.classes))
    write_text(reports[1], histograms_csv(cams, labels, records, index.classes))


def _coarse(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.reshape(*values.shape[:-1], PLOT_BINS, -1).sum(-1))
