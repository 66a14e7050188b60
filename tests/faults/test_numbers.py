"""Rows 28, 29, 30, 32, 33: numbers that silently turn a whole run into background."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import CLASSES
from tests.toy_evaluation import WITHOUT_CRF, Project, run_stage
from tests.toy_labels import ToyLabels
from tests.toy_mixtures import GMM
from tests.toy_training import OPTIM, ToyTask, train_toy
from wsss.core.errors import IntegrityError, UserError, WsssError
from wsss.core.folders import publish
from wsss.core.stage import Stage
from wsss.correct.fixed import FixedSettings, fixed_pseudo_label
from wsss.correct.settings import CorrectSettings
from wsss.correct.stage import CorrectSummary, make_pseudo_labels, summarise
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.data.samples import Batch
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.models.checkpoint import read_checkpoint, save_network
from wsss.models.oste import load_oste
from wsss.models.student import Student
from wsss.stores.cams import FORMAT, Cams, CamStore, put_cams
from wsss.stores.labels import PseudoStore
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer
from wsss.training import resume

CRF = PUBLISHED.model_copy(update={"iterations": 5})
WITH = FixedSettings(gamma=4.0, alpha=0.5, crf=CRF)
WITHOUT = FixedSettings(gamma=4.0, alpha=0.5, crf=None)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")


# 28: a crop in which every pixel is 255


def test_28_crop_without_labels_adds_exactly_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 8, 8, generator=generator, requires_grad=True)
    labels = torch.randint(0, 4, (3, 8, 8), generator=generator)
    labels[1] = 255
    confidence = torch.rand(3, 8, 8, generator=generator)
    terms = balanced_cross_entropy(logits, labels, confidence)
    alone = balanced_cross_entropy(logits[[0, 2]], labels[[0, 2]], confidence[[0, 2]])
    for term, expected in zip(terms, alone, strict=True):
        assert term.total.item() == pytest.approx(expected.total.item(), rel=1e-6)
        assert term.weight.item() == pytest.approx(expected.weight.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(sum(term.mean() for term in terms), logits)
    assert not gradient[1].any()
    assert torch.isfinite(gradient).all()
    assert gradient[0].any()


class NothingKnown(ToyLabels):
    def __getitem__(self, key: tuple[int, int]) -> Batch:
        batch = super().__getitem__(key)
        return batch | {"label": torch.full_like(batch["label"], 255)}


def test_28_training_on_nothing_but_255_changes_no_weight(tmp_path: Path) -> None:
    task = ToyTask()
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    history = train_toy(task, tmp_path, OPTIM.model_copy(update={"weight_decay": 0.0}), NothingKnown())
    assert [row["loss"] for row in history] == [0.0, 0.0, 0.0]
    assert [row["grad_norm"] for row in history] == [0.0, 0.0, 0.0]
    for name, tensor in task.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


# 29: a loss that is not finite


def test_29_nan_loss_stops_in_one_step_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    task = ToyTask(bad_step=6)
    with pytest.raises(UserError) as caught:
        train_toy(task, tmp_path)
    assert task.steps == 6
    photos = ", ".join(f"photo {number}" for number in task.numbers[-1])
    rate = 0.02 * (1 - 5 / 9) ** 0.9
    assert str(caught.value) == (
        "error: distill step 6 (epoch 2): loss, seg_foreground, grad_norm not finite "
        f"at learning rate {rate:.3g}, photos {photos}\n"
        "fix: lower distill.optim.lr; the last good checkpoint is kept in the scratch folder"
    )
    kept = read_checkpoint(tmp_path / resume.FILE, resume.FORMAT, resume.VERSION)
    assert kept["step"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in kept["network"].values())
    assert any((task.network.state_dict()[name] != tensor).any() for name, tensor in kept["network"].items())
    healthy = ToyTask()
    train_toy(healthy, tmp_path)
    assert healthy.steps == 4


@pytest.mark.parametrize("bad_step", [1, 9])
def test_29_first_and_last_step_are_watched_too(tmp_path: Path, bad_step: int) -> None:
    with pytest.raises(UserError, match=f"distill step {bad_step} "):
        train_toy(ToyTask(bad_step=bad_step), tmp_path)
    assert (tmp_path / resume.FILE).exists() == (bad_step > 1)


def test_29_gradient_that_overflows_stops_although_the_loss_is_finite(tmp_path: Path) -> None:
    task = ToyTask()
    list(task.network.parameters())[-1].register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(UserError, match=r"step 1 \(epoch 1\): grad_norm not finite"):
        train_toy(task, tmp_path)


# 30: CAMs that are zero or constant


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
@pytest.mark.parametrize("value", [0.0, 0.7, 1.0])
def test_30_map_without_signal_labels_nothing_and_is_reported(settings: FixedSettings, value: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    made = fixed_pseudo_label(image, np.full((1, 2, 3), value, np.float32), np.array([4]), settings)
    assert (made.label == 255).all()
    assert not made.confidence.any()
    assert made.no_signal == (4,)


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_30_other_classes_keep_their_labels_but_nothing_is_called_background(settings: FixedSettings) -> None:
    image = np.full((32, 48, 3), 90, np.uint8)
    image[:, 24:] = 200
    cams = np.zeros((2, 4, 6), np.float32)
    cams[1, :, 3:] = 1.0
    both = fixed_pseudo_label(image, cams, np.array([4, 9]), settings)
    alone = fixed_pseudo_label(image, cams[1:], np.array([9]), settings)
    assert both.no_signal == (4,)
    assert alone.no_signal == ()
    assert set(np.unique(alone.label)) >= {0, 9}
    assert np.array_equal(both.label == 9, alone.label == 9)
    assert not (both.label == 0).any()


@pytest.mark.parametrize("span", np.geomspace(2e-4, 5e-3, 40))
def test_30_map_that_hardly_varies_is_either_used_or_reported(span: float) -> None:
    """Enlarging a map shrinks its range; a class must not fall between "has a signal" and "is used"."""
    cams = np.full((1, 3, 3), 1.0 - span, np.float32)
    cams[0, 1, 1] = 1.0
    made = fixed_pseudo_label(np.zeros((48, 48, 3), np.uint8), cams, np.array([4]), WITHOUT)
    assert (made.no_signal == (4,)) == (not (made.label == 4).any())
    assert not (made.no_signal and (made.label == 0).any())


MAPS = {
    "constant": np.full((1, 2, 3), 0.5, np.float32),
    "good": np.array([[[1, 0, 0], [1, 0, 0]]], np.float32),
    "nearly constant": np.array([[[1, 1, 1], [1, 1, 0.9995]]], np.float32),
    "untagged": np.zeros((0, 2, 3), np.float32),
    "zero": np.zeros((1, 2, 3), np.float32),
}


GUARDS = {"few_scores": ("good",), "no_signal": ("constant", "nearly constant", "zero")}


def cam_task(path: Path, shard: Shard, meta: StoreMeta) -> None:
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            count = len(MAPS[name])
            put_cams(file, name, Cams(MAPS[name], np.ones(count), np.arange(1, count + 1), (32, 48)))


@pytest.mark.parametrize("method", ["fixed", "gmm"])
def test_30_whole_stage_counts_them(tmp_path: Path, method: Literal["fixed", "gmm"]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "x.png")
    digest = hashlib.sha256((tmp_path / "x.png").read_bytes()).hexdigest()
    records = tuple(
        Record(name, "train", "x.png", None, (1,) * len(maps), 32, 48, digest) for name, maps in MAPS.items()
    )
    stage = Stage("correct", "f" * 16, tmp_path)
    meta = StoreMeta(FORMAT, CLASSES, {"stride": 16})
    publish(build_store(stage, meta, plan_shards(list(MAPS), 9), cam_task, ()), tmp_path / "cams")
    photos, cams = Photos(tmp_path, 1.0, records), CamStore(tmp_path / "cams")
    settings = CorrectSettings(method=method, fixed=WITHOUT, gmm=GMM)
    correcting = Stage("correct", "f" * 16, tmp_path / "scratch")
    store = make_pseudo_labels(correcting, Index(CLASSES, records), photos, cams, settings, 9)
    made = summarise(store, photos, cams, len(CLASSES) - 1)
    labelled = [store.label(name) != 255 for name in MAPS]
    assert made == CorrectSummary(
        coverage=float(np.mean(labelled)),
        empty=("constant", "nearly constant", "zero"),
        no_signal=("constant", "nearly constant", "zero"),
        guards={} if method == "fixed" else GUARDS,
        tagged=(len(MAPS) - 1, 0, 0),
        labelled_with=(len(MAPS) - 4, 0, 0),
    )
    assert 0.2 < made.coverage < 0.4
    assert not store.label("untagged").any()


def nan_task(path: Path, shard: Shard, meta: StoreMeta) -> None:
    with shard_writer(path, shard, meta) as file:
        put_cams(file, "x", Cams(np.ones((1, 2, 3)), np.ones(1), np.array([1]), (32, 48)))
        file["x/scores"][0, 0, 0] = np.nan


def test_30_cam_with_nan_is_refused_when_it_is_read(tmp_path: Path) -> None:
    meta = StoreMeta(FORMAT, CLASSES, {"stride": 16})
    publish(
        build_store(Stage("cams", "f" * 16, tmp_path), meta, plan_shards(["x"], 1), nan_task, ()), tmp_path / "cams"
    )
    with pytest.raises(IntegrityError, match="CAM of 'x' is not finite\nfix: run the cams stage again"):
        CamStore(tmp_path / "cams").read("x")


# 32: what pydensecrf would turn into silent nonsense

IMAGE = np.zeros((8, 12, 3), np.uint8)
SCORES = np.full((2, 8, 12), 0.5, np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_32_one_bad_score_is_refused(bad: float) -> None:
    scores = SCORES.copy()
    scores[1, 3, 3] = bad
    with pytest.raises(WsssError) as caught:
        dense_crf(IMAGE, scores, CRF)
    assert str(caught.value) == (
        "error: dense CRF: scores hold NaN or Inf\nfix: check the CAMs or the network these scores come from"
    )


@pytest.mark.parametrize(
    ("image", "scores"),
    [
        (IMAGE, SCORES.transpose(1, 2, 0)),
        (IMAGE, SCORES.transpose(0, 2, 1)),
        (IMAGE, SCORES[0]),
        (IMAGE, SCORES[None]),
        (IMAGE.transpose(2, 0, 1), SCORES),
        (IMAGE.transpose(1, 0, 2), SCORES),
        (IMAGE[..., 0], SCORES),
        (np.zeros((8, 12, 4), np.uint8), SCORES),
        (IMAGE.astype(np.float32), SCORES),
    ],
)
def test_32_other_layouts_are_refused(image: np.ndarray, scores: np.ndarray) -> None:
    with pytest.raises(WsssError, match=r"expected uint8 \(H, W, 3\) and \(C, H, W\)"):
        dense_crf(image, scores, CRF)


@pytest.mark.parametrize("count", [0, 1])
def test_32_fewer_than_two_classes_are_refused(count: int) -> None:
    with pytest.raises(WsssError, match=f"found {count} class, expected at least 2"):
        dense_crf(IMAGE, SCORES[:count], CRF)


def test_32_scores_of_zero_and_one_are_fine() -> None:
    scores = np.zeros((3, 8, 12), np.float32)
    scores[1] = 1.0
    posterior = dense_crf(IMAGE, scores, CRF)
    assert np.isfinite(posterior).all()
    assert (posterior.argmax(0) == 1).all()


# 33: a student that says the same everywhere


def collapse(student: Student) -> None:
    student.head.weight.zero_()
    assert student.head.bias is not None
    student.head.bias.copy_(torch.tensor([0.0, 0.0, 50.0, 0.0]))


@pytest.mark.parametrize("masks", [True, False])
def test_33_collapsed_student_is_said_aloud_with_masks_or_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    project = Project(masks)
    project.write_student(collapse)
    done = run_stage()
    assert done.exit_code == 0, done.stderr
    store = PseudoStore(Path("pseudo"))
    values = np.concatenate([store.label(record.id).ravel() for record in project.index.split("val")])
    usual = 100 * (values == 2).sum() / (values != 255).sum()
    assert (
        "warning: predictions: student ms+flip+crf has collapsed on val: 100.0 % of all pixels are cat "
        f"({usual:.1f} % in the pseudo-labels); never predicted, though tagged: Kuh, dog\n"
        "fix: look at the pseudo-labels in the gallery; if they are good, lower distill.optim.lr or raise "
        "distill.optim.epochs, then: dvc repro\n"
    ) in done.stderr
    assert "warning: predictions: oste" not in done.stderr
    with Path("reports/sources.csv").open(encoding="utf-8", newline="") as file:
        marked = {row["source"]: row["collapsed"] for row in csv.DictReader(file) if row["collapsed"]}
    assert marked == ({"oste ms+flip+crf": "no", "student ms+flip+crf": "yes"} if masks else {})


def test_33_collapsed_oste_has_its_own_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path / "scratch"))
    Project(masks=False)
    oste, card = load_oste(Path("oste.pt"), CLASSES)
    with torch.no_grad():
        oste.segmentation[-1].weight.zero_()
        oste.segmentation[-1].bias.copy_(torch.tensor([9.0, 0.0, 0.0, 0.0]))
    save_network(Path("oste.pt"), oste, card)
    done = run_stage(WITHOUT_CRF)
    assert done.exit_code == 0, done.stderr
    assert (
        "warning: predictions: oste ms+flip has collapsed on val: 100.0 % of all pixels are background" in done.stderr
    )
    assert "fix: lower train.optim.lr or raise train.optim.epochs, then: dvc repro\n" in done.stderr
