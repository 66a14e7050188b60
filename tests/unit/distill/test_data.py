"""Samples of the student: crops with labels, what lies inside, and data that no student may be trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toy_distill import MUTUAL, SETTINGS, TWO_ROUNDS, ToyStore, Unknown, altered, toy_data
from tests.toy_oste import TAGS, toy_photos
from wsss.core.errors import UserError
from wsss.data.photos import Photos
from wsss.data.transforms import AugmentSettings, Sample, augment
from wsss.distill.data import LabelledImages


def crops(folder: Path, crop: int = 96, seed: int = 0) -> LabelledImages:
    photos = toy_photos(folder)
    augmentation = AugmentSettings(crop=crop, scale=(0.7, 1.5), flip=True, jitter=0.2)
    return LabelledImages(photos, ToyStore(photos), 3, seed, augmentation)


def test_items_are_augmented_photos_with_labels_tags_and_inside(tmp_path: Path) -> None:
    """Crops larger than most photos, so that they go beyond."""
    made = crops(tmp_path)
    some_outside = some_unsure = False
    for number, (record, tags) in enumerate(zip(made.photos.records, TAGS, strict=True)):
        item, store = made[2, number], made.labels
        # Confidences in steps of 255, from 1 on; a plane that is 1 all over tells what is inside.
        steps = np.rint(store.confidence(record.id).astype(np.float64) * 255)
        label, ones = store.label(record.id), np.ones_like(store.label(record.id))
        image = made.photos.image(record)
        views = [
            augment(Sample(image, label, plane.astype(np.uint8)), made.settings, np.random.default_rng((0, 2, number)))
            for plane in (steps, ones)
        ]
        expected, inside = views[0], torch.from_numpy(views[1].confidence) == 1
        assert set(item) == {"number", "epoch", "image", "label", "confidence", "inside", "tags"}
        assert (int(item["number"]), int(item["epoch"])) == (number, 2)
        assert torch.equal(item["image"], torch.from_numpy(expected.image).permute(2, 0, 1))
        assert torch.equal(item["label"], torch.from_numpy(expected.label))
        assert item["inside"].dtype == torch.bool
        assert torch.equal(item["inside"], inside)
        assert torch.equal(item["confidence"][inside], torch.from_numpy(expected.confidence)[inside].clamp_min(1))
        assert not item["confidence"][~inside].any()
        assert (item["label"][~inside] == 255).all()
        rows, columns = inside.any(1).nonzero(), inside.any(0).nonzero()
        assert inside[rows[0, 0] : rows[-1, 0] + 1, columns[0, 0] : columns[-1, 0] + 1].all()
        assert item["tags"].tolist() == [float(k in tags) for k in (1, 2, 3)]
        some_outside |= not inside.all()
        some_unsure |= bool((item["label"][inside] == 255).any())
    assert some_outside  # or the case could not tell
    assert some_unsure


def test_unsure_pixels_are_inside(tmp_path: Path) -> None:
    item = crops(tmp_path, crop=32)[0, 3]  # a photo with nothing but 255
    assert (item["label"] == 255).all()
    assert item["inside"].float().mean() > 0.5


def test_crops_are_keyed_by_seed_epoch_and_photo(tmp_path: Path) -> None:
    made, again, other = crops(tmp_path), crops(tmp_path), crops(tmp_path, seed=1)
    first = made[1, 0]
    made[0, 5]  # whatever was asked for before
    for name, tensor in first.items():
        assert torch.equal(made[1, 0][name], tensor)
        assert torch.equal(again[1, 0][name], tensor)
    assert not torch.equal(made[2, 0]["image"], first["image"])
    assert not torch.equal(other[1, 0]["image"], first["image"])


def test_ids_are_those_of_the_photos_in_their_order(tmp_path: Path) -> None:
    data = toy_data(tmp_path)
    assert data.ids == [f"photo {number}" for number in range(len(TAGS))]


def test_data_without_a_labelled_pixel_is_refused_where_labels_teach(tmp_path: Path) -> None:
    data = toy_data(tmp_path)
    data.check(SETTINGS)
    unknown = replace(data, labels=Unknown(data.photos))
    with pytest.raises(UserError) as caught:
        unknown.check(SETTINGS)
    assert str(caught.value) == (
        "error: pseudo-labels: not one pixel of 8 photos is labelled, so there is nothing to learn\n"
        "fix: lower correct.fixed.alpha, or train the classifier longer (pretrain.optim.epochs)"
    )
    unknown.check(altered(seg__enabled=False))
    one = data.photos.records[3]  # all 255, one of several
    with pytest.raises(UserError, match="not one pixel of 1 photos"):
        replace(data, photos=Photos(data.photos.root, data.photos.max_megapixels, (one,))).check(SETTINGS)


def test_masks_are_not_overruled(tmp_path: Path) -> None:
    masks = toy_data(tmp_path, upper_bound=True)
    with pytest.raises(UserError) as caught:
        masks.check(TWO_ROUNDS)
    assert str(caught.value) == (
        "error: distill.relabel.overrule: found true: a first student would overrule the masks, "
        "and the result would be no upper bound\n"
        "fix: set it to false; or set distill.rounds: 1"
    )
    masks.check(altered(TWO_ROUNDS, relabel__overrule=False))
    for settings in (SETTINGS, MUTUAL):
        masks.check(settings)
    toy_data(tmp_path).check(TWO_ROUNDS)
