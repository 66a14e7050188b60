"""Rows `rates` and `chain` of `benchmarks.device`: photos a second, and the whole way from photos to scores."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import LOG
from benchmarks.smoke import STAGES, TINY
from benchmarks.stages import begin, on_device, run_stage, settings
from wsss.cams.stage import dump_cams
from wsss.core.folders import publish
from wsss.core.kept import forget
from wsss.core.params import load
from wsss.core.stage import Stage
from wsss.correct.stage import make_pseudo_labels
from wsss.data.index import read_index
from wsss.models.checkpoint import OSTE, NetworkCard, save_network
from wsss.models.oste import build_oste
from wsss.numeric.device import device
from wsss.plan.settings import Params
from wsss.stores.cams import CamStore
from wsss.stores.labels import PseudoStore
from wsss.training.oste import shape_of
from wsss.training.probe import evenly

FEW, MANY = 16, 192
"""Photos to warm up with, and to measure."""
SIDE = 320
"""Pixels of the scenes that are drawn where there are no photos: as MSRC-v2's."""


def rates(folder: Path, where: str, photos: Path | None, toy: bool) -> Iterator[dict[str, Any]]:
    """Photos a second of `cams`, and of `correct` on both devices, with the settings of the recipe `msrc`.

    The network is not trained: its maps cost the same, and the corrections nearly so.
    """
    shutil.rmtree(folder, ignore_errors=True)
    few, many = (2, 4) if toy else (FEW, MANY)
    drawn = {"demo": {"train": few + many, "val": 4, "size": 64 if toy else SIDE}}
    params = _settings("msrc", folder, photos, drawn, toy)
    begin(folder, params)
    _read(folder, photos)
    made, index = load(folder / "params.yaml", Params), read_index(folder / "artifacts/dataset")
    index = replace(index, records=tuple(evenly(index.split("train"), many)))  # `correct` surveys all maps of train
    some = {count: made.location.photos(evenly(index.records, count)) for count in (few, many)}
    shape = shape_of(made.train, made.pretrain.bias, branch=True)
    backbone = made.pretrain.backbone.model_copy(update={"output_stride": made.train.output_stride})
    card = NetworkCard(OSTE, backbone, shape, index.classes, backbone.weights)
    save_network(folder / "oste.pt", build_oste(card, load_weights=True), card)
    about = {"photos": len(some[many].records), "set": "drawn scenes" if photos is None else photos.name}
    about |= {"weights": backbone.weights}

    def measured(name: str, device_name: str, count: int) -> float:
        stage = Stage(name, "", folder / f"{name} {device_name} {count}")
        begun = time.perf_counter()
        with on_device(device_name):
            if name == "cams":
                found = dump_cams(stage, index, some[count], folder / "oste.pt", made.cams, made.inference)
                publish(found, folder / "cams")
            else:
                maps, shards = CamStore(folder / "cams"), made.inference.shard_size
                labels = make_pseudo_labels(stage, index, some[count], maps, made.correct, shards)
                publish(labels.path, folder / f"labels {device_name}")
        return len(some[count].records) / (time.perf_counter() - begun)

    views = {"scales": made.cams.scales, "flip": made.cams.flip, "precision": made.cams.precision}
    for count in (few, many):
        speed = measured("cams", where, count)
    forget()
    yield {"stage": "cams", "device": _name(where), **about, **views, "photos_per_s": round(speed, 2)}
    for device_name in dict.fromkeys(("cpu", _name(where))):
        speed = measured("correct", device_name, many)
        row = {"stage": "correct", "device": device_name, **about, "method": made.correct.method}
        yield row | {"photos_per_s": round(speed, 2)} | _against_cpu(folder, device_name)


def chain(folder: Path, where: str, photos: Path | None, seed: int, toy: bool) -> Iterator[dict[str, Any]]:
    """A row for each stage with its seconds, then one with all of them and the mIoU of each source of val."""
    shutil.rmtree(folder, ignore_errors=True)
    recipe = "demo" if photos is None else "msrc"
    params = _settings(recipe, folder, photos, {"seed": seed}, toy)
    begin(folder, params)
    if photos is None:
        run_stage("demo", folder, "cpu", folder.parent / LOG)
    about = {"recipe": recipe, "seed": seed, "device": _name(where)}
    seconds: dict[str, float] = {}
    for stage in STAGES:
        seconds[stage] = round(run_stage(stage, folder, where, folder.parent / LOG), 1)
        yield {**about, "stage": stage, "stage_s": seconds[stage]}
    with (folder / "reports/sources.csv").open(encoding="utf-8", newline="") as file:
        scores = {row["source"]: round(float(row["miou"]), 4) for row in csv.DictReader(file) if row["split"] == "val"}
    weights = params["pretrain"]["backbone"]["weights"]
    yield {**about, "weights": weights, "stages_s": seconds, "all_s": round(sum(seconds.values()), 1), "miou": scores}


def _settings(recipe: str, folder: Path, photos: Path | None, changes: dict[str, Any], toy: bool) -> dict[str, Any]:
    params = settings(recipe, TINY if toy else {}, changes)
    if photos is None:
        params["dataset"] = settings("demo")["dataset"]
    params["dataset"]["root"] = str(folder / "data/demo" if photos is None else photos)
    return params


def _read(folder: Path, photos: Path | None) -> None:
    for stage in ("demo", "index") if photos is None else ("index",):
        run_stage(stage, folder, "cpu", folder.parent / LOG)


def _name(where: str) -> str:
    with on_device(where):
        return str(device())


def _against_cpu(folder: Path, device_name: str) -> dict[str, float]:
    ours, theirs = (PseudoStore(folder / f"labels {name}") for name in (device_name, "cpu"))
    same = [(ours.label(name) == theirs.label(name)).mean() for name in theirs.ids]
    return {"same_pixels_as_cpu": round(float(np.mean(same)), 6)}
