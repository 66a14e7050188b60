"""One step of OSTE term by term against Eqs (14)–(22) by hand, and its training however often it is stopped."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.helpers import CLASSES, run_two_processes
from tests.toy_oste import (
    SETTINGS,
    SHARED,
    TAGS,
    altered,
    toy_classifier,
    toy_network,
    toy_photos,
    train_toy_oste,
    without_crf,
)
from wsss.core.errors import InterruptedStage, UserError
from wsss.core.stage import Stage
from wsss.correct.fixed import fixed_pseudo_label
from wsss.data.index import Index
from wsss.data.samples import Batch, WeakImages
from wsss.data.tables import history_csv
from wsss.data.transforms import PAD_COLOUR, AugmentSettings
from wsss.losses.segmentation import balanced_cross_entropy
from wsss.losses.term import Term
from wsss.models.backbones.base import FrozenBatchNorm2d
from wsss.models.checkpoint import read_checkpoint
from wsss.models.classifier import load_classifier
from wsss.models.oste import Oste, OsteOutput, load_oste
from wsss.training import oste, resume
from wsss.training.loop import make_learner, update
from wsss.training.oste import LearnEverything, TrainSettings
from wsss.training.sampling import Plan

CROP = 64
BATCH_TAGS = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])


def batch(epoch: int = 1) -> Batch:
    """Four crops of coloured blobs; the second lies partly beyond its photo."""
    generator = torch.Generator().manual_seed(0)
    small = 255 * torch.rand(4, 3, 8, 8, generator=generator)
    inside = torch.ones(4, CROP, CROP, dtype=torch.bool)
    inside[1, 40:] = False
    return {
        "number": torch.arange(4),
        "epoch": torch.full((4,), epoch),
        "image": F.interpolate(small, (CROP, CROP), mode="bilinear").round().byte(),
        "tags": BATCH_TAGS,
        "inside": inside,
    }


def one_step(settings: TrainSettings, items: Batch, network: Oste | None = None) -> tuple[dict[str, float], Oste]:
    """Values that the loop writes down, and the network afterwards. Evaluation mode, i.e. without dropout."""
    network = network or toy_network(settings).eval()
    task = LearnEverything(network, settings)
    return update(make_learner(network, settings.optim), task, items, 0.0), network


@torch.no_grad()
def output_of(settings: TrainSettings, items: Batch, network: Oste | None = None) -> OsteOutput:
    network = network or toy_network(settings).eval()
    output: OsteOutput = network(items["image"].float(), settings.scales)
    return output


# Every term by hand


def bce(logits: torch.Tensor) -> float:
    """Eq (14) over photos and classes."""
    losses = [
        math.log1p(math.exp(-x if tag else x))
        for x, tag in zip(logits.flatten().tolist(), BATCH_TAGS.flatten().tolist(), strict=True)
    ]
    return sum(losses) / len(losses)


def norm(maps: torch.Tensor) -> np.ndarray:
    """(N, K, P): each map divided by its peak, or by .1 where it has none to speak of."""
    flat = maps.double().flatten(2).numpy()
    return flat / np.maximum(flat.max(2, keepdims=True), 0.1)


def mae(merged: torch.Tensor, multiscale: torch.Tensor) -> float:
    """Eq (16) over present classes and positions."""
    return float(np.abs(norm(merged) - norm(multiscale))[BATCH_TAGS.numpy() > 0].mean())


def ecr(enhanced: torch.Tensor, original: torch.Tensor, hardest: float) -> float:
    values: list[float] = []
    for ours, clear, tags in zip(norm(enhanced), norm(original), BATCH_TAGS.numpy() > 0, strict=True):
        if tags.any():
            best = clear[tags].max(0)
            target = np.where((clear[tags] == best) & (best >= 1 - best), clear[tags], 0)
            distances = np.sort(np.abs(ours[tags] - target), axis=None)[::-1]
            values += distances[: max(1, round(hardest * distances.size))].tolist()
    return sum(values) / len(values)


def labels_of(settings: TrainSettings, items: Batch, enhanced: torch.Tensor) -> np.ndarray:
    """(N, H, W): the label of each crop by itself, 255 beyond the photo."""
    labels = []
    for image, maps, tags in zip(items["image"], enhanced, BATCH_TAGS, strict=True):
        present = np.flatnonzero(tags)
        photo = np.ascontiguousarray(image.permute(1, 2, 0))
        labels.append(fixed_pseudo_label(photo, maps[present].numpy(), present + 1, settings.enhance).label)
    return np.where(items["inside"].numpy(), np.stack(labels), 255)


def cross_entropy(logits: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Eq (17): means over background and over foreground pixels."""
    large = F.interpolate(logits.double(), (CROP, CROP), mode="bilinear", align_corners=False).numpy()
    likely = (
        np.log(np.exp(large).sum(1)) - np.take_along_axis(large, np.where(labels == 255, 0, labels)[:, None], 1)[:, 0]
    )
    return float(likely[labels == 0].mean()), float(likely[(labels > 0) & (labels < 255)].mean())


