"""One round of training: what teaches whom, when it begins, and that a stop changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests import toy_networks
from tests.helpers import CLASSES, run_two_processes, tree
from tests.toy_distill import (
    BOUNDARY,
    FROZEN,
    MUTUAL,
    SETTINGS,
    STEPS,
    Unknown,
    altered,
    first_step,
    toy_data,
    train_student,
    write_oste,
)
from wsss.core.errors import IntegrityError, InterruptedStage, UserError
from wsss.data.samples import Batch
from wsss.data.size import ReadSizes
from wsss.data.tables import history_csv
from wsss.distill.data import LabelledImages
from wsss.distill.losses.features import FeatureLoss
from wsss.distill.networks import FrozenOste, make_student, student_card
from wsss.distill.settings import DistillSettings
from wsss.distill.step import DistillStep
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term
from wsss.models.checkpoint import save_network
from wsss.models.student import load_student
from wsss.training.loop import fit

TEACHERS = {"frozen": FROZEN, "mutual": MUTUAL}
LOSSES = ["seg_background", "seg_foreground", "tags", "feature_fine", "feature_coarse", "corr", "kl", "cam", "energy"]
NO_FEATURES = {"stage1__enabled": False}
LABELS_ALONE = {"tags__enabled": False, "stage1__enabled": False, "stage2__enabled": False}
each_teacher = pytest.mark.parametrize("settings", TEACHERS.values(), ids=TEACHERS)


def finish(folder: Path, settings: DistillSettings = SETTINGS) -> tuple[bytes, str, Any]:
    """(bytes of the student's file, history as CSV, bytes of the masks by epoch)."""
    history, _ = train_student(folder, settings)
    return (folder / "student.pt").read_bytes(), history_csv(history), tree(folder / "epochs")


def begun(folder: Path, settings: DistillSettings = SETTINGS) -> tuple[DistillStep, Batch]:
    """A step at its beginning, and a batch of its first epoch."""
    step, crops = first_step(folder, settings)
    return step, batch_of(crops, 0)


def batch_of(crops: LabelledImages, epoch: int) -> Batch:
    items = [crops[epoch, number] for number in (0, 1, 3, 4)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    return batch | {"image": batch["image"].float()}


def backward(step: DistillStep, batch: Batch) -> dict[str, float]:
    terms = step.terms(step.network, batch)
    sum(weight * terms[name].mean() for name, weight in step.weights.items()).backward()  # type: ignore[union-attr]
    return {name: term.mean().item() for name, term in terms.items()}


def students_of(step: DistillStep) -> Any:
    """The students with their projections: `.student`, `.fine`, `.coarse` of each."""
    return step.network.students


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[bytes, str, Any]]:
    """Of one student, and of two that teach each other."""
    return {settings.mutual: finish(tmp_path_factory.mktemp("whole"), settings) for settings in TEACHERS.values()}


@each_teacher
@pytest.mark.parametrize("stop_after", [1, BOUNDARY, BOUNDARY + 1, 5])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(
    tmp_path: Path, settings: DistillSettings, stop_after: int, undisturbed: dict[bool, tuple[bytes, str, Any]]
) -> None:
    """In an epoch, at its end where stage 2 begins, and after that."""
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path, settings, stop_after=stop_after)
    assert not (tmp_path / "student.pt").exists()
    torch.manual_seed(99)  # whatever happened before
    assert finish(tmp_path, settings) == undisturbed[settings.mutual]


@each_teacher
def test_stopped_at_every_third_step_equals_undisturbed(
    tmp_path: Path, settings: DistillSettings, undisturbed: dict[bool, tuple[bytes, str, Any]]
) -> None:
    for _ in range(2):
        with pytest.raises(InterruptedStage):
            train_student(tmp_path, settings, stop_after=3)
    assert finish(tmp_path, settings) == undisturbed[settings.mutual]


@each_teacher
def test_history_holds_every_loss_and_stage_two_begins_when_it_should(
    tmp_path: Path, settings: DistillSettings
) -> None:
    history, (step,) = train_student(tmp_path, settings)
    second = [f"second_{name}" for name in LOSSES] if settings.mutual else []
    assert list(history[0]) == ["epoch", "lr", "loss", *LOSSES, *second, "grad_norm"]
    for row in history:
        assert row["loss"] == pytest.approx(sum(row[name] for name in (*LOSSES, *second)), rel=1e-5)
        for name in ("kl", "cam", "energy"):
            assert (row[name] > 0) is (row["epoch"] > 1)
        assert row["feature_fine"] > 0
        assert row["corr"] != 0
    assert step.epochs == [0, 0, 1, 1, 2, 2, 3, 3]


