"""Predictions of both networks against what the design says, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.helpers import CLASSES
from tests.toy_distill import write_oste
from wsss.core.errors import IntegrityError
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.models.oste import Oste, load_oste
from wsss.models.student import Student
from wsss.predict.segment import AVERAGING_STRIDE, MIN_PEAK, Prediction, SegmentSettings, predict, predict_oste

CRF = PUBLISHED.model_copy(update={"iterations": 3})
WITH = SegmentSettings(scales=(0.75, 1.0), crf=CRF)
WITHOUT = WITH.model_copy(update={"crf": None})
CPU = torch.device("cpu")
IMAGES = [np.random.default_rng(seed).integers(0, 256, (40, 52, 3), np.uint8) for seed in range(2)]


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    network = Student(build_backbone(BackboneSettings(name="tiny", weights="random")), 4, 32, 0.1).eval()
    torch.nn.init.normal_(network.head.weight, std=1.0)
    return network


def run(student: Student, settings: SegmentSettings, images: list[np.ndarray] = IMAGES) -> list[Prediction]:
    return predict(student, "student", images, settings, CPU)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()


@torch.no_grad()
def probabilities(student: Student, image: np.ndarray) -> torch.Tensor:
    """Mean over {.75, 1} × {straight, mirrored} on a quarter of the sides, then enlarged."""
    total = torch.zeros(1, 4, 40 // AVERAGING_STRIDE, 52 // AVERAGING_STRIDE)
    view = as_tensor(image)
    for scaled in (F.interpolate(view, (30, 39), mode="bilinear", align_corners=False, antialias=True), view):
        for mirrored in (False, True):
            logits = student(scaled.flip(-1) if mirrored else scaled)
            part = F.interpolate(logits, total.shape[2:], mode="bilinear", align_corners=False).softmax(1)
            total += (part.flip(-1) if mirrored else part) / 4
    return F.interpolate(total, (40, 52), mode="bilinear", align_corners=False)[0]


def test_single_scale_is_the_argmax_of_the_enlarged_logits(student: Student) -> None:
    for image, made in zip(IMAGES, run(student, WITHOUT), strict=True):
        with torch.no_grad():
            logits = F.interpolate(student(as_tensor(image)), (40, 52), mode="bilinear", align_corners=False)
        assert (made.single == logits[0].argmax(0).numpy()).mean() > 0.999
        assert made.single.dtype == np.uint8
        assert len(np.unique(made.single)) > 1


def test_multiscale_is_the_mean_of_probabilities(student: Student) -> None:
    for image, made in zip(IMAGES, run(student, WITHOUT), strict=True):
        expected = probabilities(student, image)
        assert (made.multiscale == expected.argmax(0).numpy()).mean() > 0.999
        np.testing.assert_allclose(made.confidence, expected.amax(0).numpy(), atol=1e-4)
        assert made.crf is None
        assert np.array_equal(made.final, made.multiscale)


def test_crf_runs_on_the_classes_that_could_win(student: Student) -> None:
    for image, made in zip(IMAGES, run(student, WITH), strict=True):
        scores = probabilities(student, image).numpy()
        kept = np.flatnonzero(scores.max((1, 2)) >= MIN_PEAK)
        posterior = dense_crf(image, scores[kept], CRF)
        assert made.crf is not None
        assert (made.crf == kept[posterior.argmax(0)]).mean() > 0.99
        assert np.array_equal(made.final, made.crf)
        np.testing.assert_allclose(made.confidence, posterior.max(0), atol=0.02)


def test_photos_do_not_see_each_other(student: Student) -> None:
    together = run(student, WITHOUT)
    alone = [run(student, WITHOUT, [image])[0] for image in IMAGES]
    for one, other in zip(together, alone, strict=True):
        assert (one.multiscale == other.multiscale).mean() > 0.999
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-4)


def test_mirrored_photo_gives_the_mirrored_prediction(student: Student) -> None:
    straight = run(student, WITHOUT)
    mirrored = run(student, WITHOUT, [image[:, ::-1] for image in IMAGES])
    for one, other in zip(straight, mirrored, strict=True):
        assert (one.multiscale == other.multiscale[:, ::-1]).mean() > 0.995
        np.testing.assert_allclose(one.confidence, other.confidence[:, ::-1], atol=1e-3)


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_photo_of_one_sure_class_needs_no_crf(settings: SegmentSettings) -> None:
    torch.manual_seed(0)
    network = Student(build_backbone(BackboneSettings(name="tiny", weights="random")), 4, 32, 0.1).eval()
    torch.nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.0, 0.0, 50.0, 0.0]))
    for made in run(network, settings):
        assert (made.final == 2).all()
        np.testing.assert_allclose(made.confidence, 1.0, atol=1e-5)


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_network_that_gives_nan_is_not_all_background(student: Student, settings: SegmentSettings, bad: float) -> None:
    broken = Student(build_backbone(BackboneSettings(name="tiny", weights="random")), 4, 32, 0.1).eval()
    broken.load_state_dict(student.state_dict())
    with torch.no_grad():
        broken.head.bias[1] = bad
    with pytest.raises(IntegrityError, match="student: gave NaN or Inf"):
        run(broken, settings)


@pytest.fixture(scope="module")
def oste(tmp_path_factory: pytest.TempPathFactory) -> Oste:
    network, _ = load_oste(write_oste(tmp_path_factory.mktemp("oste") / "oste.pt"), CLASSES)
    assert isinstance(network, Oste)
    return network


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_one_pass_of_oste_gives_its_prediction_and_its_class_scores(oste: Oste, settings: SegmentSettings) -> None:
    made, tags = predict_oste(oste, IMAGES, settings, CPU)
    expected = predict(oste.segment, "oste", IMAGES, settings, CPU)
    for one, other in zip(made, expected, strict=True):
        for field in ("single", "multiscale", "final", "confidence"):
            assert np.array_equal(getattr(one, field), getattr(other, field)), field
    with torch.no_grad():
        maps = torch.cat([oste.maps(as_tensor(image)) for image in IMAGES])
    np.testing.assert_allclose(tags, maps.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-6)
    assert (tags.shape, tags.dtype) == ((2, 3), np.float32)
    assert tags.std() > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_class_scores_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    broken, _ = load_oste(write_oste(tmp_path / "oste.pt"), CLASSES)
    assert isinstance(broken, Oste)
    with torch.no_grad():
        broken.head.weight[1] = bad
    with pytest.raises(IntegrityError, match="oste: gave NaN or Inf as class scores") as caught:
        predict_oste(broken, IMAGES, WITHOUT, CPU)
    assert caught.value.fix == "train it again: dvc repro -f -s train"