def energy(settings: TrainSettings, items: Batch, logits: torch.Tensor, labels: np.ndarray) -> float:
    """Eqs (18)–(21) by the matrix of all pairs of cells; a cell counts by its share of photo."""
    chosen, cells = settings.energy, CROP // settings.energy.stride
    shape = (cells, cells)
    scores = F.interpolate(logits.double(), shape, mode="bilinear", align_corners=False, antialias=True)
    inside = items["inside"].double().reshape(4, cells, chosen.stride, cells, chosen.stride).mean((2, 4)).numpy()
    assert inside.min() < 1  # some crop reaches beyond its photo
    total = 0.0
    for n, share in enumerate(inside.reshape(4, -1)):
        p = np.exp(scores[n].flatten(1).numpy().T)
        p /= p.sum(1, keepdims=True)
        colours = items["image"][n].double().reshape(3, cells, chosen.stride, cells, chosen.stride).mean((2, 4))
        places = np.stack(np.meshgrid(*[np.arange(cells)] * 2, indexing="ij")).reshape(2, -1).T * chosen.stride
        features = np.concatenate([places / chosen.sigma_xy, colours.flatten(1).numpy().T / chosen.sigma_rgb], 1)
        kernel = np.exp(-((features[:, None] - features[None]) ** 2).sum(2) / 2)
        weights = kernel * share / (kernel * share).sum(1, keepdims=True)
        np.fill_diagonal(weights, 0)
        centre = labels[n][chosen.stride // 2 :: chosen.stride, chosen.stride // 2 :: chosen.stride].ravel()
        gate = np.where(centre == 255, 1.0, 1 - p.max(1))
        total += float((share * gate * (weights * (1 - p @ p.T)).sum(1)).sum())
    return total / inside.sum()


def by_hand(settings: TrainSettings, items: Batch) -> dict[str, float]:
    """Weighted terms of one step after the warm-up."""
    output, weights = output_of(settings, items), settings.weights
    cams = output.cams
    assert cams is not None
    assert output.segmentation is not None
    labels = labels_of(settings, items, cams.enhanced)
    background, foreground = cross_entropy(output.segmentation, labels)
    values = {"cls": weights.cls * bce(output.logits)}
    if settings.expansion.enabled:
        for n in settings.expansion.tilings:
            values[f"cls_{n}"] = weights.tiles * bce(output.tiles[n].mean((2, 3)))
        values["mae"] = weights.mae * mae(cams.merged, cams.multiscale)
    if settings.fusion.enabled and settings.fusion.loss == "ecr":
        values["ecr"] = weights.ecr * ecr(cams.enhanced, cams.multiscale, settings.fusion.hardest)
    values |= {"seg_background": weights.seg * background, "seg_foreground": weights.seg * foreground}
    if settings.energy.enabled:
        values["energy"] = weights.energy * energy(settings, items, output.segmentation, labels)
    values["loss"] = sum(values.values())
    values["labelled"] = float((labels != 255).mean())
    values["unlabelled_crops"] = float(np.mean([(label == 255).all() for label in labels]))
    return values


VARIANTS: dict[str, tuple[TrainSettings, str]] = {
    "all": (SETTINGS, "cls cls_2 cls_4 mae ecr seg_background seg_foreground energy"),
    "without crf": (without_crf(), "cls cls_2 cls_4 mae ecr seg_background seg_foreground energy"),
    "sum": (
        altered(expansion={"merge": "sum", "tilings": (4,)}),
        "cls cls_4 mae ecr seg_background seg_foreground energy",
    ),
    "no expansion": (altered(expansion={"enabled": False}), "cls ecr seg_background seg_foreground energy"),
    "no fusion": (altered(fusion={"enabled": False}), "cls cls_2 cls_4 mae seg_background seg_foreground energy"),
    "fusion unlearnt": (altered(fusion={"loss": "none"}), "cls cls_2 cls_4 mae seg_background seg_foreground energy"),
    "no energy": (altered(energy={"enabled": False}), "cls cls_2 cls_4 mae ecr seg_background seg_foreground"),
    "baseline": (
        altered(
            without_crf(),
            expansion={"enabled": False},
            fusion={"enabled": False},
            energy={"enabled": False},
            scales=(1.0,),
        ),
        "cls seg_background seg_foreground",
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_terms_of_a_step_equal_those_by_hand(name: str) -> None:
    settings, columns = VARIANTS[name]
    expected = by_hand(settings, batch())
    found, _ = one_step(settings, batch())
    assert list(found) == ["loss", *columns.split(), "labelled", "unlabelled_crops", "grad_norm"]
    assert expected.keys() == found.keys() - {"grad_norm"}
    for term, value in expected.items():
        assert found[term] == pytest.approx(value, rel=2e-4, abs=1e-6), term
        assert value > 0 or term == "unlabelled_crops"
    assert 0.1 < found["labelled"] < 0.9


@pytest.mark.parametrize("name", VARIANTS)
def test_warm_up_trains_the_classification_terms_alone(name: str) -> None:
    settings, columns = VARIANTS[name]
    before = {key: tensor.clone() for key, tensor in toy_network(settings).state_dict().items()}
    after, _ = one_step(settings, batch(epoch=1))
    found, network = one_step(settings, batch(epoch=0))
    assert list(found) == list(after)
    trained = [column for column in columns.split() if column.startswith("cls")]
    for term in columns.split():
        assert found[term] == (pytest.approx(after[term]) if term in trained else 0.0)
    assert found["loss"] == pytest.approx(sum(found[term] for term in trained))
    assert (found["labelled"], found["unlabelled_crops"]) == (0.0, 0.0)
    assert math.isfinite(found["grad_norm"])
    for key, tensor in network.state_dict().items():
        if key.startswith(("fusion", "segmentation")):
            assert torch.equal(tensor, before[key]), key  # not even by weight decay
    assert not torch.equal(network.head.weight, before["head.weight"])


def test_gradient_of_the_loss_is_that_of_the_weighted_sum_of_the_terms() -> None:
    network = toy_network().eval()
    task, items = LearnEverything(network, SETTINGS), batch()
    items["image"] = items["image"].float()
    terms = task.terms(network, items)
    loss = sum(weight * terms[name].total / terms[name].weight for name, weight in task.weights.items())
    learning = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    names, parameters = zip(*learning, strict=True)
    expected = dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True))
    _, stepped = one_step(SETTINGS, batch())
    for name, parameter in stepped.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5, msg=name)