def test_first_epochs_are_the_same_for_every_teacher(tmp_path: Path) -> None:
    frozen, mutual = (train_student(tmp_path / name, settings)[0][0] for name, settings in TEACHERS.items())
    assert all(mutual[name] == frozen[name] for name in LOSSES)


def test_without_keep_features_end_where_predictions_begin(tmp_path: Path) -> None:
    history, _ = train_student(tmp_path, altered(stage1__keep=False))
    assert [row["feature_coarse"] > 0 for row in history] == [True, False, False, False]
    assert [row["kl"] > 0 for row in history] == [False, True, True, True]


@each_teacher
def test_boundary_at_zero_lets_both_act_from_the_start(tmp_path: Path, settings: DistillSettings) -> None:
    history, _ = train_student(tmp_path, altered(settings, stage1__epochs=0))
    assert all(row["kl"] > 0 and row["feature_coarse"] > 0 for row in history)


SWITCHES = {
    "seg__enabled": ["seg_background", "seg_foreground"],
    "tags__enabled": ["tags"],
    "stage1__enabled": ["feature_fine", "feature_coarse", "corr"],
    "stage1__feature__enabled": ["feature_fine", "feature_coarse"],
    "stage1__correspondence__enabled": ["corr"],
    "stage2__enabled": ["kl", "cam", "energy"],
    "stage2__kl__enabled": ["kl"],
    "stage2__cam__enabled": ["cam"],
    "stage2__energy__enabled": ["energy"],
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_part_has_its_own_switch(tmp_path: Path, switch: str) -> None:
    step, batch = begun(tmp_path, altered(**{switch: False}, stage1__epochs=0))
    assert list(step.weights) == [name for name in LOSSES if name not in SWITCHES[switch]]
    assert list(step.terms(step.network, batch)) == list(step.weights)


@each_teacher
@pytest.mark.parametrize("switch", SWITCHES)
def test_learns_without_any_one_part_in_both_stages(tmp_path: Path, switch: str, settings: DistillSettings) -> None:
    step, crops = first_step(tmp_path, altered(settings, **{switch: False}))
    for epoch in (0, 1):
        values = backward(step, batch_of(crops, epoch))
        assert all(np.isfinite(value) for value in values.values())
    assert all(values[name] != 0 for name in step.weights)


def test_every_part_has_its_own_weight(tmp_path: Path) -> None:
    step, _ = begun(tmp_path)
    weights = dict(zip(LOSSES, [1.0, 1.0, 0.6, 0.5, 0.5, 0.3, 0.7, 0.4, 0.2], strict=True))
    assert step.weights == weights
    both, _ = begun(tmp_path, MUTUAL)
    assert both.weights == weights | {f"second_{name}": weight for name, weight in weights.items()}


@each_teacher
def test_losses_that_do_not_act_yet_are_zeros_with_a_gradient_of_zero(
    tmp_path: Path, settings: DistillSettings
) -> None:
    """Every process waits for the gradients of all logits."""
    step, batch = begun(tmp_path, altered(settings, seg__enabled=False, **NO_FEATURES))
    terms = step.terms(step.network, batch)
    silent = [name for name in terms if not name.endswith("tags")]
    assert {name.removeprefix("second_") for name in silent} == {"kl", "cam", "energy"}
    for name in silent:
        assert terms[name].total.item() == terms[name].weight.item() == 0.0
    terms[silent[0]].total.backward()
    for student in students_of(step):
        gradient = student.student.head.weight.grad
        assert gradient is not None
        assert not gradient.any()


class LabelsAlone:
    """A bare student on pseudo-labels, weighted by their confidence: no teacher, no projection, no stage."""

    monitors: tuple[str, ...] = ()

    def __init__(self, network: nn.Module, by_confidence: bool) -> None:
        self.network, self.by_confidence = network, by_confidence
        self.weights = {"seg_background": 0.8, "seg_foreground": 0.8}

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Term]:
        weights = batch["confidence"].float() / 255.0
        weights = weights if self.by_confidence else torch.ones_like(weights)
        background, foreground = balanced_cross_entropy(network(batch["image"]), batch["label"], weights)
        return {"seg_background": background, "seg_foreground": foreground}


