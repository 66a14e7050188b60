"""Two rounds: what the first learns, how its student corrects the labels, and what the second does with that."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import CLASSES, run_two_processes, tree
from tests.toy_distill import (
    BOUNDARY,
    INFERENCE,
    STEPS,
    TWO_ROUNDS,
    VARIANTS,
    altered,
    toy_data,
    toy_stage,
    train_student,
)
from wsss.core.errors import InterruptedStage, UserError
from wsss.data.tables import history_csv
from wsss.distill import stage as distilling
from wsss.distill.data import LabelledImages
from wsss.distill.relabel import change_fractions, relabel_photos
from wsss.distill.rules import CHANGES
from wsss.distill.settings import DistillSettings
from wsss.distill.stage import joined
from wsss.distill.step import DistillStep
from wsss.models.linear_student import LinearStudent
from wsss.models.student import load_student
from wsss.stores.labels import RelabelledStore
from wsss.stores.snapshots import epochs_of
from wsss.training import resume
from wsss.training.loop import History
from wsss.training.rules import STEPS as STEPS_RULE

LOSSES = ["seg_background", "seg_foreground", "tags", "feature_fine", "feature_coarse", "corr", "cam", "energy"]


def finish(folder: Path, settings: DistillSettings = TWO_ROUNDS) -> tuple[bytes, str, Any, Any]:
    """(bytes of the student's file, history as CSV, bytes of the corrected labels, bytes of the masks by epoch)."""
    history, _ = train_student(folder, settings)
    return (
        (folder / "student.pt").read_bytes(),
        history_csv(history),
        tree(folder / "relabelled"),
        tree(folder / "epochs"),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str, Any, Any]:
    return finish(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("stop_after", [1, BOUNDARY, BOUNDARY + 1, 5])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(
    tmp_path: Path, stop_after: int, undisturbed: tuple[bytes, str, Any, Any]
) -> None:
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path, stop_after=stop_after, settings=TWO_ROUNDS)
    torch.manual_seed(99)
    assert finish(tmp_path) == undisturbed


GOES_ON = altered(TWO_ROUNDS, restart=False)


@pytest.fixture(scope="module")
def without_restart(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str, Any, Any]:
    return finish(tmp_path_factory.mktemp("without_restart"), GOES_ON)


@pytest.mark.parametrize("stop_after", [1, BOUNDARY, BOUNDARY + 1, 5])
def test_so_it_does_without_a_restart(
    tmp_path: Path, stop_after: int, without_restart: tuple[bytes, str, Any, Any]
) -> None:
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path, GOES_ON, stop_after=stop_after)
    torch.manual_seed(99)
    assert finish(tmp_path, GOES_ON) == without_restart


LINEAR_FIRST = altered(TWO_ROUNDS, init="oste", first__head="linear")


def test_linear_first_student_corrects_the_labels_for_one_of_the_usual_kind(tmp_path: Path) -> None:
    history, rounds = train_student(tmp_path / "whole", LINEAR_FIRST)
    first, _ = load_student(tmp_path / "whole" / "scratch" / "first.pt", CLASSES)
    second, card = load_student(tmp_path / "whole" / "student.pt", CLASSES)
    assert isinstance(first, LinearStudent)
    assert not isinstance(second, LinearStudent)
    assert card.settings["channels"] == LINEAR_FIRST.channels
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[0]["feature_fine"] == 0 < history[1]["feature_fine"]  # of the second round alone
    (second_round,) = rounds  # the first has no steps on photos
    assert second_round.steps == STEPS - BOUNDARY
    assert epochs_of(tmp_path / "whole" / "epochs") == [1, 2, 3, 4]
    labels = RelabelledStore(tmp_path / "whole" / "relabelled")
    usual = tmp_path / "usual"
    train_student(usual, altered(LINEAR_FIRST, first__head="same"))
    other = RelabelledStore(usual / "relabelled")
    assert any((labels.label(name) != other.label(name)).any() for name in labels.ids)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_so_it_does_after_a_linear_first_student(tmp_path: Path, stop_after: int) -> None:
    whole = finish(tmp_path / "whole", LINEAR_FIRST)
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path / "stopped", LINEAR_FIRST, stop_after=stop_after)
    torch.manual_seed(99)
    assert finish(tmp_path / "stopped", LINEAR_FIRST) == whole