# Labels


class Labels:
    """What the segmentation branch is compared with, looked at on its way."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor) -> tuple[Term, Term]:
        self.seen.append(labels.clone())
        assert torch.equal(confidence, (labels != 255).float())
        return balanced_cross_entropy(logits, labels, confidence)


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> Iterator[Labels]:
    spy = Labels()
    monkeypatch.setattr(oste, "balanced_cross_entropy", spy)
    return spy


def test_labels_are_those_of_the_enhanced_map_and_255_beyond_the_photo(labels: Labels) -> None:
    one_step(SETTINGS, batch())
    cams = output_of(SETTINGS, batch()).cams
    assert cams is not None
    assert np.array_equal(labels.seen[0].numpy(), labels_of(SETTINGS, batch(), cams.enhanced))
    assert (labels.seen[0][1, 40:] == 255).all()
    assert (labels.seen[0][1, :40] != 255).any()


def test_samples_say_where_the_photo_ends(tmp_path: Path) -> None:
    photos = toy_photos(tmp_path)
    plain = AugmentSettings(crop=64, scale=(0.7, 1.0), flip=True, jitter=0.0)
    dataset = WeakImages(photos, 3, 0, plain)
    shares = []
    for number in range(len(TAGS)):
        item = dataset[3, number]
        assert int(item["epoch"]) == 3
        padded = (item["image"] == torch.tensor(PAD_COLOUR)[:, None, None]).all(0)
        assert not item["image"][:, ~item["inside"]].any() or padded[~item["inside"]].all()
        assert (padded & item["inside"]).float().mean() < 0.01
        shares.append(float(item["inside"].float().mean()))
    assert min(shares) < 0.9
    assert max(shares) == 1.0


def without_signal(network: Oste) -> Oste:
    """No class has a score above 0 anywhere, so no tagged crop gets a label: features are ≥ 0."""
    with torch.no_grad():
        network.head.weight.copy_(-network.head.weight.abs())
    return network


def test_28_batch_without_labels_adds_exactly_nothing_and_is_counted() -> None:
    """The untagged crop of the batch, all background, becomes a tagged one."""
    settings = altered(energy={"enabled": False}, fusion={"enabled": False})
    items = batch() | {"tags": BATCH_TAGS.clone().index_fill_(0, torch.tensor(2), 1.0)}
    found, network = one_step(settings, items, without_signal(toy_network(settings).eval()))
    assert (found["seg_background"], found["seg_foreground"]) == (0.0, 0.0)
    assert (found["labelled"], found["unlabelled_crops"]) == (0.0, 1.0)
    assert all(math.isfinite(value) for value in found.values())
    for parameter in network.segmentation.parameters():
        assert not parameter.grad.any()


def test_28_one_labelled_crop_counts_as_if_it_were_alone() -> None:
    settings = altered(energy={"enabled": False}, fusion={"enabled": False})
    found, network = one_step(settings, batch(), without_signal(toy_network(settings).eval()))
    assert (found["labelled"], found["unlabelled_crops"]) == (0.25, 0.75)
    assert found["seg_foreground"] == 0.0
    alone = {name: tensor[2:3] for name, tensor in batch().items()}
    expected, single = one_step(settings, alone, without_signal(toy_network(settings).eval()))
    assert found["seg_background"] == pytest.approx(expected["seg_background"], rel=1e-5)
    for ours, theirs in zip(network.segmentation.parameters(), single.segmentation.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


# The whole training


def finish(folder: Path, settings: TrainSettings = SETTINGS, **task: int) -> tuple[bytes, str]:
    """(bytes of the network's file, history as CSV)."""
    history, _ = train_toy_oste(folder, settings, **task)
    return (folder / "oste.pt").read_bytes(), history_csv(history)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WSSS_WORKERS", "0")
        patched.setenv("WSSS_DEVICE", "cpu")
        return finish(tmp_path_factory.mktemp("undisturbed"))


def test_training_learns_the_tags_and_then_the_labels(tmp_path: Path) -> None:
    still = {"scale": (1.0, 1.0), "jitter": 0.0, "flip": False}
    optim = {"epochs": 80, "lr": 0.02, "weight_decay": 0.0}
    history, task = train_toy_oste(tmp_path, altered(without_crf(), optim=optim, dropout=0.0, augment=still))
    assert task.steps == 160
    assert [row["epoch"] for row in history] == list(range(1, 81))
    last = {name: np.mean([row[name] for row in history[-4:]]) for name in ("cls", "seg_foreground")}
    assert last["cls"] < 0.92 * history[0]["cls"]
    assert last["seg_foreground"] < 0.75 * history[1]["seg_foreground"]
    network, card = load_oste(tmp_path / "oste.pt", CLASSES)
    assert isinstance(network, Oste)
    assert (card.backbone.output_stride, card.weights) == (16, "random")
    assert torch.equal(network.head.weight, task.network.head.weight)


def test_rows_of_the_warm_up_have_the_other_terms_as_zeros(undisturbed: tuple[bytes, str]) -> None:
    first, second, third, *_ = undisturbed[1].splitlines()
    header = first.split(",")
    late = {"mae", "ecr", "seg_background", "seg_foreground", "energy", "labelled"}
    for name, warm, after in zip(header, second.split(","), third.split(","), strict=True):
        assert (float(warm) == 0.0) == (name in late | {"unlabelled_crops"}), name
        assert float(after) > 0 or name == "unlabelled_crops"


@pytest.mark.parametrize("stop_after", [1, 2, 3, 8])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(
    tmp_path: Path, undisturbed: tuple[bytes, str], stop_after: int
) -> None:
    """Two steps an epoch, the first epoch is warm-up: stopped within it, at its end, after it, and at the very end."""
    with pytest.raises(InterruptedStage, match="SIGTERM"):
        finish(tmp_path, stop_after=stop_after)
    assert not (tmp_path / "oste.pt").exists()
    history, again = train_toy_oste(tmp_path)
    assert ((tmp_path / "oste.pt").read_bytes(), history_csv(history)) == undisturbed
    plan = Plan(0, len(TAGS), 4, 4)
    assert again.numbers == [plan.batch_at(step)[1] for step in range(stop_after, 8)]


def test_stopped_at_every_step_equals_undisturbed(tmp_path: Path, undisturbed: tuple[bytes, str]) -> None:
    for _ in range(8):
        with pytest.raises(InterruptedStage):
            finish(tmp_path, stop_after=1)
    assert finish(tmp_path) == undisturbed


def test_state_of_the_optimizer_is_continued_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the warm-up some parameters have no momentum yet."""
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    train_toy_oste(tmp_path / "whole")
    for stop_after in (1, 3):
        with pytest.raises(InterruptedStage):
            train_toy_oste(tmp_path / "part", stop_after=stop_after)
    train_toy_oste(tmp_path / "part")
    whole, part = ((tmp_path / name / "scratch" / resume.FILE).read_bytes() for name in ("whole", "part"))
    assert part == whole


def test_number_of_threads_for_the_labels_changes_nothing(
    tmp_path: Path, undisturbed: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oste, "workers", lambda: 3)
    assert finish(tmp_path) == undisturbed


def test_29_network_that_gives_nan_stops_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the CRF, which refuses NaN by itself and knows neither step nor photos."""
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    with pytest.raises(UserError) as caught:
        train_toy_oste(tmp_path, bad_step=5)
    numbers = Plan(0, len(TAGS), 4, 4).batch_at(4)[1]
    photos = ", ".join(f"photo {number}" for number in numbers)
    where, fix = str(caught.value).splitlines()
    assert where.startswith("error: train step 5 (epoch 3): loss, cls, cls_2, cls_4, mae")
    assert where.endswith(f" not finite at learning rate {0.01 * (1 - 4 / 8) ** 0.9:.3g}, photos {photos}")
    assert fix == "fix: lower train.optim.lr; the last good checkpoint is kept in the scratch folder"
    kept = read_checkpoint(tmp_path / "scratch" / resume.FILE, resume.FORMAT, resume.VERSION)
    assert kept["step"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in kept["network"].values())
    _, healthy = train_toy_oste(tmp_path)
    assert healthy.steps == 4


@pytest.mark.parametrize("bad_step", [1, 8])
def test_29_warm_up_and_last_step_are_watched_too(tmp_path: Path, bad_step: int) -> None:
    with pytest.raises(UserError, match=f"train step {bad_step} "):
        train_toy_oste(tmp_path, without_crf(), bad_step=bad_step)
    assert not (tmp_path / "oste.pt").exists()


# What it starts from


def start(folder: Path, monkeypatch: pytest.MonkeyPatch, settings: TrainSettings = SETTINGS) -> Oste:
    """The network as the first step would find it."""
    found: list[Oste] = []
    with monkeypatch.context() as patched:
        patched.setattr(oste, "fit", lambda task, *_: found.append(copy.deepcopy(task.network)) or [])
        train_toy_oste(folder, settings)
    return found[0]


def test_weights_of_the_classifier_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = start(tmp_path, monkeypatch)
    trained, card = load_classifier(toy_classifier(tmp_path / "again.pt"), CLASSES)
    assert (card.backbone.output_stride, network.stride) == (32, 16)
    ours, theirs = network.state_dict(), trained.state_dict()
    assert len(theirs) > 40
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name
    new = {name.split(".")[0] for name in ours.keys() - theirs.keys()}
    assert new == {"fusion", "segmentation"}
    assert network.training


def test_a_classifier_without_bias_stays_without(tmp_path: Path) -> None:
    train_toy_oste(tmp_path, bias=False)
    network, card = load_oste(tmp_path / "oste.pt", CLASSES)
    assert card.settings["bias"] is False
    assert not network.prior.requires_grad
    assert not network.prior.any()
    assert network.head.bias is not None
    assert not network.head.bias.any()


def test_new_parts_are_drawn_from_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    one = start(tmp_path / "one", monkeypatch)
    torch.manual_seed(2)
    other = start(tmp_path / "other", monkeypatch)
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    assert float(one.segmentation[0].weight.detach().std()) == pytest.approx(0.01, rel=0.1)


def test_frozen_parts_are_those_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = start(tmp_path / "free", monkeypatch, altered(freeze_bn=False))
    assert {name for name, p in free.named_parameters() if not p.requires_grad} == {"head.bias"}  # set by `centre`
    assert all(module.training for module in free.modules())
    frozen = start(tmp_path / "frozen", monkeypatch, altered(frozen_levels=2))
    norms = [module for module in frozen.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, FrozenBatchNorm2d) and not norm.training for norm in norms)
    learning = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert not any(name.startswith(("backbone.stem", "backbone.stages.c2", "backbone.stages.c3")) for name in learning)
    assert any(name.startswith("backbone.stages.c4") for name in learning)


