"""One training, however often it is stopped, wherever its samples are made, and on however many processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from tests.helpers import run_two_processes
from tests.toy_labels import BadPhoto, DeadlyPhoto, ToyLabels
from tests.toy_training import IDS_OF_LABELS, OPTIM, ToyTask, train_toy
from wsss.core.errors import EnvError, InterruptedStage, UserError
from wsss.data.tables import history_csv
from wsss.models.checkpoint import save_network
from wsss.training.loop import make_learner, make_optimizer, update
from wsss.training.processes import Processes
from wsss.training.resume import FILE
from wsss.training.sampling import Plan


def finish(task: ToyTask, scratch: Path) -> tuple[bytes, str]:
    """(bytes of the network's file, history as CSV)."""
    history = train_toy(task, scratch)
    save_network(scratch / "out.pt", task.network, task.card)
    return (scratch / "out.pt").read_bytes(), history_csv(history)


def test_training_learns_and_its_history_says_so(tmp_path: Path) -> None:
    task = ToyTask(dropout=0.0)
    history = train_toy(task, tmp_path, OPTIM.model_copy(update={"epochs": 12}))
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert list(history[0]) == ["epoch", "lr", "loss", "seg_background", "seg_foreground", "grad_norm"]
    for row in history:
        assert row["loss"] == pytest.approx(row["seg_background"] + row["seg_foreground"], rel=1e-5)
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[0]["loss"] == pytest.approx(2 * math.log(4), rel=0.2)  # of a network that knows nothing


def test_half_precision_without_a_gpu_is_refused_and_not_made_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    with pytest.raises(UserError) as caught:
        train_toy(ToyTask(), tmp_path, OPTIM.model_copy(update={"precision": "16-mixed"}))
    assert str(caught.value) == (
        "error: distill.optim.precision: 16-mixed needs a GPU\nfix: set it to bf16-mixed or 32-true"
    )


def test_each_step_sees_the_photos_of_the_plan(tmp_path: Path) -> None:
    task = ToyTask()
    train_toy(task, tmp_path)
    plan = Plan(0, len(IDS_OF_LABELS), 4, 3)
    assert task.numbers == [plan.batch_at(step)[1] for step in range(9)]


@pytest.mark.parametrize("stop_after", [1, 3, 5, 9])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(tmp_path: Path, stop_after: int) -> None:
    undisturbed = finish(ToyTask(), tmp_path / "whole")
    stopped = ToyTask(stop_after=stop_after)
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_toy(stopped, tmp_path / "100 % mine")
    assert stopped.steps == stop_after
    again = ToyTask()
    torch.manual_seed(99)  # whatever happened before
    with torch.no_grad():
        next(again.network.parameters()).add_(1.0)
    assert finish(again, tmp_path / "100 % mine") == undisturbed
    assert stopped.steps + again.steps == 9


def test_stopped_at_every_second_step_equals_undisturbed(tmp_path: Path) -> None:
    undisturbed = finish(ToyTask(), tmp_path / "whole")
    for _ in range(4):
        with pytest.raises(InterruptedStage):
            train_toy(ToyTask(stop_after=2), tmp_path / "part")
    assert finish(ToyTask(), tmp_path / "part") == undisturbed


def test_state_of_the_optimizer_is_continued_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    train_toy(ToyTask(), tmp_path / "whole")
    with pytest.raises(InterruptedStage):
        train_toy(ToyTask(stop_after=4), tmp_path / "part")
    train_toy(ToyTask(), tmp_path / "part")
    assert (tmp_path / "part" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_checkpoints_on_the_way_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = finish(ToyTask(), tmp_path / "rare")
    assert not (tmp_path / "rare" / FILE).exists()
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    assert finish(ToyTask(), tmp_path / "often") == undisturbed


def test_a_thread_that_reads_ahead_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = finish(ToyTask(), tmp_path / "none")
    monkeypatch.delenv("WSSS_WORKERS")
    with pytest.raises(InterruptedStage):
        train_toy(ToyTask(stop_after=4), tmp_path / "thread")
    assert finish(ToyTask(), tmp_path / "thread") == undisturbed


@pytest.mark.slow
def test_workers_change_nothing_nor_does_stopping_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = finish(ToyTask(), tmp_path / "none")
    monkeypatch.setenv("WSSS_WORKERS", "2")
    with pytest.raises(InterruptedStage):
        train_toy(ToyTask(stop_after=4), tmp_path / "two")
    monkeypatch.setenv("WSSS_WORKERS", "0")
    assert finish(ToyTask(), tmp_path / "two") == undisturbed


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not a checkpoint"])
def test_damaged_checkpoint_starts_again_with_a_warning(
    tmp_path: Path, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = finish(ToyTask(), tmp_path / "whole")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / FILE).write_bytes(damage)
    assert finish(ToyTask(), tmp_path / "part") == undisturbed
    assert "training starts again from the beginning" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["0", "1"])
def test_error_of_a_sample_arrives_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", workers)
    with pytest.raises(UserError) as caught:
        train_toy(ToyTask(), tmp_path, dataset=BadPhoto())
    assert str(caught.value) == "error: photo 5: is bad\nfix: mend it"


def test_worker_that_is_killed_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "1")
    with pytest.raises(EnvError, match=r"worker process: ended unexpectedly .*\nfix: lower WSSS_WORKERS"):
        train_toy(ToyTask(), tmp_path, dataset=DeadlyPhoto())