@pytest.mark.parametrize(("init", "by_confidence"), [("pretrained", True), ("oste", True), ("oste", False)])
@each_teacher
def test_all_off_is_the_training_on_labels_alone_to_the_bit(
    tmp_path: Path, init: str, by_confidence: bool, settings: DistillSettings
) -> None:
    """Against the loop with the plain student."""
    chosen = altered(settings, **LABELS_ALONE, init=init, seg__confidence=by_confidence, seg__weight=0.8)
    history, (step,) = train_student(tmp_path, chosen)
    assert step.oste is None
    data = toy_data(tmp_path)
    card = student_card(data.index, chosen)
    assert card.settings == {"channels": 32, "dropout": 0.3, "tag_threshold": None}
    student = make_student(card, data.oste, 0, chosen)
    crops = LabelledImages(data.photos, data.labels, 3, 0, chosen.augment)
    (tmp_path / "plain").mkdir()
    task = LabelsAlone(student, by_confidence)
    plain = fit(task, crops, data.ids, 0, chosen.optim, tmp_path / "plain", "distill")
    assert list(plain[0]) == ["epoch", "lr", "loss", "seg_background", "seg_foreground", "grad_norm"]
    assert history_csv(history) == history_csv(plain)
    save_network(tmp_path / "plain.pt", student, card)
    assert (tmp_path / "student.pt").read_bytes() == (tmp_path / "plain.pt").read_bytes()


@each_teacher
def test_saved_student_has_no_projections_and_loads_as_any_other(tmp_path: Path, settings: DistillSettings) -> None:
    train_student(tmp_path, settings)
    _, card = load_student(tmp_path / "student.pt", CLASSES)
    assert (card.kind, card.backbone, card.weights) == ("student", settings.backbone, "random")
    assert card.settings == {"channels": 32, "dropout": 0.3, "tag_threshold": 0.1, "tag_exponent": 1.0}
    assert (card.sizes, card.view) == (ReadSizes(0, 88, 92, 96), None)


@each_teacher
def test_gradients_reach_students_and_projections_and_never_a_teacher(
    tmp_path: Path, settings: DistillSettings
) -> None:
    step, batch = begun(tmp_path, altered(settings, stage1__epochs=0))
    assert step.oste is not None
    before = {name: tensor.clone() for name, tensor in step.oste.network.state_dict().items()}
    values = backward(step, batch)
    assert all(np.isfinite(value) for value in values.values())
    for name, parameter in step.network.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, name
    grads = {name for name, p in step.network.named_parameters() if p.grad is not None and p.grad.any()}
    assert len(students_of(step)) == (2 if settings.mutual else 1)
    for number in range(len(students_of(step))):
        for part in ("fine.weight", "coarse.weight", "student.head.weight"):
            assert f"students.{number}.{part}" in grads
    assert not step.oste.network.training
    assert all(not p.requires_grad and p.grad is None for p in step.oste.network.parameters())
    for name, tensor in step.oste.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_mutual_targets_carry_no_gradient_across(tmp_path: Path) -> None:
    """KL alone: the first student's loss says nothing to the second."""
    step, batch = begun(tmp_path, altered(MUTUAL, stage1__epochs=0))
    terms = step.terms(step.network, batch)
    assert terms["kl"].total.item() != terms["second_kl"].total.item()
    terms["kl"].mean().backward()
    reached = [name for name, p in step.network.named_parameters() if p.grad is not None and p.grad.any()]
    assert reached
    assert all(name.startswith("students.0.") for name in reached)


def test_each_of_two_students_has_the_other_for_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, batch = begun(tmp_path, altered(MUTUAL, stage1__epochs=0))
    step.network.eval()
    looked: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    see = DistillStep.seen
    monkeypatch.setattr(
        DistillStep, "seen", lambda self, *rest: looked.append((rest[1].logits, rest[3])) or see(self, *rest)
    )
    step.terms(step.network, batch)
    first, second = (student.student.look(batch["image"]).logits for student in students_of(step))
    (mine, other), (theirs, me) = looked
    assert other is not None
    assert me is not None
    for found, expected in ((mine, first), (me, first), (theirs, second), (other, second)):
        torch.testing.assert_close(found, expected)
    assert not torch.equal(first, second)