def test_file_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    train_toy_oste(tmp_path, without_crf())
    photos = toy_photos(tmp_path / "photos")
    with pytest.raises(UserError, match="found an oste, expected a classifier"):
        oste.train(
            Stage("train", "f" * 16, tmp_path),
            Index(CLASSES, tuple(photos.records)),
            photos,
            tmp_path / "oste.pt",
            0,
            SETTINGS,
            tmp_path / "out.pt",
        )


# Settings


def test_a_warm_up_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train_toy_oste(tmp_path, altered(warmup_epochs=SETTINGS.optim.epochs))
    assert str(caught.value) == (
        f"error: train.warmup_epochs: found {SETTINGS.optim.epochs} of {SETTINGS.optim.epochs} epochs, "
        "so only the classifier would learn\n"
        f"fix: lower it below {SETTINGS.optim.epochs}"
    )


@pytest.mark.parametrize("cls", ["per_tile", "tile_max"])
def test_crop_off_the_grid_of_the_tiles_is_refused_before_anything_is_read(tmp_path: Path, cls: str) -> None:
    settings = altered(expansion={"cls": cls}, augment={"crop": 80})
    with pytest.raises(UserError) as caught:
        train_toy_oste(tmp_path, settings)
    assert str(caught.value) == (
        "error: train.augment.crop: found 80, expected a multiple of 64 (tilings [2, 4] at stride 16)\n"
        "fix: choose such a crop, or set train.expansion.cls: merged"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"expansion": {"cls": "merged"}, "augment": {"crop": 80}},
        {"expansion": {"cls": "per_tile", "enabled": False}, "augment": {"crop": 80}},
        {"expansion": {"cls": "per_tile"}},
        {"expansion": {"cls": "tile_max", "tilings": (3, 2)}, "augment": {"crop": 96}},
    ],
)
def test_other_crops_train(tmp_path: Path, changes: dict[str, Any]) -> None:
    history, _ = train_toy_oste(tmp_path, altered(without_crf(), optim={"epochs": 2}, **changes))
    assert all(math.isfinite(value) for row in history for value in row.values())
    assert history[1]["seg_foreground"] > 0