def test_projections_of_the_second_round_do_not_depend_on_what_ran_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student of other channels than OSTE's has projections that begin at random."""
    other = altered(GOES_ON, backbone__name="efficientnet_lite0", stage1__epochs=2)
    whole = finish(tmp_path / "whole", other)
    with monkeypatch.context() as patched:
        patched.setattr(distilling, "relabel_photos", stops)
        with pytest.raises(InterruptedStage, match="SIGTERM"):
            train_student(tmp_path / "stopped", other)
    assert (tmp_path / "stopped" / "scratch" / "first.json").exists()
    torch.manual_seed(99)
    assert finish(tmp_path / "stopped", other) == whole


def stops(*_: Any) -> None:
    raise InterruptedStage("SIGTERM", "the checkpoint is kept", "the same command goes on from there")


def test_finished_first_round_and_its_labels_are_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path, TWO_ROUNDS, stop_after=5)
    made = {name: (tmp_path / "scratch" / name).stat().st_mtime_ns for name in ("first.pt", "relabelled/00000.h5")}
    _, rounds = train_student(tmp_path, TWO_ROUNDS)
    for name, time in made.items():
        assert (tmp_path / "scratch" / name).stat().st_mtime_ns == time
    (second,) = rounds
    assert second.steps == STEPS - 5  # those that were left


