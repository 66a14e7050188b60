"""Steps and crops that follow the data."""

from __future__ import annotations

import math

import pytest

from wsss.data.index import Record
from wsss.data.transforms import AugmentSettings
from wsss.training.rules import CLASSES, GRID, LARGEST, STEPS, cropped, pixels, planned, steps
from wsss.training.schedule import GentleOptim


def records(*sizes: tuple[int, int]) -> list[Record]:
    return [Record(str(n), "train", "", None, (), *size, "") for n, size in enumerate(sizes)]


def test_steps_grow_with_the_root_of_the_photos_and_with_many_classes() -> None:
    for stage, unit in STEPS.items():
        assert steps(stage, 400, 4) == steps(stage, 400, CLASSES) == pytest.approx(20 * unit)
        assert steps(stage, 1600, 4) == pytest.approx(2 * steps(stage, 400, 4))
        assert steps(stage, 400, 4 * CLASSES) == pytest.approx(2 * steps(stage, 400, 4))


@pytest.mark.parametrize("photos", [1, 7, 50, 356, 5000, 50_000])
@pytest.mark.parametrize("stage", STEPS)
def test_epochs_make_about_these_steps(photos: int, stage: str) -> None:
    optim = planned(GentleOptim(), stage, photos, 15)
    a_pass = max(1, photos // 8)
    wanted = steps(stage, photos, 15)
    assert optim.epochs >= 1
    assert abs(optim.epochs * a_pass - wanted) <= a_pass / 2 or optim.epochs == 1


def test_a_larger_batch_takes_fewer_steps_and_what_is_written_stays() -> None:
    few, many = (planned(GentleOptim(batch=batch), "distill", 800, 3).epochs for batch in (8, 32))
    assert few == many == math.floor(STEPS["distill"] * math.sqrt(800) / 100 + 0.5)
    assert planned(GentleOptim(epochs=7), "distill", 800, 3).epochs == 7
    assert planned(GentleOptim(), "train", 50_000, 3, least=2).epochs == 2


def test_crops_are_a_share_of_the_median_longer_side_on_the_grid() -> None:
    photos = records((320, 213), (200, 320), (320, 320), (64, 64))
    assert pixels(photos, 1.0) == 320
    assert pixels(photos, 0.6) == 192
    assert pixels(records((20, 20)), 1.0) == GRID
    assert pixels(records((4000, 3000)), 1.0) == LARGEST
    assert cropped(AugmentSettings(), photos, 0.6).pixels == 192
    assert cropped(AugmentSettings(crop=1.0), photos, 0.6).pixels == 320
    assert cropped(AugmentSettings(crop=100), photos, 0.6).pixels == 100


@pytest.mark.parametrize("crop", [1.5, 8, 17.5, -1, 5000])
def test_a_crop_is_a_share_or_whole_pixels(crop: float) -> None:
    with pytest.raises(ValueError, match="crop"):
        AugmentSettings(crop=crop)


def test_a_share_is_not_pixels_yet() -> None:
    with pytest.raises(ValueError, match="not in pixels"):
        _ = AugmentSettings(crop=0.5).pixels
