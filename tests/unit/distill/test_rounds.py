"""Two students one after the other: what the first learns, how it relabels, and what the second does with that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from wsss.distill.students import DistillSettings, Material

from tests import toy_oste
from tests.helpers import CLASSES, run_two_processes, tree
from tests.toy_distill import BOUNDARY, STEPS, ToyStore, altered, train_student, write_oste
from wsss.core.errors import InterruptedStage, UserError
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.tables import history_csv
from wsss.distill import students
from wsss.distill.relabel import change_shares, relabel_photos
from wsss.distill.rules import CHANGES
from wsss.distill.stage import distill
from wsss.distill.step import FollowTeacher
from wsss.models.checkpoint import load_network
from wsss.stores.labels import RelabelledStore
from wsss.training.loop import History

FIRST = altered(teacher="first")
LOSSES = ["seg_background", "seg_foreground", "tags", "feature_fine", "feature_coarse", "corr", "cam", "energy"]


def finish(folder: Path, settings: DistillSettings = FIRST) -> tuple[bytes, str, Any, Any]:
    """(bytes of the student's file, history as CSV, bytes of the relabelled store, bytes of the masks by epoch)."""
    history, _ = train_student(folder, settings)
    return (
        (folder / "student.pt").read_bytes(),
        history_csv(history),
        tree(folder / "relabelled"),
        tree(folder / "epochs"),
    )


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("stop_after", [1, BOUNDARY, BOUNDARY + 1, 5])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(tmp_path: Path, stop_after: int, restart: bool) -> None:
    settings = altered(FIRST, first__restart=restart)
    undisturbed = finish(tmp_path / "whole", settings)
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path / "part", settings, stop_after=stop_after)
    torch.manual_seed(99)
    assert finish(tmp_path / "part", settings) == undisturbed


def test_finished_first_student_and_its_labels_are_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path, FIRST, stop_after=5)
    made = {name: (tmp_path / "scratch" / name).stat().st_mtime_ns for name in ("first.pt", "relabelled/00000.h5")}
    _, task = train_student(tmp_path, FIRST)
    assert (tmp_path / "scratch/first.pt").stat().st_mtime_ns == made["first.pt"]
    assert (tmp_path / "relabelled/00000.h5").stat().st_mtime_ns == made["relabelled/00000.h5"]
    assert task is not None
    assert task.steps == STEPS - 5  # those that were left


def test_history_is_one_of_both(tmp_path: Path) -> None:
    history, _ = train_student(tmp_path, FIRST)
    assert list(history[0]) == ["epoch", "lr", "loss", *LOSSES, *CHANGES, "grad_norm"]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    shares = change_shares(RelabelledStore(tmp_path / "relabelled"), toy_oste.toy_photos(tmp_path / "photos"))
    assert sum(shares.values()) > 0
    for row in history:
        assert row["loss"] == pytest.approx(sum(row[name] for name in LOSSES), rel=1e-5)
        begun = row["epoch"] > 1
        assert {name: row[name] for name in CHANGES} == (shares if begun else dict.fromkeys(CHANGES, 0.0))
        assert [row[name] > 0 for name in ("cam", "energy")] == [begun, begun]
        assert row["feature_fine"] > 0


def test_first_student_is_one_of_stage_1_alone_and_labels_the_photos(tmp_path: Path) -> None:
    train_student(tmp_path / "both", FIRST)
    train_student(tmp_path / "alone", altered(stage2__enabled=False, optim__epochs=1))
    first = tmp_path / "both/scratch/first.pt"
    assert first.read_bytes() == (tmp_path / "alone/student.pt").read_bytes()
    photos = toy_oste.toy_photos(tmp_path / "photos")
    stage = Stage("distill", "f" * 16, tmp_path / "scratch")
    index = Index(CLASSES, tuple(photos.records))
    relabel_photos(stage, index, photos, ToyStore(photos), first, FIRST.first, tmp_path / "expected")
    assert tree(tmp_path / "expected") == tree(tmp_path / "both/relabelled")


