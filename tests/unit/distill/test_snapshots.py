"""Masks of a few photos after each epoch: what the student makes of them then, and nothing that disturbs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests import toy_oste
from tests.helpers import CLASSES, tree
from tests.toy_distill import SETTINGS, VARIANTS, train_student
from wsss.distill.settings import DistillSettings
from wsss.distill.snapshots import Snapshots
from wsss.models.student import load_student
from wsss.predict.segment import SegmentSettings, predict
from wsss.stores.snapshots import epochs_of, shown, snapshot_file


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_the_last_epoch_shows_what_the_student_predicts(tmp_path: Path, settings: DistillSettings) -> None:
    history, _ = train_student(tmp_path, settings)
    assert epochs_of(tmp_path / "epochs") == list(range(1, len(history) + 1))
    network, _ = load_student(tmp_path / "student.pt", CLASSES)
    photos = toy_oste.toy_photos(tmp_path / "photos")
    how = SegmentSettings(scales=(1.0,), flip=False, crf=None)
    for record in shown(photos.records):
        image = photos.image(record)
        (expected,) = predict(network, "student", [image], how, torch.device("cpu"))
        with Image.open(snapshot_file(tmp_path / "epochs", len(history), record)) as opened:
            found = np.asarray(opened)
        assert (found == expected.single).mean() > 0.999  # kernels may round ties apart


def test_looking_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_student(tmp_path / "seen", SETTINGS)
    look = Snapshots.__call__

    def once(self: Snapshots, epoch: int) -> None:
        if epoch == 1:
            look(self, epoch)

    monkeypatch.setattr(Snapshots, "__call__", once)
    train_student(tmp_path / "unseen", SETTINGS)
    assert len(tree(tmp_path / "unseen/epochs")) < len(tree(tmp_path / "seen/epochs"))
    assert (tmp_path / "seen/student.pt").read_bytes() == (tmp_path / "unseen/student.pt").read_bytes()


def test_mode_and_random_numbers_are_kept(tmp_path: Path) -> None:
    train_student(tmp_path, SETTINGS)
    network, _ = load_student(tmp_path / "student.pt", CLASSES)
    state = torch.get_rng_state()
    for mode in (True, False):
        network.train(mode)
        Snapshots(network, CLASSES, toy_oste.toy_photos(tmp_path / "photos"), tmp_path / "more", before=7)(2)
        assert network.training is mode
    assert torch.equal(torch.get_rng_state(), state)
    assert epochs_of(tmp_path / "more") == [9]


@pytest.mark.parametrize(("count", "places"), [(0, []), (1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (9, [0, 2, 4, 6])])
def test_photos_are_spread_over_the_data_set(tmp_path: Path, count: int, places: list[int]) -> None:
    record = toy_oste.toy_photos(tmp_path).records[0]
    records = [replace(record, id=f"p{number}") for number in range(count)]
    assert shown(records) == [records[place] for place in places]
