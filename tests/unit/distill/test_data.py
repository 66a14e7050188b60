"""Crops of a taught student: what lies inside, and a strong view that moves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toy_distill import SETTINGS, ToyStore
from tests.toy_oste import TAGS, toy_photos
from wsss.data.samples import PseudoImages
from wsss.data.transforms import PAD_COLOUR, AugmentSettings
from wsss.distill.data import StrongSettings, TaughtImages, strong_view

OFF = StrongSettings(jitter=0.0, blur=0.0, cutout=0.0)


def photo(height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def view(image: np.ndarray, seed: int = 0, **changes: float) -> np.ndarray:
    return strong_view(image, OFF.model_copy(update=changes), np.random.default_rng(seed))


def test_without_any_change_it_is_the_weak_view() -> None:
    assert np.array_equal(view(photo()), photo())


def test_caller_keeps_the_image() -> None:
    image = photo()
    view(image, jitter=0.5, blur=2.0, cutout=0.5)
    assert np.array_equal(image, photo())


@pytest.mark.parametrize("seed", range(20))
def test_cutout_is_one_rectangle_of_at_most_that_size(seed: int) -> None:
    image = np.where(photo() == 124, 125, photo()).astype(np.uint8)
    made = view(image, seed, cutout=0.5)
    changed = (made != image).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    if len(rows):
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert (made[changed] == PAD_COLOUR).all()
        assert len(rows) <= 20
        assert len(columns) <= 28


def test_cutout_is_large_at_times() -> None:
    shares = [(view(photo(), seed, cutout=0.5) == PAD_COLOUR).all(-1).mean() for seed in range(60)]
    assert max(shares) > 0.15
    assert min(shares) < 0.02


@pytest.mark.parametrize("changes", [{"jitter": 0.5}, {"blur": 2.0}, {"cutout": 0.5}])
def test_each_part_works_alone_and_follows_its_generator(changes: dict[str, float]) -> None:
    views = [view(photo(), seed, **changes) for seed in range(5)]
    assert any((made != photo()).any() for made in views)
    assert np.array_equal(views[3], view(photo(), 3, **changes))
    assert not np.array_equal(views[0], views[1])


def test_geometry_stays(tmp_path: Path) -> None:
    """A blurred, jittered edge is where it was."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    for seed in range(5):
        made = view(image, seed, jitter=0.3, blur=1.5).astype(int).sum(-1)
        assert (np.abs(np.diff(made, axis=1)).argmax(1) == 19).all()


def crops(folder: Path, strong: StrongSettings | None, starts: int = 1, crop: int = 96) -> TaughtImages:
    photos = toy_photos(folder)
    augment = AugmentSettings(crop=crop, scale=(0.7, 1.5), flip=True, jitter=0.2)
    return TaughtImages(photos, ToyStore(photos), 3, 0, augment, strong, starts)


def test_items_are_those_of_labels_alone_with_tags_and_inside(tmp_path: Path) -> None:
    """Crops larger than most photos, so that they go beyond."""
    made = crops(tmp_path, None)
    plain = PseudoImages(made.photos, made.labels, 0, made.settings)
    some_outside = False
    for number, tags in enumerate(TAGS):
        item, labels = made[2, number], plain[2, number]
        assert set(item) == {"number", "epoch", "image", "label", "confidence", "inside", "tags"}
        for name in ("image", "label", "number", "epoch"):
            assert torch.equal(item[name], labels[name])
        inside = item["inside"]
        assert inside.dtype == torch.bool
        assert torch.equal(item["confidence"][inside], labels["confidence"][inside].clamp_min(1))
        assert not item["confidence"][~inside].any()
        assert (item["label"][~inside] == 255).all()
        rows, columns = inside.any(1).nonzero(), inside.any(0).nonzero()
        assert inside[rows[0, 0] : rows[-1, 0] + 1, columns[0, 0] : columns[-1, 0] + 1].all()
        assert item["tags"].tolist() == [float(k in tags) for k in (1, 2, 3)]
        some_outside |= not inside.all()
    assert some_outside


def test_unsure_pixels_are_inside(tmp_path: Path) -> None:
    item = crops(tmp_path, None, crop=32)[0, 3]  # a photo with nothing but 255
    assert (item["label"] == 255).all()
    assert item["inside"].float().mean() > 0.5


def test_strong_view_comes_with_its_stage_and_is_keyed(tmp_path: Path) -> None:
    made = crops(tmp_path, SETTINGS.ema.strong)
    assert "strong" not in made[0, 0]
    first, again, later = made[1, 0], made[1, 0], made[2, 0]
    assert torch.equal(first["strong"], again["strong"])
    assert first["strong"].shape == first["image"].shape
    assert first["strong"].dtype == torch.uint8
    assert not torch.equal(first["strong"], first["image"])
    assert not torch.equal(first["strong"], later["strong"])
    without = crops(tmp_path, None)[1, 0]
    assert torch.equal(first["image"], without["image"])
