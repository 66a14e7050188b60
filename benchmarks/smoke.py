"""Row `smoke` of `benchmarks.device`: every stage on the device against the same stage on the CPU.

Both get the CPU's artifacts, so each difference is that of one stage. Convolutions of a GPU round their inputs to ten
bits (TF32), so results are alike and not equal; the limits say how alike.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import LOG
from benchmarks.stages import begin, run_stage, settings
from wsss.core.atomic import sha256_file
from wsss.stores.cams import CamStore
from wsss.stores.labels import LabelStore, PredictionStore, PseudoStore

STAGES = ("index", "pretrain", "train", "cams", "correct", "distill", "evaluate")
LIMITS = {
    "other bytes of the index": 0.0,
    "relative difference of the loss": 0.02,
    "difference of the tags' AP": 0.05,
    "largest difference of a CAM": 0.02,
    "other pixels of pseudo-labels": 0.002,
    "other pixels of predictions": 0.02,
    "largest difference of an mIoU": 0.01,
}
"""The most that a stage on the device may differ from the CPU. CAMs and mIoUs are in [0, 1], pixels are fractions."""
NETWORK = {"backbone": {"name": "tiny", "weights": "random"}}
TINY: dict[str, Any] = {
    "demo": {"train": 12, "val": 4, "size": 64},
    "pretrain": {"augment": {"crop": 64}, "optim": {"epochs": 1}, **NETWORK},
    "train": {"channels": 32, "augment": {"crop": 64}, "optim": {"epochs": 2}},
    "distill": {"channels": 32, "augment": {"crop": 64}, "stage1": {"epochs": 1}, "optim": {"epochs": 2}, **NETWORK},
    "cams": {"scales": [1.0]},
    "evaluate": {"scales": [1.0], "crf": {"iterations": 2}},
}
SMALL: dict[str, Any] = {
    "demo": {"train": 32, "val": 16, "size": 96},
    "pretrain": {"augment": {"crop": 96}, "optim": {"epochs": 2, "warmup_steps": 2}},
    "train": {"augment": {"crop": 96}, "optim": {"epochs": 2, "warmup_steps": 2}},
    "distill": {"augment": {"crop": 96}, "stage1": {"epochs": 1}, "optim": {"epochs": 2}},
    "cams": {"scales": [1.0, 1.5]},
}
ALIKE: dict[str, Any] = {section: {"dropout": 0.0} for section in ("pretrain", "train", "distill")}
"""A GPU draws other random numbers."""


def compare_stages(folder: Path, where: str, toy: bool) -> Iterator[dict[str, Any]]:
    """A row for each stage: seconds on both, each difference with its limit, whether all are kept, and whether the
    device writes the same bytes when it does it again.
    """
    shutil.rmtree(folder, ignore_errors=True)
    log, cpu, other, again = folder.parent / LOG, folder / "cpu", folder / "device", folder / "again"
    params = settings("demo", TINY if toy else SMALL, ALIKE)
    params["dataset"]["root"] = str(cpu / "data" / "demo")
    begin(cpu, params)
    run_stage("demo", cpu, "cpu", log)
    for stage in STAGES:
        for copy in (other, again):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(cpu, copy)
        seconds = {"cpu_s": run_stage(stage, cpu, "cpu", log), "device_s": run_stage(stage, other, where, log)}
        run_stage(stage, again, where, log)
        differences = DIFFERENCES[stage](cpu, other)
        yield {
            "stage": stage,
            "weights": params["pretrain"]["backbone"]["weights"],
            **{name: round(value, 2) for name, value in seconds.items()},
            "differences": {name: [round(found, 6), LIMITS[name]] for name, found in differences.items()},
            "passed": passes(differences),
            "same_bytes_again": _files(other) == _files(again),
        }


def passes(differences: Mapping[str, float]) -> bool:
    """True if no difference is above its limit, or no number."""
    return all(found <= LIMITS[name] for name, found in differences.items())


def index_difference(cpu: Path, other: Path) -> dict[str, float]:
    """Files of the index that are not the same."""
    names = sorted(path.name for path in (cpu / "artifacts/dataset").iterdir())
    same = [
        (cpu / "artifacts/dataset" / n).read_bytes() == (other / "artifacts/dataset" / n).read_bytes() for n in names
    ]
    return {"other bytes of the index": float(same.count(False))}


def training_difference(history: str, tags: str = "") -> Callable[[Path, Path], dict[str, float]]:
    """Of the losses of all epochs; and of the mean AP of the state that is kept, where there is a table of `tags`."""

    def difference(cpu: Path, other: Path) -> dict[str, float]:
        ours, theirs = (_column(folder / "reports" / history, "loss") for folder in (other, cpu))
        found = {"relative difference of the loss": float(np.max(np.abs(ours - theirs) / np.abs(theirs)))}
        if tags:
            ours, theirs = (_column(folder / "reports" / tags, "kept") for folder in (other, cpu))
            found["difference of the tags' AP"] = float(abs(np.nanmean(ours) - np.nanmean(theirs)))
        return found

    return difference


def cam_difference(cpu: Path, other: Path) -> dict[str, float]:
    """Over all photos, classes and cells."""
    ours, theirs = (CamStore(folder / "artifacts/cams") for folder in (other, cpu))
    found = [
        np.abs(ours.read(name).scores.astype(float) - theirs.read(name).scores).max(initial=0) for name in theirs.ids
    ]
    return {"largest difference of a CAM": float(max(found))}


def label_difference(cpu: Path, other: Path) -> dict[str, float]:
    """Of the pseudo-labels."""
    ours, theirs = (PseudoStore(folder / "artifacts/pseudo") for folder in (other, cpu))
    return {"other pixels of pseudo-labels": _other_pixels(ours, theirs)}


def score_difference(cpu: Path, other: Path) -> dict[str, float]:
    """Of the predictions, and of each row of the scores."""
    ours, theirs = (PredictionStore(folder / "artifacts/predictions") for folder in (other, cpu))
    scores = [_column(folder / "reports/sources.csv", "miou") for folder in (other, cpu)]
    return {
        "other pixels of predictions": _other_pixels(ours, theirs),
        "largest difference of an mIoU": float(np.nanmax(np.abs(scores[0] - scores[1]))),
    }


DIFFERENCES: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "index": index_difference,
    "pretrain": training_difference("pretrain.csv", "pretrain_tags.csv"),
    "train": training_difference("train.csv", "train_tags.csv"),
    "cams": cam_difference,
    "correct": label_difference,
    "distill": training_difference("distill.csv"),
    "evaluate": score_difference,
}
"""For each stage: its measures of what two runs of it, in two folders, have made."""


def _files(folder: Path) -> dict[str, str]:
    """Checksum of each file that a stage has left, by its path."""
    made = [path for part in ("artifacts", "reports") for path in sorted((folder / part).rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): sha256_file(path) for path in made}


def _other_pixels(ours: LabelStore, theirs: LabelStore) -> float:
    other = [(ours.label(name) != theirs.label(name)).ravel() for name in theirs.ids]
    return float(np.concatenate(other).mean())


def _column(table: Path, name: str) -> np.ndarray:
    """A column of numbers; NaN for an empty cell."""
    with table.open(encoding="utf-8", newline="") as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])
