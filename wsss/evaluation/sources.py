"""Scoring everything the pipeline has made against the masks: CAMs, pseudo-labels, and the student's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from wsss.core.executor import make_executor, run_tasks, stop_workers
from wsss.core.log import Progress
from wsss.core.tables import csv_text, yes_no
from wsss.data.datasets import MaskedImages
from wsss.data.index import Index, Record
from wsss.evaluation.confusion import Scores, count_pairs, scores
from wsss.evaluation.thresholds import BINS, ThresholdSweep, count_scores
from wsss.inference.segment import SegmentSettings
from wsss.pseudo.labels import foreground_scores, upsample
from wsss.stores.cams import CamStore
from wsss.stores.labels import PredictionStore, PseudoStore

CHUNK = 32
COLUMNS = (
    "source",
    "split",
    "images",
    "tags_used",
    "threshold",
    "multiscale",
    "crf",
    "miou",
    "miou_labelled",
    "coverage",
)


class EvaluateSettings(SegmentSettings):
    """Section `evaluate` of params.yaml: how the student is run, and how CAMs are cut."""

    split: str = Field(description="split whose photos the student predicts")
    cam_threshold: float = Field(ge=0, lt=1, description="fixed threshold on CAM scores; .27 is where (1−F)^4 = F")


@dataclass(frozen=True)
class Row:
    """One line of the score table: what was scored, how it was made, and its score."""

    source: str
    split: str
    images: int
    tags_used: bool
    threshold: str
    multiscale: bool
    crf: bool
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """All rows; per split, the confusion matrix by source and the threshold sweep of the CAMs."""

    rows: tuple[Row, ...]
    confusions: Mapping[tuple[str, str], np.ndarray]
    sweeps: Mapping[str, Sequence[tuple[float, float]]]


def evaluate(
    index: Index,
    masks: MaskedImages,
    cams: CamStore,
    pseudo: PseudoStore,
    predictions: PredictionStore,
    settings: EvaluateSettings,
) -> Evaluation:
    """Score every split that has masks. `settings` say how predictions were made."""
    rows: list[Row] = []
    confusions: dict[tuple[str, str], np.ndarray] = {}
    sweeps: dict[str, list[tuple[float, float]]] = {}
    for split in index.splits():
        records = [record for record in index.split(split) if record.mask is not None]
        if not records:
            continue
        counts = _count(split, records, masks, cams, pseudo, predictions)
        matrices: dict[str, np.ndarray] = {}
        thresholds = {"pseudo-label": str(pseudo.attributes.get("threshold", "fixed"))}
        fixed = round(settings.cam_threshold * BINS)
        for name in [name for name in ("raw cam", "cam") if name in counts]:
            sweep = ThresholdSweep(len(index.classes))
            sweep.counts = counts.pop(name).reshape(sweep.counts.shape)
            curve = [scores(sweep.at(number)).miou for number in range(BINS)]
            sweeps[split] = list(zip(sweep.thresholds().tolist(), curve, strict=True))
            best = int(np.argmax(curve))
            matrices |= {name: sweep.at(fixed), f"{name} oracle": sweep.at(best)}
            thresholds |= {name: f"fixed {fixed / BINS:.2f}", f"{name} oracle": f"oracle {best / BINS:.2f}"}
        for source, matrix in (matrices | counts).items():
            confusions[source, split] = matrix
            from_cam = source.startswith(("cam", "raw", "pseudo"))
            rows.append(
                Row(
                    source,
                    split,
                    len(records),
                    tags_used=from_cam,
                    threshold=thresholds.get(source, "arg-max"),
                    multiscale=from_cam or "ms" in source,
                    crf=bool(pseudo.attributes["crf"]) if source == "pseudo-label" else "crf" in source,
                    scores=scores(matrix),
                )
            )
    return Evaluation(tuple(rows), confusions, sweeps)


def _count(
    split: str,
    records: list[Record],
    masks: MaskedImages,
    cams: CamStore,
    pseudo: PseudoStore,
    predictions: PredictionStore,
) -> dict[str, np.ndarray]:
    chunks = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
    total: dict[str, np.ndarray] = {}
    executor = make_executor(in_process=len(chunks) == 1)
    with Progress(f"score {split}", len(records), "photos") as progress:
        for number, part in run_tasks(
            executor, count_chunk, ((chunk, masks, cams, pseudo, predictions) for chunk in chunks)
        ):
            for source, counts in part.items():
                total[source] = total[source] + counts if source in total else counts
            progress.advance(len(chunks[number]))
    stop_workers(executor)
    return total


def count_chunk(
    records: list[Record],
    masks: MaskedImages,
    cams: CamStore,
    pseudo: PseudoStore,
    predictions: PredictionStore,
) -> dict[str, np.ndarray]:
    """Counts of some photos by source: CAMs (C, C, 100) by score, all others (C, C + 1). All photos need a mask."""
    total: dict[str, np.ndarray] = {}
    for record in records:
        truth = masks.mask(record)
        assert truth is not None
        found = cams.read(record.id)
        maps = {"cam": found.scores} | ({} if found.raw is None else {"raw cam": found.raw})
        counts = {
            name: count_scores(truth, foreground_scores(upsample(map_, truth.shape)), found.classes, masks.classes)
            for name, map_ in maps.items()
        }
        labels = {"pseudo-label": pseudo.label(record.id)}
        if record.id in predictions:
            labels |= {
                name: predictions.label(record.id, field) for name, field in predicted_sources(predictions).items()
            }
        counts |= {name: count_pairs(truth, label, masks.classes) for name, label in labels.items()}
        for name, part in counts.items():
            total[name] = total[name] + part if name in total else part
    return total


def predicted_sources(predictions: PredictionStore) -> dict[str, str]:
    """Row names of the networks' label maps and the fields that hold them; the student's come last."""
    sources: dict[str, str] = {}
    for network, final, prefix in (("oste", "oste", "oste_"), ("student", "label", "")):
        sources |= {network: f"{prefix}single", f"{network} ms+flip": f"{prefix}multiscale"}
        if predictions.attributes["crf"]:
            sources[f"{network} ms+flip+crf"] = final
    return sources


def sources_csv(rows: Sequence[Row]) -> str:
    """The score table; scores are fractions with four digits."""
    return csv_text(
        COLUMNS,
        [
            (
                row.source,
                row.split,
                row.images,
                yes_no(row.tags_used),
                row.threshold,
                yes_no(row.multiscale),
                yes_no(row.crf),
                *(f"{value:.4f}" for value in (row.scores.miou, row.scores.miou_labelled, row.scores.coverage)),
            )
            for row in rows
        ],
    )
