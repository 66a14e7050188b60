"""Students with teachers: what teaches whom, when it begins, and that a stop changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from wsss.distill.students import DistillSettings, make_student, make_task
from wsss.distill.teacher import OsteTeacher

from tests import toy_oste
from tests.helpers import CLASSES, run_two_processes, tree
from tests.toy_distill import BOUNDARY, SETTINGS, STEPS, ToyStore, altered, train_student, write_oste
from wsss.core.errors import IntegrityError, InterruptedStage, UserError
from wsss.data.index import Index
from wsss.data.samples import Batch, PseudoImages
from wsss.data.tables import history_csv
from wsss.distill.data import TaughtImages
from wsss.distill.step import FollowLabels, FollowTeacher
from wsss.models.checkpoint import NetworkCard, load_network, save_network
from wsss.models.student import Student
from wsss.training.loop import fit

TEACHERS = ("frozen", "ema", "mutual")
LOSSES = ["seg_background", "seg_foreground", "tags", "feature_fine", "feature_coarse", "corr", "kl", "cam", "energy"]
NO_FEATURES = {"stage1__enabled": False}
LABELS_ALONE = {"tags__enabled": False, "stage1__enabled": False, "stage2__enabled": False}


def finish(folder: Path, settings: DistillSettings = SETTINGS) -> tuple[bytes, str, Any]:
    """(bytes of the student's file, history as CSV, bytes of the masks by epoch)."""
    history, _ = train_student(folder, settings)
    return (folder / "student.pt").read_bytes(), history_csv(history), tree(folder / "epochs")


def task_of(folder: Path, settings: DistillSettings = SETTINGS) -> tuple[FollowTeacher, Batch]:
    """A task at its beginning, and a batch of its first epoch."""
    photos = toy_oste.toy_photos(folder / "photos")
    oste = folder / "oste.pt"
    if not oste.exists():
        write_oste(oste)
    index = Index(CLASSES, tuple(photos.records))
    threshold = settings.tags.threshold if settings.tags.enabled else None
    shape = {"channels": settings.channels, "dropout": settings.dropout, "tag_threshold": threshold}
    card = NetworkCard("student", settings.backbone, shape, index.classes, "random")
    student = make_student(card, oste, index, 0, settings)
    task = make_task(student, card, oste, index, 0, len(photos.records), settings)
    return task, batch_of(folder, settings, 0)


def batch_of(folder: Path, settings: DistillSettings, epoch: int) -> Batch:
    photos = toy_oste.toy_photos(folder / "photos")
    strong = settings.ema.strong if settings.averages else None
    crops = TaughtImages(photos, ToyStore(photos), 3, 0, settings.augment, strong, settings.stage1.epochs)
    items = [crops[epoch, number] for number in (0, 1, 3, 4)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    return batch | {"image": batch["image"].float()}


def backward(task: FollowTeacher, batch: Batch) -> dict[str, float]:
    terms = task.terms(task.network, batch)
    sum(weight * terms[name].mean() for name, weight in task.weights.items()).backward()  # type: ignore[union-attr]
    return {name: term.mean().item() for name, term in terms.items()}


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("stop_after", [1, BOUNDARY, BOUNDARY + 1, 5])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(tmp_path: Path, teacher: str, stop_after: int) -> None:
    """In an epoch, at its end where stage 2 begins, and after that."""
    settings = altered(teacher=teacher)
    undisturbed = finish(tmp_path / "whole", settings)
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        train_student(tmp_path / "part", settings, stop_after=stop_after)
    torch.manual_seed(99)  # whatever happened before
    assert finish(tmp_path / "part", settings) == undisturbed


@pytest.mark.parametrize("teacher", ["ema", "mutual"])
def test_stopped_at_every_third_step_equals_undisturbed(tmp_path: Path, teacher: str) -> None:
    settings = altered(teacher=teacher)
    undisturbed = finish(tmp_path / "whole", settings)
    for _ in range(2):
        with pytest.raises(InterruptedStage):
            train_student(tmp_path / "part", settings, stop_after=3)
    assert finish(tmp_path / "part", settings) == undisturbed


def test_history_holds_every_loss_and_stage_two_begins_when_it_should(tmp_path: Path) -> None:
    for teacher in TEACHERS:
        history, task = train_student(tmp_path / teacher, altered(teacher=teacher))
        assert task is not None
        own = {"frozen": [], "ema": ["to_background", "to_class", "to_unsure", "filled"], "mutual": []}[teacher]
        second = [f"second_{name}" for name in LOSSES] if teacher == "mutual" else []
        assert list(history[0]) == ["epoch", "lr", "loss", *LOSSES, *second, *own, "grad_norm"]
        for row in history:
            assert row["loss"] == pytest.approx(sum(row[name] for name in (*LOSSES, *second)), rel=1e-5)
            begun = row["epoch"] > 1
            for name in ("kl", "cam", "energy"):
                assert (row[name] > 0) is begun
            assert row["feature_fine"] > 0
            assert row["corr"] != 0
        assert task.epochs == [0, 0, 1, 1, 2, 2, 3, 3]


def test_first_epochs_are_the_same_for_every_teacher(tmp_path: Path) -> None:
    rows = [train_student(tmp_path / teacher, altered(teacher=teacher))[0][0] for teacher in TEACHERS]
    for row in rows[1:]:
        assert all(row[name] == rows[0][name] for name in LOSSES)


def test_without_keep_features_end_where_predictions_begin(tmp_path: Path) -> None:
    history, _ = train_student(tmp_path, altered(stage1__keep=False))
    assert [row["feature_coarse"] > 0 for row in history] == [True, False, False, False]
    assert [row["kl"] > 0 for row in history] == [False, True, True, True]


def test_boundary_at_zero_lets_both_act_from_the_start(tmp_path: Path) -> None:
    for teacher in TEACHERS:
        history, _ = train_student(tmp_path / teacher, altered(teacher=teacher, stage1__epochs=0))
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
    task, batch = task_of(tmp_path, altered(**{switch: False}, stage1__epochs=0))
    assert list(task.weights) == [name for name in LOSSES if name not in SWITCHES[switch]]
    assert list(task.terms(task.network, batch)) == list(task.weights)


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("switch", SWITCHES)
def test_learns_without_any_one_part_in_both_stages(tmp_path: Path, switch: str, teacher: str) -> None:
    settings = altered(teacher=teacher, **{switch: False})
    task, before = task_of(tmp_path, settings)
    for batch in (before, batch_of(tmp_path, settings, 1)):
        values = backward(task, batch)
        assert all(np.isfinite(value) for value in values.values())
    assert all(values[name] != 0 for name in task.weights)


def test_every_part_has_its_own_weight(tmp_path: Path) -> None:
    task, _ = task_of(tmp_path)
    assert task.weights == dict(zip(LOSSES, [1.0, 1.0, 0.6, 0.5, 0.5, 0.3, 0.7, 0.4, 0.2], strict=True))


@pytest.mark.parametrize("init", ["pretrained", "oste"])
@pytest.mark.parametrize("teacher", TEACHERS)
def test_all_off_is_the_training_on_labels_alone_to_the_bit(tmp_path: Path, init: str, teacher: str) -> None:
    """Against the loop with plain labels and the plain student."""
    settings = altered(**LABELS_ALONE, init=init, teacher=teacher)
    history, taught = train_student(tmp_path, settings)
    assert taught is None
    photos = toy_oste.toy_photos(tmp_path / "photos")
    index = Index(CLASSES, tuple(photos.records))
    card = NetworkCard(
        "student", settings.backbone, {"channels": 32, "dropout": 0.3, "tag_threshold": None}, CLASSES, "random"
    )
    student = make_student(card, tmp_path / "oste.pt", index, 0, settings)
    dataset = PseudoImages(photos, ToyStore(photos), 0, settings.augment)
    ids = [record.id for record in photos.records]
    (tmp_path / "plain").mkdir()
    plain = fit(FollowLabels(student, True), dataset, ids, 0, settings.optim, tmp_path / "plain", "distill")
    assert list(plain[0]) == ["epoch", "lr", "loss", "seg_background", "seg_foreground", "grad_norm"]
    assert history_csv(history) == history_csv(plain)
    save_network(tmp_path / "plain.pt", student, card)
    assert (tmp_path / "student.pt").read_bytes() == (tmp_path / "plain.pt").read_bytes()


def test_saved_student_has_no_projections_and_loads_as_any_other(tmp_path: Path) -> None:
    for teacher in TEACHERS:
        train_student(tmp_path, altered(teacher=teacher))
        network, card = load_network(tmp_path / "student.pt", "student", CLASSES)
        assert isinstance(network, Student)
        assert "UPPER BOUND" not in card.weights


@pytest.mark.parametrize("teacher", TEACHERS)
def test_gradients_reach_students_and_projections_and_never_a_teacher(tmp_path: Path, teacher: str) -> None:
    settings = altered(teacher=teacher, stage1__epochs=0)
    task, batch = task_of(tmp_path, settings)
    before = {name: tensor.clone() for name, tensor in task.oste.network.state_dict().items()}
    values = backward(task, batch)
    assert all(np.isfinite(value) for value in values.values())
    for name, parameter in task.network.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, name
    grads = {name for name, p in task.network.named_parameters() if p.grad is not None and p.grad.any()}
    for pupil in range(len(task.prefixes)):
        for part in ("fine.weight", "coarse.weight", "student.head.weight"):
            assert f"pupils.{pupil}.{part}" in grads
    teachers = [task.oste.network, *([task.average.network] if task.average else [])]
    for network in teachers:
        assert not network.training
        assert all(not p.requires_grad and p.grad is None for p in network.parameters())
    for name, tensor in task.oste.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_mutual_targets_carry_no_gradient_across(tmp_path: Path) -> None:
    """KL alone: the first student's loss says nothing to the second."""
    task, batch = task_of(tmp_path, altered(teacher="mutual", stage1__epochs=0))
    terms = task.terms(task.network, batch)
    assert terms["kl"].total.item() != terms["second_kl"].total.item()
    terms["kl"].mean().backward()
    reached = [name for name, p in task.network.named_parameters() if p.grad is not None and p.grad.any()]
    assert reached
    assert all(name.startswith("pupils.0.") for name in reached)


def test_second_student_has_another_head_and_the_first_is_saved(tmp_path: Path) -> None:
    task, _ = task_of(tmp_path, altered(teacher="mutual", init="oste"))
    first, second = (pupil.student for pupil in task.network.pupils)
    assert not torch.equal(first.head.weight, second.head.weight)
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(tensor, second.backbone.state_dict()[name])
    history, trained = train_student(tmp_path / "run", altered(teacher="mutual"))
    saved, _ = load_network(tmp_path / "run" / "student.pt", "student", CLASSES)
    assert trained is not None
    for name, tensor in trained.network.pupils[0].student.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name])
    assert history[-1]["kl"] < history[1]["kl"]  # they come to agree


