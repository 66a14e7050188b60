"""CAMs come back as they went in, to half precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsss.core.errors import IntegrityError
from wsss.core.folders import publish
from wsss.core.stage import Stage
from wsss.data.ids import encode_id
from wsss.stores.cams import FORMAT, Cams, CamStore, put_cams
from wsss.stores.labels import (
    PREDICTIONS_FORMAT,
    PSEUDO_FORMAT,
    PredictionStore,
    PseudoStore,
    put_labels,
    put_tag_logits,
)
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer


def cams(count: int, seed: int = 0) -> Cams:
    generator = np.random.default_rng(seed)
    return Cams(
        generator.random((count, 5, 7), np.float32),
        generator.random(count, np.float32) * 1e6,
        np.arange(3, 3 + count),
        (80, 110),
    )


FILLED = np.random.default_rng(2).random((2, 5, 7)) > 0.5
GIVEN = {"a/b": replace(cams(2), filled=FILLED), "none": cams(0), "many": cams(80, 1)}


def cam_task(path: Path, shard: Shard, meta: StoreMeta) -> None:
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            put_cams(file, name, GIVEN[name])


def label_task(path: Path, shard: Shard, meta: StoreMeta, label: np.ndarray, confidence: np.ndarray) -> None:
    with shard_writer(path, shard, meta) as file:
        put_labels(file, "a", label, confidence, single=label // 2)
        put_tag_logits(file, "a", np.array([-1.5, 2.25]))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    return Stage("cams", "f" * 16, tmp_path)


def test_cams_come_back(stage: Stage, tmp_path: Path) -> None:
    meta = StoreMeta(FORMAT, ("background", "a"), {"stride": 16})
    publish(build_store(stage, meta, plan_shards(list(GIVEN), 2), cam_task, ()), tmp_path / "out")
    store = CamStore(tmp_path / "out")
    assert store.attributes["stride"] == 16
    with pytest.raises(IntegrityError, match="does not say at which scales it was made"):
        _ = store.multiscale
    for name, given in GIVEN.items():
        found = store.read(name)
        np.testing.assert_allclose(found.scores, given.scores, atol=2**-11)
        assert found.scores.dtype == np.float32
        assert found.scores.shape == given.scores.shape
        assert np.array_equal(found.peaks, given.peaks)
        assert np.array_equal(found.classes, given.classes)
        assert found.size == (80, 110)
        assert store.group(name).attrs["id"] == name
        if given.filled is None:
            assert found.filled is None
        else:
            assert found.filled is not None
            assert np.array_equal(found.filled, given.filled)


def test_cams_of_an_earlier_version_are_read_without_the_ids_of_their_photos(stage: Stage, tmp_path: Path) -> None:
    def earlier(path: Path, shard: Shard, meta: StoreMeta) -> None:
        with shard_writer(path, shard, meta) as file:
            put_cams(file, "a/b", GIVEN["a/b"])
            del file[encode_id("a/b")].attrs["id"]

    meta = StoreMeta(FORMAT, ("background", "a"), {"stride": 16})
    publish(build_store(stage, meta, plan_shards(["a/b"], 1), earlier, ()), tmp_path / "out")
    assert np.array_equal(CamStore(tmp_path / "out").read("a/b").peaks, GIVEN["a/b"].peaks)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_cams_that_are_not_finite_are_not_written(stage: Stage, tmp_path: Path, bad: float) -> None:
    scores, peaks = cams(1).scores, cams(1).peaks
    scores[0, 2, 3] = bad
    with pytest.raises(IntegrityError, match="CAM of 'x': not finite"):
        put_cams(None, "x", Cams(scores, peaks, np.array([1]), (8, 8)))  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match="CAM of 'x': not finite"):
        put_cams(None, "x", Cams(cams(1).scores, np.array([bad]), np.array([1]), (8, 8)))  # type: ignore[arg-type]


def test_labels_and_confidence_come_back(stage: Stage, tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 256, (9, 13), np.uint8)
    confidence = np.random.default_rng(1).uniform(-0.1, 1.1, (9, 13))
    meta = StoreMeta(PSEUDO_FORMAT, ("background", "a"), {})
    publish(build_store(stage, meta, plan_shards(["a"], 1), label_task, (label, confidence)), tmp_path / "out")
    store = PseudoStore(tmp_path / "out")
    assert np.array_equal(store.label("a"), label)
    assert np.array_equal(store.label("a", "single"), label // 2)
    np.testing.assert_allclose(store.confidence("a"), np.clip(confidence, 0, 1), atol=0.5 / 255 + 1e-6)
    with pytest.raises(IntegrityError, match="damaged or missing"):
        store.label("a", "multiscale")


def test_class_scores_of_a_photo_come_back_and_are_no_version_of_its_label(stage: Stage, tmp_path: Path) -> None:
    label, confidence = np.zeros((9, 13), np.uint8), np.ones((9, 13))
    meta = StoreMeta(PREDICTIONS_FORMAT, ("background", "a", "b"), {})
    publish(build_store(stage, meta, plan_shards(["a"], 1), label_task, (label, confidence)), tmp_path / "out")
    store = PredictionStore(tmp_path / "out")
    assert store.tag_logits("a").tolist() == [-1.5, 2.25]
    assert store.tag_logits("a").dtype == np.float32
    assert store.versions("a") == ("single",)
