"""What is noted of the network that made masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy_networks import write_student
from wsss.core.atomic import sha256_file
from wsss.data.index import Index, Record
from wsss.export import known_network as module
from wsss.export.known_network import known_network
from wsss.export.provenance import Provenance


def record(name: str, split: str) -> Record:
    return Record(name, split, "", None, (), 8, 8, f"sha {name}")


def test_data_set_and_scores_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        {"source": "student", "split": "val", "images": "7", "miou": "0.5000"},
        {"source": "student ms+flip", "split": "val", "images": "7", "tags_used": "no", "miou": "0.6125"},
        {"source": "student ms+flip", "split": "test", "images": "9", "miou": ""},
        {"source": "pseudo-label", "split": "val", "images": "7", "miou": "0.9000"},
    )
    index = Index(("background", "cow", "hat"), (record("a", "train"), record("b", "train"), record("c", "val")))
    known = Provenance(index, {"dataset": {"root": "../photos"}}, sources=rows)
    monkeypatch.setattr(module, "find_provenance", lambda *_: known)
    model = write_student(tmp_path / "student.pt")
    found = known_network("my student", model, None)
    assert found == {
        "file": "my student",
        "sha256": sha256_file(model),
        "data set": "../photos: 2 train and 1 val photos of cow, hat",
        "scores": "mIoU 61.25 % (student ms+flip) on the masks of 7 val photos, without their tags",
    }
    photos = ["sha a", "sha b", "sha c", "sha of another"]
    told = known_network("my student", model, None, photos)["trained on"]
    assert told == "2 of these 4 photos (split train): their masks prove nothing of other photos"
    assert known_network("my student", model, None, photos[2:])["trained on"] == "0 of these 2 photos"


def test_of_a_file_that_came_alone_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"any")
    found = known_network("x.onnx", tmp_path / "x.onnx", None)
    assert found["unknown"] == "data set and scores: the run that trained it is not here"
    (tmp_path / "artifacts").mkdir()
    model = write_student(tmp_path / "artifacts/student.pt")
    found = known_network("x.onnx", tmp_path / "x.onnx", tmp_path)
    assert (found["exported of"], found["unknown"]) == (str(model), "scores or settings: no dvc.lock beside it")