def test_student_that_is_its_teacher_has_no_feature_loss(tmp_path: Path) -> None:
    """The same backbone at the same stride, projections that start as the identity."""
    task, batch = task_of(tmp_path, altered(init="oste", augment__jitter=0.0))
    terms = task.terms(task.network, batch)
    for name in ("feature_fine", "feature_coarse"):
        assert terms[name].mean().item() == pytest.approx(0.0, abs=1e-6)
    elsewhere, _ = task_of(tmp_path, altered(init="pretrained"))
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
    task, batch = task_of(tmp_path, altered(backbone=student, stage1__epochs=0))
    values = backward(task, batch)
    assert all(np.isfinite(value) and value != 0 for value in values.values())
    for projection in (task.network.pupils[0].fine, task.network.pupils[0].coarse):
        assert projection.weight.grad.any()


def test_student_of_another_architecture_cannot_start_as_oste(tmp_path: Path) -> None:
    write_oste(tmp_path / "oste.pt", backbone="resnet38d", stride=8, width=0.125)
    with pytest.raises(UserError, match=r"distill\.init: OSTE is a resnet38d and the student a tiny"):
        train_student(tmp_path, altered(init="oste"))


def test_one_pass_of_oste_gives_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = task_of(tmp_path, altered(stage1__epochs=0))
    network, calls = task.oste.network, []
    network.backbone.register_forward_hook(lambda *_: calls.append(torch.is_inference_mode_enabled()))
    backward(task, batch)
    assert calls == [True]
    lesson = task.oste.teach(batch["image"])
    with torch.no_grad():
        features = network.backbone(batch["image"])
        expected = network(batch["image"], (1.0,))
    torch.testing.assert_close(lesson.logits, expected.segmentation)
    torch.testing.assert_close(lesson.fine, features[1])
    torch.testing.assert_close(lesson.coarse, features[3])
    fused = network.fusion(features, expected.cams.multiscale, expected.cams.multiscale)
    torch.testing.assert_close(lesson.cams, fused)
    assert not any(part.requires_grad or part.is_inference() for part in lesson)