@pytest.mark.parametrize("restart", [True, False])
def test_second_begins_where_the_first_began_or_ended(
    tmp_path: Path, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[dict[str, torch.Tensor]] = []
    fit = students.fit

    def watched(task: FollowTeacher, *arguments: Any) -> History:
        student = task.network.pupils[0].student
        starts.append({name: tensor.clone() for name, tensor in student.state_dict().items()})
        return fit(task, *arguments)

    monkeypatch.setattr(students, "fit", watched)
    train_student(tmp_path, altered(FIRST, first__restart=restart))
    ended = load_network(tmp_path / "scratch/first.pt", "student", CLASSES)[0].state_dict()
    saved = load_network(tmp_path / "student.pt", "student", CLASSES)[0].state_dict()
    begun, again = starts
    assert not torch.equal(begun["head.weight"], ended["head.weight"])
    assert not torch.equal(again["head.weight"], saved["head.weight"])
    for name, tensor in again.items():
        assert torch.equal(tensor, (begun if restart else ended)[name]), name


def test_without_rounds_the_store_is_empty(tmp_path: Path) -> None:
    train_student(tmp_path)
    assert RelabelledStore(tmp_path / "relabelled").ids == ()


def test_first_student_needs_an_epoch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"distill\.stage1\.epochs: found 0: the first student would learn nothing"):
        train_student(tmp_path, altered(FIRST, stage1__epochs=0))


SCRIPT = """
import sys
from pathlib import Path

import torch

from tests.toy_distill import altered, train_student

if __name__ == "__main__":
    settings = altered(teacher=sys.argv[2], dropout=0.0, optim__lr=0.0005)
    history, task = train_student(Path("shared"), settings)
    torch.save([dict(task.network.state_dict()), history], f"{sys.argv[1]}.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["first", "frozen"])
def test_two_processes_with_one_scratch_folder_equal_one(tmp_path: Path, teacher: str) -> None:
    """One of them writes the store of relabelled photos, full or empty; the other waits."""
    shared = tmp_path / "shared"
    toy_oste.toy_photos(shared / "photos")
    write_oste(shared / "oste.pt")
    run_two_processes(SCRIPT, tmp_path, teacher)
    history, whole = train_student(tmp_path / "one", altered(teacher=teacher, dropout=0.0, optim__lr=0.0005))
    assert whole is not None
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in "01")
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(first[0][name], second[0][name]), name
        assert (first[0][name] - tensor).abs().max() <= 1e-5, name
    assert tree(shared / "relabelled").keys() == tree(tmp_path / "one" / "relabelled").keys()
    for ours, theirs in zip(first[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


def test_labels_that_come_of_masks_say_so(tmp_path: Path) -> None:
    photos = toy_oste.toy_photos(tmp_path / "photos")
    write_oste(tmp_path / "oste.pt")
    stage = Stage("distill", "f" * 16, tmp_path / "scratch")
    index = Index(CLASSES, tuple(photos.records))
    for upper_bound in (False, True):
        material = Material(index, photos, ToyStore(photos), tmp_path / "oste.pt", 0, upper_bound)
        folder = tmp_path / str(upper_bound)
        scratch = replace(stage, scratch=folder / "scratch")
        settings = altered(FIRST, first__rules__overrule=not upper_bound)
        distill(scratch, material, settings, folder / "student.pt", folder / "relabelled", folder / "epochs")
        assert RelabelledStore(folder / "relabelled").upper_bound is upper_bound
        _, card = load_network(folder / "student.pt", "student", CLASSES)
        assert ("UPPER BOUND" in card.weights) is upper_bound


def test_masks_are_not_overruled(tmp_path: Path) -> None:
    photos = toy_oste.toy_photos(tmp_path / "photos")
    stage = Stage("distill", "f" * 16, tmp_path / "scratch")
    material = Material(Index(CLASSES, tuple(photos.records)), photos, ToyStore(photos), tmp_path / "oste.pt", 0, True)
    with pytest.raises(UserError, match=r"overrule: found true: a first student would overrule the masks"):
        distill(stage, material, FIRST, tmp_path / "student.pt", tmp_path / "relabelled", tmp_path / "epochs")