def test_second_student_has_another_head_and_the_first_is_saved(tmp_path: Path) -> None:
    step, _ = begun(tmp_path, altered(MUTUAL, init="oste"))
    first, second = (student.student for student in students_of(step))
    assert not torch.equal(first.head.weight, second.head.weight)
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(tensor, second.backbone.state_dict()[name])
    history, (trained,) = train_student(tmp_path / "run", MUTUAL)
    saved, _ = load_student(tmp_path / "run" / "student.pt", CLASSES)
    for name, tensor in students_of(trained)[0].student.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name])
    assert history[-1]["kl"] < history[1]["kl"]  # they come to agree


def test_student_that_is_its_teacher_has_no_feature_loss(tmp_path: Path) -> None:
    """The same backbone at the same stride, projections that start as the identity."""
    step, batch = begun(tmp_path, altered(init="oste", augment__jitter=0.0))
    terms = step.terms(step.network, batch)
    for name in FeatureLoss.names:
        assert terms[name].mean().item() == pytest.approx(0.0, abs=1e-6)
    elsewhere, _ = begun(tmp_path, altered(init="pretrained"))
    assert elsewhere.terms(elsewhere.network, batch)["feature_coarse"].mean().item() > 0.01


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ({"stride": 32}, {"name": "tiny", "output_stride": 8, "weights": "random"}),
        ({"stride": 8}, {"name": "tiny", "output_stride": 32, "weights": "random"}),
        (
            {"backbone": "resnet38d", "stride": 8, "width": 0.125},
            {"name": "tiny", "output_stride": 16, "weights": "random"},
        ),
        ({}, {"name": "resnet38d", "output_stride": 16, "weights": "random", "width": 0.25}),
    ],
)
def test_teacher_and_student_may_differ_in_architecture_and_stride(
    tmp_path: Path, teacher: dict[str, Any], student: dict[str, Any]
) -> None:
    write_oste(tmp_path / "oste.pt", **teacher)
    step, batch = begun(tmp_path, altered(backbone=student, stage1__epochs=0))
    values = backward(step, batch)
    assert all(np.isfinite(value) and value != 0 for value in values.values())
    for projection in (students_of(step)[0].fine, students_of(step)[0].coarse):
        assert projection.weight.grad.any()


def test_student_of_another_architecture_cannot_start_as_oste(tmp_path: Path) -> None:
    write_oste(tmp_path / "oste.pt", backbone="resnet38d", stride=8, width=0.125)
    with pytest.raises(UserError, match=r"distill\.init: OSTE is a resnet38d and the student a tiny"):
        train_student(tmp_path, altered(init="oste"))


def test_one_pass_of_oste_gives_everything(tmp_path: Path) -> None:
    step, batch = begun(tmp_path, altered(stage1__epochs=0))
    assert step.oste is not None
    network, calls = step.oste.network, []
    network.backbone.register_forward_hook(lambda *_: calls.append(torch.is_inference_mode_enabled()))
    backward(step, batch)
    assert calls == [True]
    taught = step.oste(batch["image"])
    with torch.no_grad():
        features = network.backbone(batch["image"])
        expected = network(batch["image"], (1.0,))
    torch.testing.assert_close(taught.logits, expected.segmentation)
    torch.testing.assert_close(taught.fine, features[1])
    torch.testing.assert_close(taught.coarse, features[3])
    assert step.oste.channels == (features[1].shape[1], features[3].shape[1])
    fused = network.fusion(features, expected.cams.multiscale, expected.cams.multiscale)
    torch.testing.assert_close(taught.cams, fused)
    assert not any(part.requires_grad or part.is_inference() for part in taught)


def test_oste_is_not_asked_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    teach = FrozenOste.__call__

    def count(self: FrozenOste, images: torch.Tensor) -> Any:
        asked.append(1)
        return teach(self, images)

    monkeypatch.setattr(FrozenOste, "__call__", count)
    train_student(tmp_path / "a", altered(MUTUAL, stage1__keep=False, stage2__cam__enabled=False))
    assert len(asked) == BOUNDARY
    train_student(tmp_path / "b", altered(**NO_FEATURES))
    assert len(asked) == BOUNDARY + STEPS - BOUNDARY
    train_student(tmp_path / "c", altered(MUTUAL, **NO_FEATURES, stage2__cam__enabled=False))
    assert len(asked) == STEPS


