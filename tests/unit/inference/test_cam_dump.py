"""CAMs of whole photos: only of tagged classes, at the network's grid, and the same bytes on any number of workers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.helpers import CLASSES, tree
from wsss.core.stage import Stage
from wsss.data.datasets import Photos
from wsss.data.index import Index, Record
from wsss.inference.cams import CamsSettings, dump_cams, multiscale_cams, present_cams
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_network, load_network, save_network
from wsss.models.classifier import Classifier
from wsss.stores.cams import CamStore

SETTINGS = CamsSettings(output_stride=16, scales=(0.5, 1.0), flip=True, batch=2, threads=1, shard_size=2)
SIZES = [(40, 56), (56, 40), (40, 56), (40, 56), (33, 47)]
TAGS = [(1,), (2, 3), (), (1, 2, 3), (3,)]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = NetworkCard("classifier", BackboneSettings(name="tiny", weights="random"), {"dropout": 0.5}, CLASSES, "")
    classifier = build_network(card, load_weights=True)
    torch.nn.init.normal_(classifier.head.weight, std=1.0)
    save_network(tmp_path / "network.pt", classifier, card)
    return tmp_path / "network.pt"


@pytest.fixture
def classifier(network: Path) -> Classifier:
    found, _ = load_network(network, "classifier", CLASSES)
    assert isinstance(found, Classifier)
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    records = []
    for number, (size, tags) in enumerate(zip(SIZES, TAGS, strict=True)):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number} %.png")
        digest = hashlib.sha256((tmp_path / f"{number} %.png").read_bytes()).hexdigest()
        records.append(Record(f"ü/{number} %", "train", f"{number} %.png", None, tags, *size, digest))
    return Photos(tmp_path, 1.0, tuple(records))


def test_single_scale_is_relu_of_the_class_maps_on_the_grid(classifier: Classifier) -> None:
    images = 255 * torch.rand(2, 3, 40, 56)
    plain = SETTINGS.model_copy(update={"scales": (1.0,), "flip": False})
    found = multiscale_cams(classifier, images, plain)
    assert found.shape == (2, 3, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(found, classifier.maps(images).relu())


def test_mean_over_scales_and_mirrored_views(classifier: Classifier) -> None:
    images = 255 * torch.rand(2, 3, 40, 56)
    expected = torch.zeros(2, 3, 3, 4)
    with torch.no_grad():
        half = F.interpolate(images, (20, 28), mode="bilinear", align_corners=False, antialias=True)
        for view in (half, images):
            for mirrored in (False, True):
                maps = classifier.maps(view.flip(-1) if mirrored else view).relu()
                maps = F.interpolate(maps, (3, 4), mode="bilinear", align_corners=False)
                expected += (maps.flip(-1) if mirrored else maps) / 4
    torch.testing.assert_close(multiscale_cams(classifier, images, SETTINGS), expected, rtol=1e-4, atol=1e-5)


def test_only_tagged_classes_are_kept_each_divided_by_its_maximum() -> None:
    cams = torch.rand(3, 4, 5) * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    before = cams.clone()
    found = present_cams(cams, Record("a", "train", "a.png", None, (1, 3), 60, 70, ""))
    assert found.classes.tolist() == [1, 3]
    assert found.size == (60, 70)
    for map_, peak, raw in zip(found.scores, found.peaks, cams[[0, 2]].numpy(), strict=True):
        assert map_.max() == 1.0
        assert peak == raw.max()
        np.testing.assert_allclose(map_ * peak, raw, rtol=1e-6)
    assert torch.equal(cams, before)


def test_map_without_activation_stays_zero_and_no_tags_give_no_maps() -> None:
    zero = present_cams(torch.zeros(3, 4, 5), Record("a", "train", "a.png", None, (2,), 60, 70, ""))
    assert not zero.scores.any()
    assert zero.peaks.tolist() == [0.0]
    none = present_cams(torch.rand(3, 4, 5), Record("a", "train", "a.png", None, (), 60, 70, ""))
    assert none.scores.shape == (0, 4, 5)
    assert none.peaks.shape == (0,)


def test_any_number_of_workers_gives_the_same_bytes(
    photos: Photos, network: Path, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    index = Index(CLASSES, tuple(photos.records))
    for workers in ("0", "2"):
        monkeypatch.setenv("WSSS_WORKERS", workers)
        stage = Stage("cams", "f" * 16, tmp_path / f"scratch{workers}")
        dump_cams(stage, index, photos, network, SETTINGS, tmp_path / f"out{workers}")
    assert tree(tmp_path / "out0") == tree(tmp_path / "out2")
    store = CamStore(tmp_path / "out0")
    assert store.attributes["stride"] == 16
    for record in photos.records:
        image = torch.from_numpy(photos.image(record)).permute(2, 0, 1)[None].float()
        expected = present_cams(multiscale_cams(classifier, image, SETTINGS)[0], record)
        found = store.read(record.id)
        assert found.classes.tolist() == list(record.tags)
        np.testing.assert_allclose(found.scores, expected.scores, atol=2e-3)
        np.testing.assert_allclose(found.peaks, expected.peaks, rtol=1e-4)