def test_biases_and_norms_do_not_decay_and_the_head_learns_faster() -> None:
    network = ToyTask().network
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    rates = {}
    for group in make_optimizer(network, OPTIM).param_groups:
        for parameter in group["params"]:
            rates[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert rates.keys() == {name for name, p in network.named_parameters() if p.requires_grad}
    assert rates["backbone.stem.conv.weight"] == (0.02, 1e-3)
    assert rates["head.weight"] == (0.04, 1e-3)
    assert rates["head.bias"] == (0.04, 0.0)
    assert not any(".bn." in name for name in rates)


SCRIPT = """
import sys, torch
from pathlib import Path
from tests.toy_training import OPTIM, ToyTask, train_toy
from wsss.numeric.device import set_threads
from wsss.core.stage import open_stage
set_threads(1)
task = ToyTask(dropout=0.0)
task.network.unused = torch.nn.Linear(2, 2)  # as the ImageNet head of a backbone is to a student
with open_stage("distill", {}, []) as stage:
    history = train_toy(task, stage.scratch, OPTIM.model_copy(update={"epochs": 7, "lr": 0.0005}))
torch.save([task.network.state_dict(), history], sys.argv[1] + ".pt")
"""


@pytest.mark.slow
def test_two_processes_equal_one_with_unevenly_spread_labels(tmp_path: Path) -> None:
    """21 steps; the pixels that are labelled lie unevenly on the two processes, some crops have none at all."""
    run_two_processes(SCRIPT, tmp_path, WSSS_SCRATCH=str(tmp_path / "scratch"))
    whole = ToyTask(dropout=0.0)
    whole.network.unused = torch.nn.Linear(2, 2)
    # At a higher rate the kinks of ReLU amplify the rounding of a sum in another order.
    history = train_toy(whole, tmp_path / "one", OPTIM.model_copy(update={"epochs": 7, "lr": 0.0005}))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in "01")
    for name, tensor in whole.network.state_dict().items():
        if not name.startswith("unused"):
            assert torch.equal(first[0][name], second[0][name]), name
            assert (first[0][name] - tensor).abs().max() <= 1e-6, name
    untrained = ToyTask(dropout=0.0).network.head.weight
    assert (first[0]["head.weight"] - untrained).abs().max() > 1e-3
    for ours, theirs in zip(first[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_batch_that_cannot_be_shared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.training.loop.current", lambda: Processes(0, 5, torch.device("cpu")))
    with pytest.raises(UserError, match=r"distill\.optim\.batch: found 4 photos a step for 5 processes"):
        train_toy(ToyTask(), tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 2.0])
def test_a_long_gradient_is_shortened_and_keeps_its_direction(share: float) -> None:
    """Against the step without: what is longer than `clip_norm` becomes that long, what is shorter stays."""
    optim = OPTIM.model_copy(update={"weight_decay": 0.0})
    batch = default_collate([ToyLabels()[0, number] for number in range(4)])

    def step(clip_norm: float) -> tuple[float, torch.Tensor]:
        task = ToyTask(dropout=0.0)
        before = torch.nn.utils.parameters_to_vector(task.network.parameters()).clone()
        values = update(make_learner(task.network, optim), task, dict(batch), clip_norm)
        return values["grad_norm"], torch.nn.utils.parameters_to_vector(task.network.parameters()).detach() - before

    norm, plain = step(0.0)
    assert plain.abs().max() > 0
    known, clipped = step(share * norm)
    assert known == pytest.approx(norm)  # the history tells how long it was
    torch.testing.assert_close(clipped, plain * min(1.0, share or 1.0), rtol=2e-3, atol=1e-7)