DAMAGE = {
    "truncated": ("first.pt", lambda path: path.write_bytes(path.read_bytes()[:1000])),
    "empty": ("first.pt", lambda path: path.write_bytes(b"")),
    "missing": ("first.pt", lambda path: path.unlink()),
    "another network": ("first.pt", lambda path: path.write_bytes((path.parent.parent / "oste.pt").read_bytes())),
    "garbage history": ("first.json", lambda path: path.write_bytes(b"\xff[{")),
    "another history": ("first.json", lambda path: path.write_bytes(path.read_bytes()[:-2] + b", {}]")),
    "truncated history": ("first.json", lambda path: path.write_bytes(path.read_bytes()[:-5])),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Of one epoch and two steps; stopped in the second round. Once the first round has a checkpoint, once it has not.

    To be copied.
    """
    folders = {}
    for checkpoint in (True, False):
        folders[checkpoint] = tmp_path_factory.mktemp("stopped")
        with pytest.MonkeyPatch.context() as patch:
            if checkpoint:
                patch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
            with pytest.raises(InterruptedStage, match="SIGTERM"):
                train_student(folders[checkpoint], TWO_ROUNDS, stop_after=5)
    return folders


@pytest.mark.parametrize("checkpoint", [True, False], ids=["checkpoint", "none"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_first_round_is_trained_again_with_a_warning(
    tmp_path: Path,
    damage: str,
    checkpoint: bool,
    stopped: dict[bool, Path],
    undisturbed: tuple[bytes, str, Any, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It goes on from its checkpoint, if it has one."""
    shutil.copytree(stopped[checkpoint], tmp_path, dirs_exist_ok=True)
    assert (tmp_path / "scratch/first" / resume.FILE).exists() is checkpoint
    name, spoil = DAMAGE[damage]
    before = (tmp_path / "scratch" / name).read_bytes()
    spoil(tmp_path / "scratch" / name)
    capsys.readouterr()
    history, (first, second) = train_student(tmp_path, TWO_ROUNDS)
    told = capsys.readouterr().err
    assert "not usable (" in told
    assert "the first round goes on from its checkpoint" in told
    assert (first.steps, second.steps) == ((0, 3) if checkpoint else (2, 5))
    assert (tmp_path / "scratch" / name).read_bytes() == before
    found = (tmp_path / "student.pt").read_bytes(), history_csv(history), tree(tmp_path / "relabelled")
    assert (*found, tree(tmp_path / "epochs")) == undisturbed


def test_history_is_one_of_both(tmp_path: Path) -> None:
    history, (first, second) = train_student(tmp_path, TWO_ROUNDS)
    assert (first.epochs, second.epochs) == ([0, 0], [0, 0, 1, 1, 2, 2])
    assert list(history[0]) == ["epoch", "lr", "loss", *LOSSES, *CHANGES, "grad_norm"]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert epochs_of(tmp_path / "epochs") == [1, 2, 3, 4]
    changes = change_fractions(RelabelledStore(tmp_path / "relabelled"), toy_data(tmp_path).photos)
    assert sum(changes.values()) > 0
    for row in history:
        assert row["loss"] == pytest.approx(sum(row[name] for name in LOSSES), rel=1e-5)
        begun = row["epoch"] > 1
        assert {name: row[name] for name in CHANGES} == (changes if begun else dict.fromkeys(CHANGES, 0.0))
        assert [row[name] > 0 for name in ("cam", "energy")] == [begun, begun]
        assert row["feature_fine"] > 0


def test_rows_of_two_histories_by_hand() -> None:
    first = [{"epoch": 1, "lr": 0.5, "loss": 3.0, "seg": 3.0, "grad_norm": 9.0}]
    second = [
        {"epoch": 1, "lr": 0.5, "loss": 2.0, "seg": 1.5, "cam": 0.5, "grad_norm": 8.0},
        {"epoch": 2, "lr": 0.1, "loss": 1.0, "seg": 0.75, "cam": 0.25, "grad_norm": 7.0},
    ]
    rows = joined(first, second, {"filled": 0.25})
    assert [list(row) for row in rows] == [["epoch", "lr", "loss", "seg", "cam", "filled", "grad_norm"]] * 3
    assert [list(row.values()) for row in rows] == [
        [1, 0.5, 3.0, 3.0, 0.0, 0.0, 9.0],
        [2, 0.5, 2.0, 1.5, 0.5, 0.25, 8.0],
        [3, 0.1, 1.0, 0.75, 0.25, 0.25, 7.0],
    ]


def test_first_student_is_one_of_stage_1_alone_and_labels_the_photos(tmp_path: Path) -> None:
    train_student(tmp_path / "both", TWO_ROUNDS)
    history, _ = train_student(tmp_path / "alone", altered(stage2__enabled=False, optim__epochs=1))
    first = tmp_path / "both/scratch/first.pt"
    assert first.read_bytes() == (tmp_path / "alone/student.pt").read_bytes()
    assert json.loads(first.with_suffix(".json").read_text().partition("\n")[2]) == history
    expected = relabel_photos(toy_stage(tmp_path), toy_data(tmp_path), first, TWO_ROUNDS.relabel, INFERENCE)
    assert tree(expected.path) == tree(tmp_path / "both/relabelled")


@pytest.mark.parametrize("restart", [True, False])
def test_second_begins_where_the_first_began_or_ended_with_other_labels_and_crops(
    tmp_path: Path, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[dict[str, torch.Tensor]] = []
    given: list[LabelledImages] = []
    fit = distilling.fit

    def watched(step: DistillStep, crops: LabelledImages, *arguments: Any) -> History:
        student: Any = step.network.students[0]  # type: ignore[index]
        starts.append({name: tensor.clone() for name, tensor in student.student.state_dict().items()})
        given.append(crops)
        return fit(step, crops, *arguments)

    monkeypatch.setattr(distilling, "fit", watched)
    train_student(tmp_path, altered(TWO_ROUNDS, restart=restart))
    ended = load_student(tmp_path / "scratch/first.pt", CLASSES)[0].state_dict()
    saved = load_student(tmp_path / "student.pt", CLASSES)[0].state_dict()
    begun, again = starts
    assert not torch.equal(begun["head.weight"], ended["head.weight"])
    assert not torch.equal(again["head.weight"], saved["head.weight"])
    for name, tensor in again.items():
        assert torch.equal(tensor, (begun if restart else ended)[name]), name
    before, after = given
    assert not torch.equal(before[0, 0]["image"], after[0, 0]["image"])
    store = RelabelledStore(tmp_path / "relabelled")
    assert any((store.label(name) != before.labels.label(name)).any() for name in store.ids)
    for name in store.ids:
        assert (after.labels.label(name) == store.label(name)).all()
        assert (after.labels.confidence(name) == store.confidence(name)).all()


@pytest.mark.parametrize("name", ["frozen", "mutual"])
def test_one_round_corrects_no_label(tmp_path: Path, name: str) -> None:
    train_student(tmp_path, VARIANTS[name])
    store = RelabelledStore(tmp_path / "relabelled")
    store.expect_classes(CLASSES)
    assert store.ids == ()
    assert not (tmp_path / "scratch/first.pt").exists()


def test_first_student_needs_an_epoch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"distill\.stage1\.epochs: found 4 of 4 epochs, but each of two rounds needs"):
        train_student(tmp_path, altered(TWO_ROUNDS, stage1__epochs=4))


def test_epochs_that_are_left_at_zero_are_planned(tmp_path: Path) -> None:
    """The first round gets half of them; both follow the number of photos."""
    records = toy_data(tmp_path).photos.records
    half = altered(TWO_ROUNDS, stage1__epochs=0).planned(records, 3)
    assert (half.stage1.epochs, half.optim.epochs) == (2, 4)
    free = altered(TWO_ROUNDS, stage1__epochs=0, optim__epochs=0, augment__crop=0).planned(records, 3)
    assert free.optim.epochs == round(STEPS_RULE["distill"] * math.sqrt(len(records)) * 2 / 2)
    assert free.stage1.epochs == free.optim.epochs // 2
    assert free.augment.pixels == 64
    assert altered(stage1__epochs=0).planned(records, 3).stage1.epochs == 0  # of one round: stage 2 acts at once


def test_a_teacher_of_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"distill\.stage2\.kl\.enabled: found true with two rounds"):
        train_student(tmp_path, altered(rounds=2))