def test_crops_without_labels_teach_nothing_by_labels(tmp_path: Path) -> None:
    step, batch = begun(tmp_path, altered(stage1__epochs=0))
    unknown = batch | {"label": torch.full_like(batch["label"], 255)}
    terms = step.terms(step.network, unknown)
    for name in ("seg_background", "seg_foreground"):
        assert terms[name].total.item() == 0.0
    (terms["seg_background"].mean() + terms["seg_foreground"].mean()).backward()
    assert all(p.grad is None or not p.grad.any() for p in step.network.parameters())
    assert terms["kl"].total.item() > 0  # the teacher still does


def test_what_losses_see_is_the_batch(tmp_path: Path) -> None:
    """Confidence in [0, 1], and keys of (seed, epoch, photo number)."""
    step, crops = first_step(tmp_path)
    batch = batch_of(crops, 3)
    (output,) = step.network(batch["image"], True)
    assert step.oste is not None
    taught = step.oste(batch["image"])
    seen = step.seen(batch, output, taught, taught.logits)
    assert seen.keys == ((0, 3, 0), (0, 3, 1), (0, 3, 3), (0, 3, 4))
    torch.testing.assert_close(seen.confidence, batch["confidence"].float() / 255)
    for name, key in (("images", "image"), ("labels", "label"), ("inside", "inside"), ("tags", "tags")):
        assert getattr(seen, name) is batch[key]
    assert (seen.logits, seen.tag_logits, seen.fine, seen.coarse) == tuple(output)
    assert (seen.oste_fine, seen.oste_coarse, seen.oste_cams, seen.predictions) == tuple(taught)
    alone = step.seen(batch, output, None, None)
    assert (alone.oste_fine, alone.oste_coarse, alone.predictions, alone.oste_cams) == (None,) * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage1__epochs": 4}, r"distill\.stage1\.epochs: found 4 of 4 epochs, so that stage 2 never begins"),
        ({"seg__weight": 0.0, **LABELS_ALONE}, r"distill: no loss acts in epoch 1"),
    ],
)
def test_settings_are_checked_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsss.distill.stage.fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(UserError, match=message):
        train_student(tmp_path, altered(**changes))
    with pytest.raises(UserError, match="not one pixel of 8 photos is labelled"):
        train_student(tmp_path, labels=Unknown)


def test_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    write_oste(tmp_path / "oste.pt", classes=("background", "Kuh", "cat", "horse"))
    with pytest.raises(IntegrityError, match=r"missing dog; extra horse"):
        train_student(tmp_path)
    train_student(tmp_path, altered(**LABELS_ALONE))  # nobody asks it anything


SCRIPT = """
import sys, torch
from pathlib import Path
from tests.toy_distill import VARIANTS, altered, train_student
from wsss.numeric.device import set_threads
set_threads(1)
rank, teacher = sys.argv[1:]
settings = altered(VARIANTS[teacher], dropout=0.0, optim__lr=0.0001)
history, (step,) = train_student(Path(teacher) / rank, settings)
torch.save([step.network.state_dict(), history], Path(teacher) / rank / "result.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize("teacher", TEACHERS)
def test_two_processes_equal_one(tmp_path: Path, teacher: str) -> None:
    # A pair for each training: processes that part and meet again at the same port may miss each other.
    run_two_processes(SCRIPT, tmp_path, teacher)
    history, (whole,) = train_student(tmp_path / "one", altered(TEACHERS[teacher], dropout=0.0, optim__lr=0.0001))
    # Two students answer each other's rounding.
    tolerance = 1e-6 if teacher == "frozen" else 1e-5
    first, second = (torch.load(tmp_path / teacher / rank / "result.pt", weights_only=True) for rank in "01")
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(first[0][name], second[0][name]), name
        assert (first[0][name] - tensor).abs().max() <= tolerance, name
    for ours, theirs in zip(first[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


def test_predictions_of_an_oste_without_a_branch_are_no_teacher(tmp_path: Path) -> None:
    data = toy_data(tmp_path)
    toy_networks.write_oste(data.oste, branch=False)
    with pytest.raises(UserError) as caught:
        train_student(tmp_path)
    assert caught.value.where == "distill.stage2.kl.teacher"
    assert "it was not trained (train.enabled: false)" in str(caught.value)
