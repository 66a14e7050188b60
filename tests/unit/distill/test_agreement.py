"""Agreement of student and labels on photos that it was not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import CLASSES
from tests.toy_distill import toy_data
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.distill.agreement import Agreement, agreement, agreement_csv, judge_agreement
from wsss.predict.collapse import spread_of


class Painted(nn.Module):
    """A student that predicts one class by the brightness of a pixel: (N, 3, H, W) → one-hot logits at full size."""

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        number = (images.mean(1) / 64).long().clamp(0, 3)
        return torch.nn.functional.one_hot(torch.tensor(self.order)[number], 4).permute(0, 3, 1, 2).float()


class Labels:
    """By brightness too, every third row ignored; 255 for `unknown` photos."""

    def __init__(self, photos: Photos, records: tuple[Record, ...], known: bool = True) -> None:
        self.photos, self.records, self.known = photos, {record.id: record for record in records}, known

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def label(self, name: str) -> np.ndarray:
        image = torch.from_numpy(self.photos.image(self.records[name]).astype(np.float32))
        found = (image.mean(2) / 64).long().clamp(0, 3).numpy().astype(np.uint8)
        found[::3] = 255
        return found if self.known else np.full_like(found, 255)

    def confidence(self, name: str) -> np.ndarray:
        raise AssertionError("not needed")


def held_out(folder: Path) -> tuple[Index, Photos]:
    """The toy photos, all of them val and tagged with everything."""
    data = toy_data(folder)
    records = tuple(replace(record, split="val", tags=(1, 2, 3)) for record in data.photos.records)
    return Index(CLASSES, records), data.photos


def test_a_student_that_paints_as_the_labels_do_agrees(tmp_path: Path) -> None:
    index, photos = held_out(tmp_path)
    student = Painted((0, 1, 2, 3)).train()
    found = agreement(student, index, photos, Labels(photos, index.records), "distill")  # type: ignore[arg-type]
    assert student.training
    assert found.mean == 1.0
    assert found.verdict == "fine"
    assert judge_agreement("distill", found, index).endswith("8 val photos 1.00")


def test_swapped_classes_disagree_by_what_the_pixels_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, photos = held_out(tmp_path)
    labels = Labels(photos, index.records)
    found = agreement(Painted((0, 2, 1, 3)), index, photos, labels, "distill")  # type: ignore[arg-type]
    assert found.iou[[0, 3]].tolist() == [1.0, 1.0]
    assert found.iou[[1, 2]].tolist() == [0.0, 0.0]
    judge_agreement("distill", found, index)
    assert "hardly agree: Kuh 0.00, cat 0.00" in capsys.readouterr().err
    lines = agreement_csv(found, index).splitlines()
    assert lines[0] == "class,photos,labelled,predicted,agreement,verdict,student"
    assert lines[2].startswith("Kuh,8,")
    assert lines[2].endswith(",0.0000,disputed,fine")


def test_the_student_is_held_to_the_tags(tmp_path: Path) -> None:
    """Pixels of a class that the photo is not tagged with go to the background, as in the labels."""
    index, photos = held_out(tmp_path)
    alone = Index(CLASSES, tuple(replace(record, tags=(2,)) for record in index.records))

    class Tagged(Labels):
        def label(self, name: str) -> np.ndarray:
            found = super().label(name)
            return np.where(np.isin(found, (1, 3)), 0, found).astype(np.uint8)

    labels = Tagged(photos, alone.records)
    found = agreement(Painted((0, 1, 2, 3)), alone, photos, labels, "distill")  # type: ignore[arg-type]
    assert found.mean == 1.0
    assert found.predicted[1] > 0  # free, it says what it sees


def test_without_held_out_photos_or_labels_nothing_is_measured(tmp_path: Path) -> None:
    index, photos = held_out(tmp_path)
    unknown = Labels(photos, index.records, known=False)
    found = agreement(Painted((0, 1, 2, 3)), index, photos, unknown, "distill")  # type: ignore[arg-type]
    assert found.verdict == "not measured"
    train = Index(CLASSES, tuple(replace(record, split="train") for record in index.records))
    nobody = agreement(Painted((0, 1, 2, 3)), train, photos, unknown, "distill")  # type: ignore[arg-type]
    assert (nobody.photos, nobody.verdict) == (0, "not measured")
    assert "not measured" in judge_agreement("distill", nobody, train)


def test_labels_of_the_train_split_alone_are_not_compared(tmp_path: Path) -> None:
    """Masks that were imported for the upper bound."""
    index, photos = held_out(tmp_path)
    found = agreement(Painted((0, 1, 2, 3)), index, photos, Labels(photos, ()), "distill")  # type: ignore[arg-type]
    assert (found.photos, found.verdict) == (0, "not measured")


def test_collapse_and_poor_agreement_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, photos = held_out(tmp_path)
    labels = Labels(photos, index.records)
    found = agreement(Painted((3, 3, 3, 3)), index, photos, labels, "distill")  # type: ignore[arg-type]
    assert found.verdict == "collapsed"
    judge_agreement("distill", found, index)
    assert "the student has collapsed: 100.0 % of all pixels are dog" in capsys.readouterr().err
    counts = np.array([100, 50, 50, 50] + [0] * 252)
    spread = spread_of(index.records, counts, counts)
    poor = Agreement(8, np.array([0.5, 0.3, 0.3, 0.1]), counts[:4], counts[:4], spread)
    assert poor.verdict == "poor"
    judge_agreement("distill", poor, index)
    assert "has not learnt what the labels show" in capsys.readouterr().err
    doubtful = Agreement(8, np.array([0.6, 0.4, 0.4, 0.4]), counts[:4], counts[:4], spread)
    assert doubtful.verdict == "doubtful"
    judge_agreement("distill", doubtful, index)
    assert "less than half, so the labels may contradict each other" in capsys.readouterr().err
