"""The stage `correct` on toy CAMs: labels, tables, soft labels, resuming, the same bytes from any number of workers."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from pipeline import correct as stage_script
from tests.helpers import CLASSES, tree
from tests.toy_mixtures import FIXED, GMM, WITH_CRF, hills
from wsss.core.errors import IntegrityError
from wsss.core.folders import publish
from wsss.core.stage import Stage
from wsss.correct import gmm
from wsss.correct.gmm import MixtureCorrection
from wsss.correct.mixtures import Mixture, count_scores, fit_maps
from wsss.correct.settings import CorrectSettings
from wsss.correct.stage import CorrectSummary, make_pseudo_labels, summarise
from wsss.correct.tables import pack, unpack
from wsss.data.ids import encode_id
from wsss.data.index import Index, Record, write_index
from wsss.data.photos import Photos
from wsss.stores.cams import FORMAT, Cams, CamStore, put_cams
from wsss.stores.labels import PseudoStore
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

TAGS = {f"photo {number}": tags for number, tags in enumerate([(1,), (2,), (), (1, 3), (2,), (3,), (1, 2, 3)])}
SIZE = (56, 80)


def maps_of(name: str) -> np.ndarray:
    """(P, 14, 20); photo 4 has no signal."""
    seed = list(name.encode())
    maps = [np.roll(hills(sum(seed) + tag, 0.2), 5 * tag, 1) for tag in TAGS[name]]
    return np.stack(maps) * (name != "photo 4") if maps else np.zeros((0, 14, 20), np.float32)


def cam_task(path: Path, shard: Shard, meta: StoreMeta, broken: bool) -> None:
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            count = len(TAGS[name])
            put_cams(file, name, Cams(maps_of(name), np.ones(count), np.array(TAGS[name], int), SIZE))
            if broken and count:
                file[encode_id(name)]["scores"][0, 0, 0] = np.nan


class Project:
    """Photos, their index and their CAMs in a folder."""

    def __init__(self, folder: Path, broken: bool = False) -> None:
        self.folder = folder
        image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(image).save(folder / "x.png")
        digest = hashlib.sha256((folder / "x.png").read_bytes()).hexdigest()
        records = tuple(Record(name, "train", "x.png", None, tags, *SIZE, digest) for name, tags in TAGS.items())
        self.index, self.photos = Index(CLASSES, records), Photos(folder, 1.0, records)
        write_index(folder / "dataset", self.index)
        stage = Stage("cams", "f" * 16, folder / "scratch cams")
        meta = StoreMeta(FORMAT, CLASSES, {"stride": 4})
        publish(
            build_store(stage, meta, plan_shards(list(TAGS), 9), cam_task, (broken,), in_process=True), folder / "cams"
        )

    def make(self, out: str, shard_size: int = 3, fingerprint: str = "f" * 16, **changes: Any) -> CorrectSummary:
        stage = Stage("correct", fingerprint, self.folder / f"scratch {out}")
        settings = CorrectSettings.model_validate({"method": "gmm", "fixed": FIXED, "gmm": GMM} | changes)
        cams = CamStore(self.folder / "cams")
        labels = make_pseudo_labels(stage, self.index, self.photos, cams, settings, shard_size)
        publish(labels.path, self.folder / out)
        return summarise(labels, self.photos, cams, self.index.foreground)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("scope", ["image", "hybrid"])
def test_labels_follow_the_hills(project: Project, scope: str) -> None:
    made = project.make("pseudo", gmm=GMM.model_copy(update={"scope": scope}))
    store = PseudoStore(project.folder / "pseudo")
    assert made.no_signal == ("photo 4",)
    assert made.guards["no_signal"] == ("photo 4",)
    assert set(np.unique(store.label("photo 0"))) == {0, 1, 255}
    assert (store.label("photo 0")[:, 24:32] == 1).mean() > 0.9
    assert (store.label("photo 4") == 255).all()
    assert not store.label("photo 2").any()
    assert made.coverage > 0.6


def test_the_label_that_was_corrected_is_kept(project: Project) -> None:
    project.make("gmm", gmm=GMM.model_copy(update={"scope": "image"}))
    project.make("fixed", method="fixed")
    corrected, fixed = (PseudoStore(project.folder / name) for name in ("gmm", "fixed"))
    assert "fbe" not in fixed.versions("photo 0")
    for name in ("photo 0", "photo 1", "photo 2", "photo 3"):
        assert (corrected.label(name, "fbe") == fixed.label(name)).all()
    assert (corrected.label("photo 0", "fbe") != corrected.label("photo 0")).any()


@pytest.mark.parametrize("scope", ["image", "hybrid"])
def test_workers_and_size_of_the_shards_do_not_change_a_label(
    project: Project, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gmm = GMM.model_copy(update={"scope": scope})
    project.make("one", gmm=gmm)
    monkeypatch.setenv("WSSS_WORKERS", "2")
    project.make("two", gmm=gmm)
    assert tree(project.folder / "one") == tree(project.folder / "two")
    project.make("large", gmm=gmm, shard_size=7)
    small, large = (PseudoStore(project.folder / name) for name in ("one", "large"))
    for name in TAGS:
        assert np.array_equal(small.label(name), large.label(name))
        assert np.array_equal(small.mixtures(name), large.mixtures(name), equal_nan=True)


@pytest.mark.parametrize("method", ["fixed", "gmm"])
def test_code_and_inputs_stand_nowhere_in_the_store(project: Project, method: str) -> None:
    """Another fingerprint, the same labels by the same settings: DVC has to see no difference; others it sees."""
    project.make("one", method=method)
    project.make("other", fingerprint="0" * 16, method=method)
    assert tree(project.folder / "one") == tree(project.folder / "other")
    project.make("alpha", method=method, fixed=FIXED.model_copy(update={"alpha": 0.6}))
    assert PseudoStore(project.folder / "alpha").attributes["fixed.alpha"] == 0.6
    assert tree(project.folder / "one") != tree(project.folder / "alpha")


def test_killed_stage_goes_on_with_the_shards_it_has(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.make("whole")
    original, calls = gmm.corrected_label, []

    def fail_at_five(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*given, **named)

    monkeypatch.setattr(gmm, "corrected_label", fail_at_five)
    with pytest.raises(KeyboardInterrupt):
        project.make("resumed")
    assert not (project.folder / "resumed").exists()
    project.make("resumed")
    assert len(calls) == 5 + len(TAGS) - 3
    assert tree(project.folder / "resumed") == tree(project.folder / "whole")


def test_cam_with_nan_is_refused(tmp_path: Path) -> None:
    broken = Project(tmp_path, broken=True)
    for scope in ("image", "hybrid"):
        with pytest.raises(IntegrityError, match="CAM of 'photo 0' is not finite"):
            broken.make("pseudo", gmm=GMM.model_copy(update={"scope": scope}))


def test_shared_scores_do_not_depend_on_the_order_of_the_photos(project: Project) -> None:
    cams = CamStore(project.folder / "cams")
    survey = MixtureCorrection(FIXED, GMM.model_copy(update={"scope": "hybrid"})).survey
    straight, reverse = (
        survey(cams.read(record.id) for record in project.index.records[::step]).counts for step in (1, -1)
    )
    assert np.array_equal(straight, reverse)
    assert straight.sum() > 600


def test_packed_mixtures_come_back() -> None:
    (mixtures,) = fit_maps([np.stack([hills(0), np.zeros((14, 20), np.float32)])], GMM, None)
    cuts, counts = np.array([[0.2, 0.4], [np.nan, np.nan]]), np.arange(10).reshape(2, 5)
    rows = pack(mixtures, cuts, counts)
    for row, mixture, cut, count in zip(rows, mixtures, cuts, counts, strict=True):
        found, found_cut, found_count = unpack(row)
        assert isinstance(found, Mixture)
        assert found.guard == mixture.guard
        assert np.array_equal(found.means, mixture.means)
        assert np.array_equal(found.deviations, mixture.deviations)
        assert np.array_equal(found_cut, cut, equal_nan=True)
        assert np.array_equal(found_count, count)


def run_stage(project: Project, method: str) -> str:
    section = {
        "method": method,
        "fixed": {"gamma": 4.0, "alpha": 0.5, "crf": "off"},
        "gmm": {"scope": "image", "prior_cells": 50.0, "min_scores": 50, "agree": False, "crf": "off"},
    }
    place = {"root": str(project.folder), "max_megapixels": 1}
    document = {"dataset": place, "inference": {"shard_size": 3}, "correct": section}
    YAML().dump(document, project.folder / "params.yaml")
    paths = {"dataset": "dataset", "cams": "cams", "out": "out", "mixtures": "m.csv", "histograms": "h.csv"}
    given = [part for key, name in paths.items() for part in (f"--{key}", str(project.folder / name))]
    result = CliRunner().invoke(stage_script.main, ["--params", str(project.folder / "params.yaml"), *given])
    assert result.exit_code == 0, result.stderr
    return result.stderr


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_stage_writes_its_tables_and_counts_guards(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    text = run_stage(project, "gmm")
    assert "1 photos have a tag without CAM signal, e.g. photo 4" in text
    assert "no_signal" not in text  # what has no signal is not cut by the thresholds either
    assert "correct: 7 photos" in text
    assert "1 without foreground (photo 4), 1 without signal" in text
    mixtures = rows_of(project.folder / "m.csv")
    assert [(row["id"], row["class"]) for row in mixtures] == [
        (name, CLASSES[tag]) for name, tags in TAGS.items() for tag in tags
    ]
    first, lost = mixtures[0], next(row for row in mixtures if row["id"] == "photo 4")
    low, high = (float(mean) for mean in first["means"].split())
    assert low < float(first["background_below"]) < float(first["class_above"]) < high + 0.01
    assert int(first["filled"]) > 1000
    assert (lost["guard"], lost["components"], lost["class_above"]) == ("no_signal", "0", "")
    histograms = rows_of(project.folder / "h.csv")
    for name in CLASSES[1:]:
        rows = [row for row in histograms if row["class"] == name]
        assert len(rows) == 64
        assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-3)
        fitted = sum(float(row[part]) for row in rows for part in ("background", "uncertain", "foreground"))
        assert fitted == pytest.approx(1, abs=0.02)
        cells = {record.id: count_scores(maps_of(record.id)) for record in project.index.records}
        of_class = [row for row in mixtures if row["class"] == name and not row["guard"]]
        tags = {key: [CLASSES[tag] for tag in value] for key, value in TAGS.items()}
        weights = [cells[row["id"]][tags[row["id"]].index(name)].sum() for row in of_class]
        for column, source in (("below", "background_below"), ("above", "class_above")):
            expected = np.average([float(row[source]) for row in of_class], weights=weights)
            assert [float(row[column]) for row in rows] == pytest.approx([expected] * len(rows), abs=1e-3)


@pytest.mark.parametrize(
    ("count", "found"), [(0, ""), (1, " (p0)"), (5, " (p0, p1, p2, p3, p4)"), (7, " (p0, p1, p2, p3, p4 and 2 more)")]
)
def test_up_to_five_photos_are_named(count: int, found: str) -> None:
    assert stage_script.some_of([f"p{number}" for number in range(count)]) == found


def test_fixed_thresholds_leave_the_tables_empty(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    run_stage(project, "fixed")
    assert rows_of(project.folder / "m.csv") == rows_of(project.folder / "h.csv") == []
    assert PseudoStore(project.folder / "out").attributes["method"] == "fixed"


def test_crf_is_that_of_the_method(project: Project) -> None:
    with_crf = WITH_CRF.model_copy(update={"iterations": 1})
    project.make("out", gmm=GMM.model_copy(update={"crf": with_crf}))
    store = PseudoStore(project.folder / "out")
    assert store.attributes["crf"] is True
    assert (store.attributes["gmm.crf.iterations"], store.attributes["fixed.crf"]) == (1, "off")
    assert store.attributes["fixed.alpha"] == FIXED.alpha
    assert store.mixtures("photo 0")[:, -2].sum() > 0  # rule (d) has moved something on a photo of noise
