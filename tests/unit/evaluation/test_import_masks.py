"""Masks as labels: marked, refused where nobody asked for them, and said aloud where somebody did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import pipeline.distill
from tests.helpers import CLASSES, record_masks, written
from tests.toy_distill import SETTINGS, ToyStore, altered, write_oste
from tests.toy_oste import toy_photos
from wsss.commands import labels
from wsss.core.errors import UserError
from wsss.data.images import save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.distill.data import open_labels
from wsss.distill.settings import DistillSettings
from wsss.models.student import load_student
from wsss.stores.labels import PSEUDO_FORMAT, PseudoStore, put_labels
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store_index

ALONE = altered(stage1__enabled=False, stage2__enabled=False, optim__epochs=1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, value in {"WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", "WSSS_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def write_project(settings: DistillSettings = ALONE, masks: bool = True) -> Index:
    """Photos, the index with masks for all but the first, OSTE, and params.yaml in the working folder."""
    photos = toy_photos(Path("photos"))
    store, records = ToyStore(photos), []
    for number, record in enumerate(photos.records):
        if masks and number:
            save_mask_png(Path("photos") / f"{number}-mask.png", store.label(record.id))
            record = replace(record, mask=f"{number}-mask.png")
        records.append(record)
    index = Index(CLASSES, tuple(records))
    write_index(Path("dataset"), index)
    record_masks(Path("masks.csv"), Path("photos"), records)
    write_oste(Path("oste.pt"))
    write_params(settings)
    return index


def write_params(settings: DistillSettings) -> None:
    sections = {
        "seed": 0,
        "compute": {"threads": 1},
        "dataset": {"root": "photos", "max_megapixels": 1.0},
        "inference": {"batch": 3, "shard_size": 3},
        "distill": written(settings),
    }
    Path("params.yaml").write_text(json.dumps(sections, indent=1))


def run_import(out: str = "masks") -> Result:
    paths = {"dataset": "dataset", "masks": "masks.csv", "out": out}
    return CliRunner().invoke(labels.main, ["import-masks", *(f"--{name}={path}" for name, path in paths.items())])


def run_distill(pseudo: str) -> Result:
    options = {"dataset": "dataset", "pseudo": pseudo, "oste": "oste.pt", "out": "student.pt", "history": "history.csv"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return CliRunner().invoke(pipeline.distill.main, arguments)


def write_pseudo(folder: Path, records: tuple[Record, ...]) -> None:
    """A store as stage `correct` writes it."""
    store = ToyStore(toy_photos(Path("photos")))
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {"crf": False})
    shards: list[Shard] = plan_shards([record.id for record in records], 5)
    folder.mkdir()
    for shard in shards:
        with shard_writer(folder / shard.name, shard, meta) as file:
            for name in shard.ids:
                put_labels(file, name, store.label(name), store.confidence(name))
    write_store_index(folder, meta, shards)


def test_labels_are_the_masks_and_the_store_is_marked() -> None:
    index = write_project()
    done = run_import()
    assert done.exit_code == 0, done.stderr
    assert "labels: 7 masks → masks" in done.stdout
    assert "UPPER BOUND: a student trained on these has seen masks and is not weakly supervised" in done.stdout
    assert "-S ++distill.labels=masks -S ++distill.relabel.overrule=false" in done.stdout
    assert "1 train photos have no mask and are 255 everywhere" in done.stderr
    store = PseudoStore(Path("masks"))
    assert store.upper_bound
    assert store.attributes["upper_bound"] is True
    made = ToyStore(toy_photos(Path("photos")))
    for number, record in enumerate(index.records):
        label = store.label(record.id)
        assert label.shape == (record.height, record.width)
        assert np.array_equal(label, made.label(record.id) if number else np.full_like(label, 255))
        assert np.array_equal(store.confidence(record.id), (label != 255).astype(np.float32))


def test_masks_are_shrunk_to_the_size_that_photos_are_read_at() -> None:
    index = write_project()
    records = []
    for record in index.records:
        if record.mask is not None:
            mask = ToyStore(toy_photos(Path("photos"))).label(record.id)
            save_mask_png(Path("photos") / record.mask, mask.repeat(3, 0).repeat(3, 1))
        records.append(replace(record, own_height=3 * record.height, own_width=3 * record.width))
    write_index(Path("dataset"), Index(CLASSES, tuple(records)))
    record_masks(Path("masks.csv"), Path("photos"), records)
    done = run_import()
    assert done.exit_code == 0, done.stderr
    store, made = PseudoStore(Path("masks")), ToyStore(toy_photos(Path("photos")))
    for number, record in enumerate(records):
        expected = made.label(record.id) if number else np.full(record.size, 255, np.uint8)
        assert np.array_equal(store.label(record.id), expected)


def test_import_twice_gives_the_same_bytes() -> None:
    write_project()
    for out in ("first", "second"):
        assert run_import(out).exit_code == 0
    files = [{path.name: path.read_bytes() for path in Path(out).iterdir()} for out in ("first", "second")]
    assert files[0] == files[1]


def test_data_set_without_masks_has_no_upper_bound() -> None:
    write_project(masks=False)
    refused = run_import()
    assert refused.exit_code == 2
    assert "error: index.csv: not one of 8 train photos has a mask" in refused.stderr
    assert not Path("masks").exists()


def test_masks_in_the_place_of_pseudo_labels_are_refused() -> None:
    write_project()
    assert run_import().exit_code == 0
    refused = run_distill("masks")
    assert refused.exit_code == 2
    assert "error: masks: holds masks and not pseudo-labels (it is marked as an upper bound)" in refused.stderr
    assert "fix: make pseudo-labels: dvc repro -f -s correct; or, for an upper bound, set distill.labels: masks" in (
        refused.stderr
    )
    assert not Path("student.pt").exists()


def test_masks_that_are_named_train_an_upper_bound_that_says_so() -> None:
    index = write_project(altered(ALONE, labels="masks"))
    assert run_import().exit_code == 0
    write_pseudo(Path("pseudo"), index.records)
    done = run_distill("pseudo")
    assert done.exit_code == 0, done.stderr
    assert "UPPER BOUND: trained on masks" in done.stderr
    _, card = load_student(Path("student.pt"), CLASSES)
    assert card.weights.endswith("UPPER BOUND: trained on masks")
    bound = Path("history.csv").read_text()
    write_params(ALONE)
    weak = run_distill("pseudo")
    assert weak.exit_code == 0, weak.stderr
    assert "UPPER BOUND" not in weak.stderr
    _, card = load_student(Path("student.pt"), CLASSES)
    assert card.weights == "random"
    assert Path("history.csv").read_text() != bound


def test_stage_trains_with_its_teacher() -> None:
    index = write_project(altered(SETTINGS, optim__epochs=2))
    write_pseudo(Path("pseudo"), index.records)
    done = run_distill("pseudo")
    assert done.exit_code == 0, done.stderr
    header, *rows = Path("history.csv").read_text().splitlines()
    assert header.split(",")[3:] == [
        "seg_background",
        "seg_foreground",
        "tags",
        "feature_fine",
        "feature_coarse",
        "corr",
        "kl",
        "cam",
        "energy",
        "grad_norm",
    ]
    assert len(rows) == 2


def test_another_store_of_pseudo_labels_may_be_named() -> None:
    index = write_project()
    write_pseudo(Path("other"), index.records)
    assert not open_labels(Path("nowhere"), altered(labels="other"), index).upper_bound
    with pytest.raises(UserError, match="no such file"):
        open_labels(Path("nowhere"), SETTINGS, index)


def test_photos_that_came_since_learn_from_the_pipelines_labels(capsys: pytest.CaptureFixture[str]) -> None:
    index = write_project()
    *others, _ = index.records
    write_pseudo(Path("mine"), (*others,))
    with pytest.raises(UserError, match=r"pseudo.index.json: no such file"):
        open_labels(Path("pseudo"), altered(labels="mine"), index)
    write_pseudo(Path("pseudo"), index.records)
    labels = open_labels(Path("pseudo"), altered(labels="mine"), index)
    assert labels.ids == tuple(sorted(record.id for record in index.records))
    assert "distill: mine: 1 of 8 photos has no labels there, artifacts/pseudo stands in" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"has other classes than the data set: without wolf, with .*dog"):
        open_labels(
            Path("pseudo"), altered(labels="mine"), replace(index, classes=("background", "Kuh", "cat", "wolf"))
        )


def test_other_masks_get_another_name() -> None:
    write_project()
    arguments = ["import-masks", "--dataset", "dataset", "--masks", "masks.csv"]

    def told() -> str:
        done = CliRunner().invoke(labels.main, arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    first = told()
    place = next(Path("artifacts").glob("masks_as_labels_*"))
    assert f"labels: 7 masks → {place}\n" in first
    assert f"-S ++distill.labels={place} " in first
    assert f"→ {place}, which is there already" in told()
    assert run_import(str(place)).exit_code == 0
    records = list(write_project().records)
    records[1] = replace(records[1], mask=None)
    write_index(Path("dataset"), Index(CLASSES, tuple(records)))
    assert "holds something else, and nothing is replaced" in run_import(str(place)).stderr
    assert "labels: 6 masks" in told()
    assert len(list(Path("artifacts").glob("masks_as_labels_*"))) == 2
    (place / "index.json").write_text("{}")
    assert run_import(str(place)).exit_code == 2
