"""Cells: the votes of their pixels, which of them are kept, and the standardisation of their features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toy_distill import altered, toy_data
from wsss.core.errors import IntegrityError
from wsss.data.batches import to_batch
from wsss.distill import cells as seeing
from wsss.distill.cells import LEAST_SPREAD, Cells, chosen_cells, see_photos, vote
from wsss.distill.data import TrainingData
from wsss.distill.networks import make_student, student_card
from wsss.models.linear_student import LinearStudent

LINEAR = altered(head="linear", init="oste", stage1__enabled=False, stage2__enabled=False)


def toy_student(data: TrainingData) -> LinearStudent:
    network = make_student(student_card(data.index, LINEAR), data.oste, data.seed, LINEAR)
    assert isinstance(network, LinearStudent)
    return network


def test_the_majority_of_a_cells_pixels_wins() -> None:
    label = np.array([[1, 1, 0, 0, 2], [1, 255, 2, 2, 2], [255, 255, 0, 0, 1], [255, 3, 0, 0, 1]], np.uint8)
    confidence = np.linspace(0.05, 1, 20, dtype=np.float32).reshape(4, 5)
    found, sure = vote(label, confidence, 2)
    # Two of 0 and of 2 are a tie; cells at the border have the pixels that there are.
    assert found.tolist() == [[1, 255, 2], [255, 0, 1]]
    assert sure[0, 0] == pytest.approx(confidence[[0, 0, 1], [0, 1, 0]].mean())
    assert sure[0, 2] == pytest.approx(confidence[:2, 4].mean())
    assert sure[0, 1] == sure[1, 0] == 0
    assert found.dtype == np.uint8
    assert sure.dtype == np.float32


def test_a_cell_that_is_the_photo() -> None:
    found, sure = vote(np.full((3, 5), 7, np.uint8), np.full((3, 5), 0.5, np.float32), 16)
    assert found.tolist() == [[7]]
    assert sure.tolist() == [[0.5]]


def test_of_more_cells_than_fit_each_photo_keeps_its_part(tmp_path: Path) -> None:
    records = toy_data(tmp_path).photos.records
    whole = chosen_cells(records, 16, 10**6, 0)
    assert [len(part) for part in whole] == [-(-r.height // 16) * -(-r.width // 16) for r in records]
    assert all((part == np.arange(len(part))).all() for part in whole)
    total = sum(len(part) for part in whole)
    some = chosen_cells(records, 16, total // 3, 0)
    assert sum(len(part) for part in some) <= total // 3
    assert all(len(part) >= len(every) // 3 - 1 for part, every in zip(some, whole, strict=True))
    assert all((np.diff(part) > 0).all() and part[-1] < len(every) for part, every in zip(some, whole, strict=True))
    assert any((a != b).any() for a, b in zip(some, chosen_cells(records, 16, total // 3, 1), strict=True))


@torch.no_grad()
@pytest.mark.parametrize("part", [1.0, 0.5])
def test_cells_are_what_the_student_sees(tmp_path: Path, part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data(tmp_path)
    student = toy_student(data)
    every = sum(-(-r.height // 16) * -(-r.width // 16) for r in data.photos.records)
    monkeypatch.setattr(seeing, "MEMORY", int(part * every) * 2 * student.channels)
    cells = see_photos(student, data, "32-true", "toy")
    assert len(cells.features) <= int(part * every)
    check_standardised(cells)
    for number, record in enumerate(data.photos.records):
        maps = student.cells(student.backbone(to_batch([data.photos.image(record)], torch.device("cpu"))))[0]
        here = np.flatnonzero(cells.photo == number)
        raw = torch.cat([maps.flatten(1).T, maps.mean((1, 2)).expand(maps.shape[1] * maps.shape[2], -1)], 1)
        expected = (raw[torch.from_numpy(cells.place[here])] - cells.mean) / cells.spread
        torch.testing.assert_close(cells.inputs(here), expected, atol=0.02, rtol=0.01)


def check_standardised(cells: Cells) -> None:
    inputs = cells.inputs(np.arange(len(cells.photo))).double()
    varies = cells.spread > 2 * LEAST_SPREAD
    torch.testing.assert_close(inputs.mean(0), torch.zeros_like(inputs[0]), atol=0.01, rtol=0)
    deviation = inputs.std(0, correction=0)[varies]
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=0.01, rtol=0)


def test_labels_follow_the_cells(tmp_path: Path) -> None:
    data = toy_data(tmp_path)
    cells = see_photos(toy_student(data), data, "32-true", "toy")
    found, sure = cells.labels(data)
    for number, record in enumerate(data.photos.records):
        label, confidence = vote(data.labels.label(record.id), data.labels.confidence(record.id), 16)
        here = cells.photo == number
        assert (found[here] == label.ravel()).all()
        np.testing.assert_allclose(sure[here], confidence.ravel())


def test_features_that_are_no_numbers(tmp_path: Path) -> None:
    data = toy_data(tmp_path)
    student = toy_student(data)
    with torch.no_grad():
        next(student.backbone.parameters()).fill_(torch.nan)
    with pytest.raises(IntegrityError, match="gave NaN or Inf as features"):
        see_photos(student, replace(data, seed=1), "32-true", "toy")
