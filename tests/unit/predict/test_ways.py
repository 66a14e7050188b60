"""A student is read in a plainer way where tags say clearly that scales or CRF do harm; masks have no say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tests.helpers import CLASSES
from wsss.crf.settings import PUBLISHED
from wsss.data.index import Index, Record
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.models.base_student import BaseStudent
from wsss.predict import ways as module
from wsss.predict.segment import SegmentSettings
from wsss.predict.ways import Ways, candidates, tag_fit, try_ways, unasked

FULL = SegmentSettings(scales=(1.25,), crf=PUBLISHED)


def record(name: str, tags: tuple[int, ...], split: str = "val") -> Record:
    return Record(name, split, f"{name}.png", None, tags, 8, 8, "0" * 64)


def test_candidates_are_the_settings_and_what_is_plainer() -> None:
    found = [(way.scales, way.crf is not None) for way in candidates(FULL)]
    assert found == [((1.25,), True), ((1.25,), False), ((1.0,), True), ((1.0,), False)]
    assert len(candidates(SegmentSettings(scales=(1.0,), crf=PUBLISHED))) == 2
    assert len(candidates(SegmentSettings(scales=(1.0,), crf=None))) == 1
    assert all(way.flip for way in candidates(FULL))


def test_the_settings_stay_unless_tags_object_clearly() -> None:
    ways, rng = candidates(FULL), np.random.default_rng(0)
    good = rng.random(100) < 0.9
    worse, nearly = good & (rng.random(100) < 0.85), good.copy()
    nearly[np.flatnonzero(good)[:2]] = False  # two photos of a hundred

    def kept(*fits: np.ndarray) -> int:
        return Ways(ways, np.stack(fits).astype(np.float64)).kept

    assert kept(good, good, good, good) == 0
    assert kept(worse, good, worse, good) == 1
    assert kept(worse, worse, good, good) == 2
    assert kept(worse, worse, worse, good) == 3
    assert kept(worse, nearly, worse, good) == 3  # then the best of them
    assert kept(nearly, good, good, good) == 0
    one = np.arange(12) > 0
    assert kept(one, one | True, one, one) == 0  # one photo of twelve is a twelfth, and may be chance
    few = np.stack([np.zeros(7), *[np.ones(7)] * 3])
    assert Ways(ways, np.zeros((4, 0))).kept == Ways(ways, few).kept == 0  # too few photos to decide anything
    assert Ways(ways, np.hstack([few, few[:, :1]])).kept == 1


def test_fit_of_painted_classes_and_tags() -> None:
    label = np.zeros((100, 100), np.uint8)
    assert tag_fit(label, record("a", (1,))) == 0
    label[:50] = 1
    assert tag_fit(label, record("a", (1,))) == 1
    assert tag_fit(label, record("a", (1, 2))) == 0.5
    label[0, :9] = 2  # fewer pixels than one in a thousand
    assert tag_fit(label, record("a", (1,))) == 1
    label[0, :10] = 2
    assert tag_fit(label, record("a", (1,))) == 0.5


class Painter(torch.nn.Module):
    """Calls everything class 1, but class 2 where it is shown an enlarged photo."""

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(views), len(CLASSES), *views.shape[-2:])
        logits[:, 2 if views.shape[-1] > 8 else 1] = 9
        return logits


def test_held_out_photos_choose_by_their_tags_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Photos, "image", lambda *_: np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(module, "set_threads", lambda _: None)
    records = [record(f"v{n}", (1,)) for n in range(8)] + [record(f"t{n}", (2,), "train") for n in range(9)]
    index = Index(CLASSES, (*records, record("none", ())), 0, ())
    photos = Photos.__new__(Photos)  # nothing of it is asked but its images
    settings = SegmentSettings(scales=(2.0,), crf=None)
    student, kept = cast("BaseStudent", Painter()), tmp_path / "ways.json"
    found = try_ways(student, index, photos, settings, InferenceSettings(), kept)
    assert found.fits.tolist() == [[0] * 8, [1] * 8]
    assert found.chosen.scales == (1.0,)
    assert found.csv() == ("scales,flip,crf,tag_fit,kept\n2.0,yes,no,0.0000,no\n1.0,yes,no,1.0000,yes\n")
    assert found.text() == (
        "scale 1, no CRF: painted classes fit the tags of 8 val photos by 1.00, and at scale 2, no CRF, as the "
        "settings say, by 0.00"
    )
    untagged = replace(index, records=(record("none", ()),))
    none = try_ways(student, untagged, photos, settings, InferenceSettings(), tmp_path / "none.json")
    assert none.text() == "scale 2, no CRF: no val photo has a tag that could choose"
    monkeypatch.setattr(Photos, "image", None)  # a stage that was killed asks no photo again
    assert try_ways(student, index, photos, settings, InferenceSettings(), kept).csv() == found.csv()
    again = try_ways(student, untagged, photos, settings, InferenceSettings(), tmp_path / "none.json")
    assert again.chosen == settings


def test_who_does_not_ask_gets_the_settings() -> None:
    assert unasked(FULL).chosen == FULL
    assert unasked(FULL).csv() == "scales,flip,crf,tag_fit,kept\n1.25,yes,yes,,yes\n"