def test_oste_is_not_asked_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    teach = OsteTeacher.teach

    def count(self: OsteTeacher, images: torch.Tensor) -> Any:
        asked.append(1)
        return teach(self, images)

    monkeypatch.setattr(OsteTeacher, "teach", count)
    train_student(tmp_path / "a", altered(teacher="ema", stage1__keep=False, stage2__cam__enabled=False))
    assert len(asked) == BOUNDARY
    train_student(tmp_path / "b", altered(**NO_FEATURES))
    assert len(asked) == BOUNDARY + STEPS - BOUNDARY


def test_crops_without_labels_teach_nothing_by_labels(tmp_path: Path) -> None:
    task, batch = task_of(tmp_path, altered(teacher="ema", stage1__epochs=0))
    unknown = batch | {"label": torch.full_like(batch["label"], 255)}
    terms = task.terms(task.network, unknown)
    for name in ("seg_background", "seg_foreground", "to_background", "to_class", "to_unsure"):
        assert terms[name].total.item() == 0.0
    (terms["seg_background"].mean() + terms["seg_foreground"].mean()).backward()
    assert all(p.grad is None or not p.grad.any() for p in task.network.parameters())
    assert terms["kl"].total.item() > 0  # the teacher still does


def test_pixel_pairs_belong_to_the_photo_and_the_epoch(tmp_path: Path) -> None:
    task, batch = task_of(tmp_path)
    points = task.points(batch, 9)
    assert points.shape == (4, 2, 9, 2)
    reordered = {name: tensor.flip(0) for name, tensor in batch.items()}
    assert torch.equal(task.points(reordered, 9), points.flip(0))
    assert not torch.equal(task.points(batch | {"epoch": batch["epoch"] + 1}, 9), points)
    assert len({float(value) for value in points.flatten()}) == points.numel()


