"""Augmentation: the label follows the photo exactly, and bytes follow from the generator."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wsss.data.transforms import PAD_COLOUR, AugmentSettings, Sample, augment, colour_jitter

PLAIN = AugmentSettings(crop=64, scale=(1.0, 1.0), flip=False, jitter=0.0)
COLOURS = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [240, 240, 20]], np.uint8)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def coded(height: int, width: int, block: int = 24, seed: int = 0) -> Sample:
    """A photo whose colour says its label, and its confidence too."""
    small = rng(seed).integers(0, len(COLOURS), (-(-height // block), -(-width // block)))
    label = np.kron(small, np.ones((block, block), np.int64))[:height, :width].astype(np.uint8)
    return Sample(COLOURS[label], label, (label + 100).astype(np.uint8))


def away_from_edges(label: np.ndarray, distance: int) -> np.ndarray:
    """True where every pixel within `distance` has the same label."""
    same = np.ones(label.shape, bool)
    padded = np.pad(label, distance, constant_values=254)
    height, width = label.shape
    for y in range(2 * distance + 1):
        for x in range(2 * distance + 1):
            same &= padded[y : y + height, x : x + width] == label
    return same


@pytest.mark.parametrize("size", [(100, 140), (40, 200), (30, 30)])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 0.7), (1.0, 2.0), (2.5, 3.5)])
def test_label_and_confidence_follow_the_photo(size: tuple[int, int], scale: tuple[float, float]) -> None:
    settings = AugmentSettings(crop=64, scale=scale, flip=True, jitter=0.0)
    for seed in range(12):
        made = augment(coded(*size, seed=seed), settings, rng(seed))
        assert made.label is not None
        assert made.confidence is not None
        # Half of an enlarged pixel is blended with its neighbour.
        inner = away_from_edges(made.label, 1 if scale[1] <= 2 else 2)
        known = inner & (made.label != 255)
        assert np.array_equal(made.image[known], COLOURS[made.label[known]])
        assert (made.image[inner & (made.label == 255)] == PAD_COLOUR).all()
        assert np.array_equal(made.confidence, np.where(made.label == 255, 0, made.label + 100))


def test_labels_are_chosen_and_never_mixed() -> None:
    label = np.zeros((90, 90), np.uint8)
    label[:, 45:] = 200
    settings = AugmentSettings(crop=64, scale=(0.5, 2.0), flip=True, jitter=0.0)
    for seed in range(20):
        made = augment(Sample(np.zeros((90, 90, 3), np.uint8), label, label), settings, rng(seed))
        assert set(np.unique(made.label)) <= {0, 200, 255}
        assert set(np.unique(made.confidence)) <= {0, 200}


def test_scale_one_cuts_pixels_out_as_they_are() -> None:
    image = rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    made = augment(Sample(image), PLAIN, rng(1))
    assert np.array_equal(made.image, image)
    assert made.label is None
    assert made.confidence is None


def test_object_has_the_size_that_the_scale_gives() -> None:
    image = np.full((200, 200, 3), 255, np.uint8)
    label = np.zeros((200, 200), np.uint8)
    label[80:120, 70:130] = 1
    for scale in (0.4, 0.8, 1.0):
        settings = AugmentSettings(crop=200, scale=(scale, scale), flip=False, jitter=0)
        made = augment(Sample(image, label), settings, rng(3))
        ys, xs = np.nonzero(made.label == 1)
        assert abs(np.ptp(ys) + 1 - 40 * scale) <= 1.5
        assert abs(np.ptp(xs) + 1 - 60 * scale) <= 1.5


def test_flip_mirrors_half_of_the_samples_and_everything_in_them() -> None:
    sample = coded(64, 64)
    settings = PLAIN.model_copy(update={"flip": True})
    mirrored = 0
    for seed in range(60):
        made = augment(sample, settings, rng(seed))
        turned = not np.array_equal(made.image, sample.image)
        mirrored += turned
        for found, given in zip(
            (made.image, made.label, made.confidence), (sample.image, sample.label, sample.confidence), strict=True
        ):
            assert found is not None
            assert given is not None
            assert np.array_equal(found, given[:, ::-1] if turned else given)
    assert 18 <= mirrored <= 42


def test_small_photo_is_padded_at_random_sides() -> None:
    sample = Sample(np.full((20, 30, 3), 7, np.uint8), np.full((20, 30), 3, np.uint8), np.full((20, 30), 9, np.uint8))
    corners = set()
    for seed in range(30):
        made = augment(sample, PLAIN, rng(seed))
        inside = made.label == 3
        assert inside.sum() == 600
        assert (made.image[~inside] == PAD_COLOUR).all()
        assert (made.image[inside] == 7).all()
        assert made.label is not None
        assert made.confidence is not None
        assert (made.label[~inside] == 255).all()
        assert (made.confidence[~inside] == 0).all()
        corners.add(tuple(np.argwhere(inside)[0]))
    assert len(corners) > 20


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (15, 16)])
def test_odd_photos_give_a_crop_with_something_of_them(size: tuple[int, int]) -> None:
    settings = AugmentSettings(crop=32, scale=(0.2, 2.0), flip=True, jitter=0.2)
    for seed in range(200):
        made = augment(Sample(np.zeros((*size, 3), np.uint8), np.ones(size, np.uint8)), settings, rng(seed))
        assert made.image.shape == (32, 32, 3)
        assert (made.label == 1).any()


def test_same_generator_gives_the_same_bytes_and_another_does_not() -> None:
    settings = AugmentSettings(crop=48, scale=(0.5, 2.0), flip=True, jitter=0.3)
    sample = coded(70, 90)
    first, again, other = (augment(sample, settings, np.random.default_rng((0, 3, seed))) for seed in (7, 7, 8))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.label is not None
    assert again.label is not None
    assert first.label.tobytes() == again.label.tobytes()
    assert first.image.tobytes() != other.image.tobytes()
    assert first.image.flags.c_contiguous
    assert first.label.flags.c_contiguous


def test_augmentation_of_the_photo_does_not_depend_on_having_labels() -> None:
    settings = AugmentSettings(crop=48, scale=(0.5, 2.0), flip=True, jitter=0.3)
    sample = coded(70, 90)
    alone = augment(Sample(sample.image), settings, rng(4))
    assert np.array_equal(alone.image, augment(sample, settings, rng(4)).image)


def test_callers_arrays_stay_as_they_are() -> None:
    sample = coded(70, 90)
    before = [sample.image.copy(), sample.label.copy(), sample.confidence.copy()]  # type: ignore[union-attr]
    augment(sample, AugmentSettings(crop=48, scale=(0.5, 2.0), flip=True, jitter=0.3), rng(0))
    for array, copy in zip((sample.image, sample.label, sample.confidence), before, strict=True):
        assert np.array_equal(array, copy)


def naive_jitter(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    bright = image.astype(np.float64) * brightness
    grey = 0.299 * bright[..., 0] + 0.587 * bright[..., 1] + 0.114 * bright[..., 2]
    saturated = grey[..., None] + saturation * (bright - grey[..., None])
    return np.clip(grey.mean() + contrast * (saturated - grey.mean()), 0, 255)


def test_colour_jitter_is_the_three_steps_one_after_another() -> None:
    for seed in range(30):
        image = rng(seed).integers(0, 256, (17, 23, 3), np.uint8)
        factors = 1 + 0.5 * rng(seed + 100).uniform(-1, 1, 3)
        assert np.abs(colour_jitter(image, *factors) - naive_jitter(image, *factors)).max() <= 0.501


def test_colour_jitter_of_each_factor_alone() -> None:
    image = rng(0).integers(0, 128, (9, 9, 3), np.uint8)
    assert np.array_equal(colour_jitter(image, 1.0, 1.0, 1.0), image)
    assert np.array_equal(colour_jitter(image, 2.0, 1.0, 1.0), 2 * image)
    assert not colour_jitter(image, 0.0, 1.0, 1.0).any()
    assert np.ptp(colour_jitter(image, 1.0, 0.0, 1.0)) == 0
    grey = np.asarray(Image.fromarray(image).convert("L"), np.int64)
    assert np.abs(colour_jitter(image, 1.0, 1.0, 0.0) - grey[..., None]).max() <= 1


def test_jitter_stays_within_its_share() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)  # grey: only brightness shows
    settings = PLAIN.model_copy(update={"jitter": 0.2})
    found = [int(augment(Sample(image), settings, rng(seed)).image[0, 0, 0]) for seed in range(200)]
    assert 80 <= min(found) < 84
    assert 116 < max(found) <= 120
