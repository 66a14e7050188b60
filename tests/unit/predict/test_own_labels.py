"""Pseudo-labels of the run in a folder: the last ones that have the photo, and never masks that a person drew."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from wsss.predict.own_labels import open_labels
from wsss.stores.labels import PSEUDO_FORMAT, put_labels
from wsss.stores.shards import Shard, StoreMeta, shard_writer, write_store_index

CLASSES = ("background", "cow", "cat")
RECORDS = {"sub/a": "a", "sub/b": "b", "sub/c": "c"}


def write_labels(folder: Path, values: dict[str, int], classes: tuple[str, ...] = CLASSES, **attributes: bool) -> None:
    """A store of labels that have one value each."""
    folder.mkdir(parents=True)
    meta, shard = StoreMeta(PSEUDO_FORMAT, classes, attributes), Shard("00000.h5", tuple(values))
    with shard_writer(folder / shard.name, shard, meta) as file:
        for name, value in values.items():
            put_labels(file, name, np.full((4, 6), value, np.uint8), np.ones((4, 6)))
    write_store_index(folder, meta, [shard])


def values(folder: Path) -> dict[str, int | None]:
    labels = pickle.loads(pickle.dumps(open_labels(RECORDS, CLASSES, folder)))  # noqa: S301
    found = {name: None if labels is None else labels.label(name) for name in (*RECORDS, "new")}
    return {name: None if label is None else int(label.max()) for name, label in found.items()}


def test_the_last_label_of_a_photo_is_taken(tmp_path: Path) -> None:
    write_labels(tmp_path / "artifacts/pseudo", {"a": 1, "b": 1})
    assert values(tmp_path) == {"sub/a": 1, "sub/b": 1, "sub/c": None, "new": None}
    write_labels(tmp_path / "artifacts/relabelled", {"a": 2})
    assert values(tmp_path) == {"sub/a": 2, "sub/b": 1, "sub/c": None, "new": None}
    labels = open_labels(RECORDS, CLASSES, tmp_path)
    learned = None if labels is None else labels.learned("sub/a")
    assert learned is not None
    assert learned.max() == 1  # before the student changed it


def test_labels_that_the_student_was_trained_on_come_before_those_of_correct(tmp_path: Path) -> None:
    write_labels(tmp_path / "artifacts/pseudo", {"a": 1, "b": 1})
    write_labels(tmp_path / "corrected", {"a": 2})
    assert values(tmp_path)["sub/a"] == 1
    (tmp_path / "params.yaml").write_text("distill: {labels: corrected}\n")
    assert values(tmp_path) == {"sub/a": 2, "sub/b": 1, "sub/c": None, "new": None}
    (tmp_path / "params.yaml").write_text("distill: {labels: pseudo}\n")
    assert values(tmp_path)["sub/a"] == 1


def test_damaged_labels_are_none(tmp_path: Path) -> None:
    write_labels(tmp_path / "artifacts/pseudo", {"a": 1, "b": 1})
    labels = open_labels(RECORDS, CLASSES, tmp_path)
    assert labels is not None
    (tmp_path / "artifacts/pseudo/00000.h5").write_bytes(b"no")
    assert labels.label("sub/a") is None
    (tmp_path / "artifacts/pseudo/index.json").write_text("{")
    assert open_labels(RECORDS, CLASSES, tmp_path) is None


@pytest.mark.parametrize(
    ("classes", "masks", "known"),
    [(CLASSES, False, True), (("background", "cat", "cow"), False, False), (CLASSES, True, False)],
)
def test_other_classes_and_masks_are_not_read(
    tmp_path: Path, classes: tuple[str, ...], masks: bool, known: bool
) -> None:
    write_labels(tmp_path / "artifacts/pseudo", {"a": 1}, classes, upper_bound=masks)
    assert (open_labels(RECORDS, CLASSES, tmp_path) is not None) == known
    assert open_labels({}, CLASSES, tmp_path) is None
    assert open_labels(RECORDS, CLASSES, tmp_path / "elsewhere") is None