def test_average_teaches_on_the_weak_view_and_the_student_sees_the_strong_one(tmp_path: Path) -> None:
    settings = altered(teacher="ema")
    task, before = task_of(tmp_path, settings)
    assert "strong" not in before  # stage 1
    after = batch_of(tmp_path, settings, 1)
    assert after["strong"].shape == after["image"].shape
    assert task.average is not None
    seen: dict[str, torch.Tensor] = {}
    task.average.network.backbone.register_forward_pre_hook(lambda _, given: seen.update(teacher=given[0]))
    task.network.pupils[0].student.backbone.register_forward_pre_hook(lambda _, given: seen.update(student=given[0]))
    task.terms(task.network, before)
    assert torch.equal(seen["student"], before["image"])
    assert "teacher" not in seen
    task.terms(task.network, after)
    assert torch.equal(seen["student"], after["strong"].float())
    assert torch.equal(seen["teacher"], after["image"])


def test_relabelled_pixels_are_counted_and_used(tmp_path: Path) -> None:
    history, _ = train_student(tmp_path, altered(teacher="ema"))
    assert all(row["to_background"] == row["to_class"] == row["to_unsure"] == 0 for row in history[:1])
    changed = [row["to_background"] + row["to_class"] + row["to_unsure"] for row in history[1:]]
    assert all(0 < share < 1 for share in changed)
    without, _ = train_student(tmp_path / "without", altered(teacher="ema", ema__relabel__enabled=False))
    assert "to_class" not in without[0]
    assert without[1]["seg_foreground"] != history[1]["seg_foreground"]