SCRIPT = """
import sys
from pathlib import Path

import torch

from tests.toy_distill import VARIANTS, altered, train_student

if __name__ == "__main__":
    rank, name = sys.argv[1:]
    settings = altered(VARIANTS[name], dropout=0.0, optim__lr=0.0005)
    history, steps = train_student(Path(name), settings)
    torch.save([dict(steps[-1].network.state_dict()), history], f"{name}/{rank}.pt")
"""
FULL_AND_EMPTY = ["two rounds", "frozen"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_AND_EMPTY)
def test_two_processes_with_one_scratch_folder_equal_one(tmp_path: Path, name: str) -> None:
    """One of them writes the store of corrected labels, full or empty; the other waits."""
    shared = tmp_path / name
    toy_data(shared)
    run_two_processes(SCRIPT, tmp_path, name)  # a pair for each training, as in test_stage
    history, whole = train_student(tmp_path / "one", altered(VARIANTS[name], dropout=0.0, optim__lr=0.0005))
    first, second = (torch.load(shared / f"{rank}.pt", weights_only=True) for rank in "01")
    for key, tensor in whole[-1].network.state_dict().items():
        assert torch.equal(first[0][key], second[0][key]), key
        assert (first[0][key] - tensor).abs().max() <= 1e-5, key
    assert tree(shared / "relabelled").keys() == tree(tmp_path / "one" / "relabelled").keys()
    for ours, theirs in zip(first[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("upper_bound", [False, True])
@pytest.mark.parametrize("rounds", [1, 2])
def test_what_comes_of_masks_says_so(tmp_path: Path, upper_bound: bool, rounds: int) -> None:
    settings = altered(TWO_ROUNDS, rounds=rounds, relabel__overrule=not upper_bound)
    train_student(tmp_path, settings, upper_bound=upper_bound)
    assert RelabelledStore(tmp_path / "relabelled").upper_bound is upper_bound
    _, card = load_student(tmp_path / "student.pt", CLASSES)
    assert ("UPPER BOUND" in card.weights) is upper_bound


@pytest.mark.parametrize("rounds", [1, 2])
def test_what_comes_of_labels_corrected_by_hand_says_so(tmp_path: Path, rounds: int) -> None:
    train_student(tmp_path, altered(TWO_ROUNDS, rounds=rounds, relabel__overrule=False), by_hand=2)
    assert RelabelledStore(tmp_path / "relabelled").by_hand == 2
    _, card = load_student(tmp_path / "student.pt", CLASSES)
    assert card.weights.endswith("; labels of 2 photos corrected by hand")


@pytest.mark.parametrize("rounds", [1, 2])
def test_what_comes_of_masks_that_a_person_has_chosen_says_so(tmp_path: Path, rounds: int) -> None:
    settings = altered(TWO_ROUNDS, rounds=rounds, relabel__overrule=False)
    train_student(tmp_path, settings, by_hand=1, from_network=3, learned="f" * 64)
    marks = RelabelledStore(tmp_path / "relabelled").attributes
    assert (marks["corrected_by_hand"], marks["taken_from_network"], marks["labels_sha256"]) == (1, 3, "f" * 64)
    _, card = load_student(tmp_path / "student.pt", CLASSES)
    assert card.weights.endswith("; labels of 1 photo corrected by hand and of 3 photos taken from a network's masks")


def test_labels_corrected_by_hand_are_not_overruled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a first student would overrule the labels corrected by hand"):
        train_student(tmp_path, TWO_ROUNDS, by_hand=2)


def test_masks_are_not_overruled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"relabel\.overrule: found true: a first student would overrule the masks"):
        train_student(tmp_path, TWO_ROUNDS, upper_bound=True)
