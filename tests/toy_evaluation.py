"""A small run to be evaluated: four train photos, two of them with masks, four val photos, and every store and network.

Random weights and labels; what is scored is wrong nearly everywhere, which is as good for counting as any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

import pipeline.evaluate
from tests.helpers import CLASSES, record_masks, written
from tests.toy_distill import ToyStore, write_oste
from tests.toy_oste import CRF, toy_photos
from wsss.cams.stage import CamsSettings, dump_cams
from wsss.core.atomic import sha256_file
from wsss.core.folders import publish
from wsss.core.stage import Stage, hash_input
from wsss.data.images import save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.evaluation.sources import EvaluateSettings
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.student import Student, build_student
from wsss.stores.labels import PSEUDO_FORMAT, put_labels
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store_index

CAMS = CamsSettings(scales=(0.5, 1.0), precision="32-true")
SETTINGS = EvaluateSettings(cam_threshold=0.3, scales=(0.75, 1.0), crf=CRF)
INFERENCE = InferenceSettings(batch=2, shard_size=3)
WITHOUT_CRF = SETTINGS.model_copy(update={"crf": None})


class Project:
    """The run in the working folder. `masks`: for photos 2, 3 (train) and all of val but the last.

    `times`: the photos' files, and their masks, have so many times the sides that the photos are read at.
    """

    def __init__(self, masks: bool = True, cams: CamsSettings = CAMS, times: int = 1) -> None:
        root = Path("photos")
        records = []
        for number, record in enumerate(toy_photos(root).records):
            record = replace(record, split="train" if number < 4 else "val")
            if times > 1:
                record = enlarge(root, record, times)
            if masks and 2 <= number < 7:
                mask = np.random.default_rng((number, 2)).choice(np.array([0, *record.tags, 255], np.uint8), (5, 8))
                mask = np.kron(mask, np.ones((18 * times, 12 * times), np.uint8))
                mask = mask[: record.own_height, : record.own_width]
                save_mask_png(root / f"{number}-mask.png", mask)
                record = replace(record, mask=f"{number}-mask.png")
            records.append(record)
        self.index = Index(CLASSES, tuple(records))
        self.photos = Photos(root, 1.0, self.index.records)
        write_index(Path("dataset"), self.index)
        record_masks(Path("masks.csv"), self.photos.root, self.index.records)
        write_oste(Path("oste.pt"))
        self.write_student()
        self.write_pseudo()
        self.write_relabelled(())
        Path("scratch-cams").mkdir()
        stage = Stage("cams", "f" * 16, Path("scratch-cams"))
        publish(dump_cams(stage, self.index, self.photos, Path("oste.pt"), cams, INFERENCE), Path("cams"))

    def write_student(self, change: Callable[[Student], None] = lambda student: None) -> None:
        torch.manual_seed(3)
        card = NetworkCard(
            "student",
            BackboneSettings(name="tiny", weights="random"),
            {"channels": 32, "dropout": 0.1},
            CLASSES,
            "random",
            self.index.sizes,
        )
        network = build_student(card, load_weights=True)
        nn.init.normal_(network.head.weight, std=1.0)
        with torch.no_grad():
            change(network)
        save_network(Path("distilled.pt"), network, card)

    def write_pseudo(self, threshold: str = "gmm", crf: bool = True) -> None:
        labels = ToyStore(self.photos)
        meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {"crf": crf, "method": threshold})
        shards: list[Shard] = plan_shards([record.id for record in self.index.records], 5)
        folder = Path("pseudo")
        folder.mkdir(exist_ok=True)
        for shard in shards:
            with shard_writer(folder / shard.name, shard, meta) as file:
                for name in shard.ids:
                    put_labels(file, name, labels.label(name), labels.confidence(name))
        write_store_index(folder, meta, shards)

    def write_relabelled(self, names: Sequence[str], **attributes: bool | str) -> None:
        """All background, for the photos `names`."""
        meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {"crf": True, "multiscale": False, **attributes})
        self._write_background(Path("relabelled"), meta, names)

    def write_imported(self, names: Sequence[str], **attributes: bool) -> str:
        """Labels that no stage made, in the folder ``mine``: all background, for the photos `names`. Their checksum."""
        self._write_background(Path("mine"), StoreMeta(PSEUDO_FORMAT, CLASSES, attributes), names)
        return hash_input(Path("mine"))

    def _write_background(self, folder: Path, meta: StoreMeta, names: Sequence[str]) -> None:
        sizes = {r.id: (r.height, r.width) for r in self.index.records}
        folder.mkdir(exist_ok=True)
        shards = plan_shards(names, 5)
        for shard in shards:
            with shard_writer(folder / shard.name, shard, meta) as file:
                for name in shard.ids:
                    put_labels(file, name, np.zeros(sizes[name], np.uint8), np.ones(sizes[name], np.float32))
        write_store_index(folder, meta, shards)


def enlarge(root: Path, record: Record, times: int) -> Record:
    """Replace the file of a photo by one of `times` its sides; it is still read at its old size."""
    with Image.open(root / record.image) as image:
        large = image.resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)
    large.save(root / record.image)
    own = {"own_height": large.height, "own_width": large.width}
    return replace(record, sha256=sha256_file(root / record.image), **own)


def run_stage(settings: EvaluateSettings = SETTINGS, labels: str = "pseudo") -> Result:
    """The stage on the run in the working folder; `reports` and `predictions` are written beside it. `labels`: what
    `distill.labels` says.
    """
    sections: dict[str, Any] = {
        "dataset": {"root": "photos", "max_megapixels": 1.0},
        "inference": INFERENCE.model_dump(),
        "distill": {"labels": labels},
        "evaluate": written(settings),
    }
    Path("params.yaml").write_text(json.dumps(sections, indent=1))
    names = ("dataset", "cams", "pseudo", "relabelled", "predictions", "reports")
    files = [part for name in names for part in (f"--{name}", name)]
    single = {"masks": "masks.csv", "oste": "oste.pt", "distilled": "distilled.pt", "student": "student.pt"}
    files += [part for name, value in single.items() for part in (f"--{name}", value)]
    return CliRunner().invoke(pipeline.evaluate.main, files)