def test_what_a_crop_shows_beside_its_photo_is_never_labelled(tmp_path: Path) -> None:
    task, _ = task_of(tmp_path, altered(teacher="ema", ema__relabel__fill=True))
    inside = torch.zeros(1, 8, 8, dtype=torch.bool)
    inside[..., :6] = True
    batch = {"label": torch.full((1, 8, 8), 255, dtype=torch.uint8), "confidence": torch.zeros(1, 8, 8)}
    batch |= {"inside": inside, "tags": torch.ones(1, len(CLASSES) - 1), "image": torch.zeros(1, 3, 8, 8)}
    logits = torch.zeros(1, len(CLASSES), 8, 8)
    logits[:, 0] = 20.0  # background, for sure
    corrected, changes = task.relabelled(batch, logits)
    assert torch.equal(corrected["label"] == 0, inside)
    assert torch.equal(corrected["confidence"] > 0, inside)
    assert (float(changes["filled"].total), float(changes["filled"].weight)) == (48, 48)


def test_labels_that_a_crf_corrected_are_used(tmp_path: Path) -> None:
    plain, _ = train_student(tmp_path, altered(teacher="ema"))
    smooth, _ = train_student(tmp_path / "crf", altered(teacher="ema", ema__relabel__crf__enabled=True))
    assert smooth[0] == plain[0]  # nothing is relabelled in stage 1
    assert smooth[1]["seg_foreground"] != plain[1]["seg_foreground"]
    assert all(row["filled"] == 0 for row in smooth)
    filled, _ = train_student(tmp_path / "fill", altered(teacher="ema", ema__relabel__fill=True))
    assert all(0 < row["filled"] < 1 for row in filled[1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage1__epochs": 4}, r"distill\.stage1\.epochs: found 4 of 4 epochs, so that stage 2 never begins"),
        # Tags alone teach no masks.
        ({"seg__enabled": False, "stage1__enabled": False}, r"distill: no loss acts in epoch 1"),
        (
            {"seg__enabled": False, "stage1__keep": False, "stage2__enabled": False},
            r"distill: no loss acts in epoch 2",
        ),
        ({"seg__weight": 0.0, **LABELS_ALONE}, r"distill: no loss acts in epoch 1"),
    ],
)
def test_epochs_without_anything_to_learn_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_student(tmp_path, altered(**changes))


def test_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    write_oste(tmp_path / "oste.pt", classes=("background", "Kuh", "cat", "horse"))
    with pytest.raises(IntegrityError, match=r"missing dog; extra horse"):
        train_student(tmp_path)
    train_student(tmp_path, altered(**LABELS_ALONE))  # nobody asks it anything


SCRIPT = """
import sys, torch
from pathlib import Path
from tests.helpers import tree
from tests.toy_distill import altered, train_student
from wsss.numeric.device import set_threads
set_threads(1)
changes = {"teacher": sys.argv[2], "dropout": 0.0, "optim__lr": 0.0005}
history, task = train_student(Path(sys.argv[1]), altered(**changes))
torch.save([task.network.state_dict(), history], Path(sys.argv[1]) / "result.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize("teacher", TEACHERS)
def test_two_processes_equal_one(tmp_path: Path, teacher: str) -> None:
    run_two_processes(SCRIPT, tmp_path, teacher)
    history, whole = train_student(tmp_path / "one", altered(teacher=teacher, dropout=0.0, optim__lr=0.0005))
    assert whole is not None
    # Two students answer each other's rounding, and a label near a threshold may fall either way.
    tolerance = 1e-6 if teacher == "frozen" else 1e-5
    first, second = (torch.load(tmp_path / rank / "result.pt", weights_only=True) for rank in "01")
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(first[0][name], second[0][name]), name
        assert (first[0][name] - tensor).abs().max() <= tolerance, name
    for ours, theirs in zip(first[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
