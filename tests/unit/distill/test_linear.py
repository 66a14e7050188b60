"""Training of a linear student: it learns what a line can tell, the same way each time, and stops when it is asked."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import CLASSES
from tests.toy_distill import INFERENCE, TWO_ROUNDS, altered, toy_stage, write_oste
from tests.toy_oste import CRF
from tests.toy_tags import SIZE, coloured
from wsss.core.errors import InterruptedStage, UserError
from wsss.core.interrupt import catch_signals
from wsss.data.index import Record
from wsss.data.tables import history_csv
from wsss.distill import linear
from wsss.distill.data import TrainingData
from wsss.distill.settings import DistillSettings
from wsss.distill.stage import Distilled, distill
from wsss.models.linear_student import LinearStudent
from wsss.models.oste import load_oste
from wsss.models.student import load_student

SETTINGS = altered(
    TWO_ROUNDS,
    head="linear",
    init="oste",
    stage1__enabled=False,
    stage2__enabled=False,
    relabel__crf=CRF.model_dump(),
    relabel__tau_bg=0.9,
    relabel__tau_fg=0.9,
    optim={**TWO_ROUNDS.optim.model_dump(), "epochs": 24, "lr": 0.02, "head_lr_factor": 1.0},
    stage1__epochs=12,
)


@dataclass(frozen=True)
class Patches:
    """Labels of `coloured` photos: their patches of colour; a frame around them is ignored."""

    records: dict[str, Record]

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def label(self, name: str) -> np.ndarray:
        record = self.records[name]
        label = np.zeros(SIZE, np.uint8)
        for tag in record.tags:
            k = tag - 1
            label[2:46, 1 + 20 * k : 21 + 20 * k] = 255
            label[4:44, 2 + 20 * k : 20 + 20 * k] = tag
        return label

    def confidence(self, name: str) -> np.ndarray:
        return np.where(self.label(name) == 255, np.float32(0), np.float32(0.8))


def patches(folder: Path) -> TrainingData:
    index, photos = coloured(folder / "photos")
    oste = folder / "oste.pt"
    if not oste.exists():
        write_oste(oste, stride=8)
    labels = Patches({record.id: record for record in index.records})
    return TrainingData(index, replace(photos, records=index.split("train")), labels, oste, 0)


def train(folder: Path, **changes: Any) -> tuple[Distilled, DistillSettings]:
    fine = {"name": "tiny", "output_stride": 8, "weights": "random"}
    settings = altered(SETTINGS, backbone=fine, **changes)
    with catch_signals():
        return distill(toy_stage(folder), patches(folder), settings, INFERENCE, folder / "student.pt"), settings


def test_it_learns_what_a_line_can_tell(tmp_path: Path) -> None:
    made, _ = train(tmp_path)
    assert made.agreement.mean > 0.8  # on photos that it has not seen
    assert [row["epoch"] for row in made.history] == list(range(1, 25))
    assert list(made.history[0])[:5] == ["epoch", "lr", "loss", "seg_background", "seg_foreground"]
    assert made.history[11]["loss"] < 0.5 * made.history[0]["loss"]
    assert sorted(int(path.name) for path in made.epochs.iterdir()) == [3, 6, 9, 12, 15, 18, 21, 24]
    network, card = load_student(tmp_path / "student.pt", CLASSES)
    assert isinstance(network, LinearStudent)
    assert card.settings == {"head": "linear", "tag_threshold": 0.1, "tag_exponent": 1.0}
    oste, _ = load_oste(tmp_path / "oste.pt", CLASSES)
    for name, tensor in oste.backbone.state_dict().items():
        assert torch.equal(network.backbone.state_dict()[name], tensor), name
    images = 255 * torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        told = network.look(images).tags
        assert told is not None
        torch.testing.assert_close(told, oste.logits(oste.backbone(images)[-1]))


def test_the_second_round_can_go_on_from_the_first(tmp_path: Path) -> None:
    again, _ = train(tmp_path / "again")
    on, _ = train(tmp_path / "on", restart=False)
    assert on.history[12]["loss"] < again.history[12]["loss"]


def test_one_round(tmp_path: Path) -> None:
    made, _ = train(tmp_path, rounds=1, optim__epochs=4)
    assert len(made.history) == 4


@pytest.mark.parametrize("stop_after", [1, 40, 100])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(
    tmp_path: Path, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, settings = train(tmp_path / "whole")
    assert stop_after <= settings.optim.epochs * 6
    steps, update = 0, linear.update

    def stopping(*arguments: Any) -> dict[str, float]:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(*arguments)

    monkeypatch.setattr(linear, "update", stopping)
    with pytest.raises(InterruptedStage):
        train(tmp_path / "part")
    assert not (tmp_path / "part/student.pt").exists()
    torch.manual_seed(99)
    part, _ = train(tmp_path / "part")
    assert (tmp_path / "part/student.pt").read_bytes() == (tmp_path / "whole/student.pt").read_bytes()
    assert history_csv(part.history) == history_csv(whole.history)


def test_a_loss_that_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "update", lambda *_: {"loss": float("nan")})
    with pytest.raises(UserError, match="loss not finite at learning rate"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"stage1__enabled": True}, "distill.stage1.enabled"),
        ({"stage2__enabled": True}, "distill.stage2.enabled"),
        ({"init": "pretrained"}, "distill.init"),
    ],
)
def test_what_a_linear_student_cannot_learn_is_refused(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as caught:
        altered(SETTINGS, **changes).check()
    assert caught.value.where == where
    assert "head: linear" in str(caught.value)