def test_bf16_on_a_cpu_stays_finite_and_near(tmp_path: Path) -> None:
    settings = altered(without_crf(), dropout=0.0)
    exact, _ = train_toy_oste(tmp_path / "exact", settings)
    rough, task = train_toy_oste(tmp_path / "rough", altered(settings, optim={"precision": "bf16-mixed"}))
    assert all(math.isfinite(value) for row in rough for value in row.values())
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in task.network.parameters())
    for name in ("cls", "cls_2", "cls_4"):
        assert rough[0][name] != exact[0][name]
        assert rough[0][name] == pytest.approx(exact[0][name], rel=0.02)
    assert rough[1]["loss"] == pytest.approx(exact[1]["loss"], rel=0.1)


# Several processes

SCRIPT = """
import sys, torch
from pathlib import Path
from tests.helpers import CLASSES
from tests.toy_oste import SHARED, toy_photos
from wsss.numeric.device import set_threads
from wsss.core.stage import open_stage
from wsss.data.index import Index
from wsss.training.oste import train
set_threads(1)
rank = sys.argv[1]
photos = toy_photos(Path("photos" + rank))
with open_stage("train", {}, []) as stage:
    index = Index(CLASSES, tuple(photos.records))
    made = train(stage, index, photos, Path("backbone.pt"), 0, SHARED, Path("shared.pt"))
torch.save(made.history, rank + ".history")
"""


@pytest.mark.slow
def test_two_processes_equal_one_with_unevenly_spread_labels(tmp_path: Path, labels: Labels) -> None:
    """20 steps, two of them warm-up."""
    history, task = train_toy_oste(tmp_path, SHARED)
    known = [(label != 255).sum((1, 2)) for label in labels.seen]
    shares = torch.stack([torch.stack([count[0::2].sum(), count[1::2].sum()]) for count in known]).float()
    assert len(shares) == 18
    assert (shares.amax(1) > 2 * shares.amin(1)).any()
    assert any((count == 0).any() for count in known)
    run_two_processes(SCRIPT, tmp_path, WSSS_SCRATCH=str(tmp_path / "shared"))
    first, second = (torch.load(tmp_path / f"{rank}.history", weights_only=True) for rank in "01")
    assert first == second
    shared, _ = load_oste(tmp_path / "shared.pt", CLASSES)
    for name, tensor in task.network.state_dict().items():
        assert (shared.state_dict()[name] - tensor).abs().max() <= 1e-6, name
    start, _ = load_classifier(tmp_path / "backbone.pt", CLASSES)
    assert (shared.head.weight - start.head.weight).abs().max() > 1e-3
    for ours, theirs in zip(first, history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
