"""CAMs of whole photos: only of tagged classes, at the network's grid, and the same bytes on any number of workers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests import toy_oste
from tests.helpers import CLASSES, tree
from wsss.cams import stage as stage_module
from wsss.cams.local import local_levels
from wsss.cams.stage import CamsSettings, compute_cams, dump_cams, find_floor, present_cams
from wsss.cams.stuff import Stuff
from wsss.core.folders import publish
from wsss.core.stage import Stage
from wsss.data.index import Index, Record
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.oste import Oste, build_oste, load_oste
from wsss.stores.cams import CamStore

SETTINGS = CamsSettings(scales=(0.5, 1.0), precision="32-true")
WALKED = SETTINGS.model_copy(update={"walk": 2})
INFERENCE = InferenceSettings(batch=2, shard_size=2)
SIZES = [(40, 56), (56, 40), (40, 56), (40, 56), (33, 47)]
TAGS = [(1,), (2, 3), (), (1, 2, 3), (3,)]
EXPANSION, FUSION = (json.loads(part.model_dump_json()) for part in (toy_oste.EXPANSION, toy_oste.FUSION))


def write_network(path: Path, modules: bool) -> Oste:
    torch.manual_seed(0)
    parts = {name: {**part, "enabled": modules} for name, part in (("expansion", EXPANSION), ("fusion", FUSION))}
    shape = {"dropout": 0.5, "channels": 16, "norm": "group", **parts}
    card = NetworkCard("oste", BackboneSettings(name="tiny", weights="random"), shape, CLASSES, "")
    network = build_oste(card, load_weights=True)
    torch.nn.init.normal_(network.head.weight, std=1.0)
    save_network(path, network, card)
    found, _ = load_oste(path, CLASSES)
    return found


@pytest.fixture
def plain(tmp_path: Path) -> Oste:
    """Without modules: the classical CAM."""
    return write_network(tmp_path / "plain.pt", modules=False)


@pytest.fixture
def enhancing(tmp_path: Path) -> Oste:
    return write_network(tmp_path / "enhancing.pt", modules=True)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    records = []
    for number, (size, tags) in enumerate(zip(SIZES, TAGS, strict=True)):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number} %.png")
        digest = hashlib.sha256((tmp_path / f"{number} %.png").read_bytes()).hexdigest()
        records.append(Record(f"ü/{number} %", "train", f"{number} %.png", None, tags, *size, digest))
    return Photos(tmp_path, 1.0, tuple(records))


def test_single_scale_is_relu_of_the_class_maps_on_the_grid(plain: Oste) -> None:
    images = 255 * torch.rand(2, 3, 40, 56)
    single = SETTINGS.model_copy(update={"scales": (1.0,), "flip": False})
    enhanced, raw, _ = compute_cams(plain, images, single)
    assert enhanced.shape == (2, 3, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(raw, plain.maps(images).relu())
    assert torch.equal(enhanced, raw)


def mean_over_views(network: Oste, images: torch.Tensor) -> torch.Tensor:
    """Eq (2), and {straight, mirrored}."""
    expected = torch.zeros(len(images), 3, 3, 4)
    with torch.no_grad():
        half = F.interpolate(images, (20, 28), mode="bilinear", align_corners=False, antialias=True)
        for view in (half, images):
            for mirrored in (False, True):
                maps = network.maps(view.flip(-1) if mirrored else view).relu()
                maps = F.interpolate(maps, (3, 4), mode="bilinear", align_corners=False)
                expected += (maps.flip(-1) if mirrored else maps) / 4
    return expected


def test_raw_maps_are_the_mean_over_scales_and_mirrored_views(plain: Oste, enhancing: Oste) -> None:
    images = 255 * torch.rand(2, 3, 40, 56)
    for network in (plain, enhancing):
        _, raw, _ = compute_cams(network, images, SETTINGS)
        torch.testing.assert_close(raw, mean_over_views(network, images), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_enhanced_maps_are_those_of_the_views_mirrored_back(enhancing: Oste) -> None:
    images = 255 * torch.rand(1, 3, 40, 56)
    enhanced, _, _ = compute_cams(enhancing, images, SETTINGS)
    straight, mirrored = (enhancing(view, SETTINGS.scales).cams.enhanced for view in (images, images.flip(-1)))
    torch.testing.assert_close(enhanced, (straight + mirrored.flip(-1)) / 2, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(straight, mirrored.flip(-1), rtol=0.01)


@pytest.mark.parametrize("size", [(40, 56), (33, 47), (64, 64)])
def test_mirrored_photo_gives_the_mirrored_maps(enhancing: Oste, size: tuple[int, int]) -> None:
    images = 255 * torch.rand(2, 3, *size)
    here, there = (compute_cams(enhancing, view, WALKED) for view in (images, images.flip(-1)))
    for maps, mirrored in zip([*here[:2], *here[2]], [*there[:2], *there[2]], strict=True):
        torch.testing.assert_close(mirrored, maps.flip(-1), rtol=1e-4, atol=1e-5)
    without = SETTINGS.model_copy(update={"flip": False})
    here, there = (compute_cams(enhancing, view, without) for view in (images, images.flip(-1)))
    assert not torch.allclose(there[0], here[0].flip(-1), rtol=0.01)  # or the network would prove nothing


def test_photos_do_not_see_each_other(enhancing: Oste) -> None:
    images = 255 * torch.rand(3, 3, 40, 56)
    together = compute_cams(enhancing, images, WALKED)
    for n in range(3):
        alone = compute_cams(enhancing, images[n : n + 1], WALKED)
        for ours, theirs in zip(together[:2], alone[:2], strict=True):
            torch.testing.assert_close(ours[n : n + 1], theirs, rtol=1e-4, atol=1e-5)


def test_bf16_is_near_and_gives_float32(enhancing: Oste) -> None:
    images = 255 * torch.rand(2, 3, 40, 56)
    exact = compute_cams(enhancing, images, SETTINGS)
    rough = compute_cams(enhancing, images, SETTINGS.model_copy(update={"precision": "bf16-mixed"}))
    for ours, theirs in zip(rough[:2], exact[:2], strict=True):
        assert ours.dtype == torch.float32
        assert 0 < (ours - theirs).abs().max() < 0.03 * theirs.max()


def test_only_tagged_classes_are_kept_each_divided_by_its_maximum() -> None:
    cams = torch.rand(3, 4, 5) * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    before = cams.clone()
    found = present_cams(cams, None, Record("a", "train", "a.png", None, (1, 3), 60, 70, ""))
    assert found.classes.tolist() == [1, 3]
    assert found.size == (60, 70)
    for map_, peak, raw in zip(found.scores, found.peaks, cams[[0, 2]].numpy(), strict=True):
        assert map_.max() == 1.0
        assert peak == raw.max()
        np.testing.assert_allclose(map_ * peak, raw, rtol=1e-6)
    assert torch.equal(cams, before)


def test_raw_maps_are_divided_by_their_own_maximum() -> None:
    cams, raw = torch.rand(3, 4, 5), 7 * torch.rand(3, 4, 5)
    found = present_cams(cams, raw, Record("a", "train", "a.png", None, (1, 3), 60, 70, ""))
    assert found.raw is not None
    for ours, theirs in zip(found.raw, raw[[0, 2]].numpy(), strict=True):
        np.testing.assert_allclose(ours, theirs / theirs.max(), rtol=1e-6)
    np.testing.assert_allclose(found.peaks, cams[[0, 2]].amax((1, 2)).numpy())


def test_map_without_activation_stays_zero_and_no_tags_give_no_maps() -> None:
    zero = present_cams(torch.zeros(3, 4, 5), None, Record("a", "train", "a.png", None, (2,), 60, 70, ""))
    assert not zero.scores.any()
    assert zero.peaks.tolist() == [0.0]
    assert zero.raw is None
    none = present_cams(torch.rand(3, 4, 5), torch.rand(3, 4, 5), Record("a", "train", "a.png", None, (), 60, 70, ""))
    assert none.scores.shape == (0, 4, 5)
    assert none.peaks.shape == (0,)
    assert none.raw is not None
    assert none.raw.shape == (0, 4, 5)


@pytest.mark.parametrize("modules", [False, True])
def test_any_number_of_workers_gives_the_same_bytes(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: bool
) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    network = write_network(tmp_path / "network.pt", modules)
    index = Index(CLASSES, tuple(photos.records))
    settings = SETTINGS.model_copy(update={"walk": 2, "stuff": True}) if modules else SETTINGS
    for workers in ("0", "2") if modules else ("0",):
        monkeypatch.setenv("WSSS_WORKERS", workers)
        stage = Stage("cams", "f" * 16, tmp_path / f"scratch{workers}")
        publish(
            dump_cams(stage, index, photos, tmp_path / "network.pt", settings, INFERENCE), tmp_path / f"out{workers}"
        )
    if modules:
        assert tree(tmp_path / "out0") == tree(tmp_path / "out2")
    store = CamStore(tmp_path / "out0")
    assert (store.attributes["stride"], store.attributes["raw"]) == (16, modules)
    assert (store.attributes["scales"], store.attributes["flip"], store.multiscale) == ("0.5 1", True, True)
    for record in photos.records:
        image = torch.from_numpy(photos.image(record)).permute(2, 0, 1)[None].float()
        enhanced, raw = (maps[0] for maps in compute_cams(network, image, settings)[:2])
        expected = present_cams(enhanced, raw, record)
        found = store.read(record.id)
        assert found.classes.tolist() == list(record.tags)
        np.testing.assert_allclose(found.scores, expected.scores, atol=2e-3)
        np.testing.assert_allclose(found.peaks, expected.peaks, rtol=1e-4)
        if modules:
            np.testing.assert_allclose(found.raw, expected.raw, atol=2e-3)
        else:
            assert found.raw is None


def test_what_belongs_to_a_class_that_fills_its_photos_is_marked(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    monkeypatch.setenv("WSSS_WORKERS", "0")
    network = write_network(tmp_path / "network.pt", True)
    numbers = local_levels(network.backbone.levels)
    width = sum(network.backbone.levels[number].channels for number in numbers)
    stuff = Stuff((3,), np.random.default_rng(0).normal(size=(1, width)).astype(np.float32), np.zeros(1, np.float32))
    monkeypatch.setattr(stage_module, "find_stuff", lambda *_: stuff)
    settings = SETTINGS.model_copy(update={"stuff": True})
    stage = Stage("cams", "f" * 16, tmp_path / "scratch")
    index = Index(CLASSES, tuple(photos.records))
    publish(dump_cams(stage, index, photos, tmp_path / "network.pt", settings, INFERENCE), tmp_path / "out")
    assert "fill their photos: dog" in capsys.readouterr().err
    store = CamStore(tmp_path / "out")
    assert store.attributes["filling"] == "3"
    for record in photos.records:
        found = store.read(record.id)
        assert (found.filled is not None) == (3 in record.tags)
        if found.filled is not None:
            image = torch.from_numpy(photos.image(record)).permute(2, 0, 1)[None].float()
            local = compute_cams(network, image, settings).local
            assert np.array_equal(found.filled, stuff.of([level[0] for level in local], record.tags))


def test_the_floor_is_what_a_class_scores_without_its_tag(
    tmp_path: Path, plain: Oste, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against NumPy, photo by photo; class 2 is also looked for where every photo has it."""
    monkeypatch.setenv("WSSS_WORKERS", "0")
    index, floored = Index(CLASSES, tuple(photos.records)), SETTINGS.model_copy(update={"floor": 1.5})
    seen = {r.id: compute_cams(plain, as_batch(photos, r), SETTINGS).enhanced[0].numpy() for r in photos.records}
    expected = np.zeros(3, np.float32)
    for number in range(3):
        without = np.concatenate([seen[r.id][number].ravel() for r in photos.records if number + 1 not in r.tags])
        expected[number] = without.mean() + 1.5 * without.std()
    found = find_floor(plain, index, photos, floored, INFERENCE)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    publish(
        dump_cams(Stage("cams", "f" * 16, tmp_path / "s"), index, photos, tmp_path / "plain.pt", floored, INFERENCE),
        tmp_path / "cams",
    )
    store = CamStore(tmp_path / "cams")
    for record in photos.records:
        kept, classes = store.read(record.id), np.array(record.tags, np.int64) - 1
        above = np.maximum(seen[record.id][classes] - expected[classes, None, None], 0)
        np.testing.assert_allclose(kept.peaks, above.max((1, 2), initial=0), rtol=1e-3, atol=1e-5)
    everywhere = Index(CLASSES, tuple(replace(r, tags=(1, 2, 3)) for r in photos.records))
    assert not find_floor(plain, everywhere, photos, floored, INFERENCE).any()


def as_batch(photos: Photos, record: Record) -> torch.Tensor:
    return torch.from_numpy(photos.image(record)).permute(2, 0, 1)[None].float()
