"""What a classifier says after an epoch is shown, and the training does not notice."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import CLASSES
from tests.toy_oste import toy_network, toy_photos
from tests.toy_training import ToyTask, train_toy
from wsss.core import live
from wsss.core.live import telling, told
from wsss.data.index import Index
from wsss.training.answers import Answers


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path))
    return tmp_path / "live"


def judge(epoch: int) -> None:
    """Has nothing to say."""


def test_tags_and_the_map_of_the_first_are_shown(tmp_path: Path, scratch: Path) -> None:
    photos, network = toy_photos(tmp_path / "photos"), toy_network()
    index = Index(CLASSES, tuple(photos.records))
    with telling("train", "f", lambda eta: {}):
        Answers(network, index, photos, judge)(3)
    shown = told(scratch)["train"]["photos"]
    assert list(shown) == [record.id for record in photos.records[::2]]
    network.eval()
    for record, each in zip(photos.records[::2], shown.values(), strict=True):
        image = torch.from_numpy(photos.image(record).copy()).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits, maps = network.logits(network.backbone(image)[-1])[0], network.maps(image)[0]
        first = int(logits.argmax())
        assert each["says"].startswith(f"{CLASSES[1 + first]} {logits.sigmoid()[first]:.2f}, ")
        assert (each["epoch"], each["kind"]) == (3, "heat")
        expected = maps[first].clamp_min(0) / maps[first].max().clamp_min(1e-6)
        with (
            Image.open(scratch / f"train/{each['number']}.png") as heat,
            Image.open(io.BytesIO((scratch / f"train/{each['number']}.jpg").read_bytes())) as photo,
        ):
            assert heat.size == photo.size == (record.width, record.height)
            small = np.asarray(heat.resize(maps.shape[:0:-1], Image.Resampling.BOX)) / 255
        # The scores went through an enlargement; where they are high stays.
        assert np.corrcoef(small.ravel(), expected.numpy().ravel())[0, 1] > 0.8 or expected.max() == 0


def test_neither_network_nor_random_numbers_change(tmp_path: Path) -> None:
    photos, network = toy_photos(tmp_path / "photos"), toy_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = random.getstate(), torch.get_rng_state()
    with telling("train", "f", lambda eta: {}):
        Answers(network, Index(CLASSES, tuple(photos.records)), photos, judge)(1)
    assert network.training
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_training_that_is_looked_at_is_the_same(tmp_path: Path, scratch: Path) -> None:
    alone, watched = ToyTask(), ToyTask()
    history = train_toy(alone, tmp_path / "alone")
    with telling("distill", "f", lambda eta: {}):
        assert train_toy(watched, tmp_path / "watched") == history
    for one, other in zip(alone.network.parameters(), watched.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert told(scratch)["distill"]["phases"] == {"": {"epochs": 3, "rows": history}}


def test_what_cannot_be_shown_fails_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, network = toy_photos(tmp_path / "photos"), toy_network().train()
    answers = Answers(network, Index(CLASSES, tuple(photos.records)), photos, judge)
    (tmp_path / "photos" / photos.records[0].image).unlink()
    with telling("train", "f", lambda eta: {}):
        answers(1)
        answers(2)
    assert network.training
    assert capsys.readouterr().err.count("no live pictures") == 1
    assert live._live is None
