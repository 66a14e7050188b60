"""Averages over scales and mirrored views, in batches of photos of one size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from wsss.data.batches import size_batches, to_batch
from wsss.data.index import Record
from wsss.predict.multiscale import over_scales


def record(number: int, height: int, width: int) -> Record:
    return Record(f"photo {number}", "train", "x.jpg", None, (1,), height, width, "")


SIZES = [(8, 9), (9, 8), (8, 9), (8, 9), (7, 7), (9, 8), (8, 9)]
RECORDS = [record(number, *size) for number, size in enumerate(SIZES)]


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_size_batches_partition_the_photos_by_size(batch: int) -> None:
    batches = list(size_batches(RECORDS, batch))
    assert sorted(r.id for each in batches for r in each) == [r.id for r in RECORDS]
    for each in batches:
        assert 1 <= len(each) <= batch
        assert len({(r.height, r.width) for r in each}) == 1
    per_size = {size: SIZES.count(size) for size in SIZES}
    assert len(batches) == sum(-(-count // batch) for count in per_size.values())


def test_size_batches_keep_the_order_within_a_size_and_depend_on_records_alone() -> None:
    batches = list(size_batches(RECORDS, 3))
    assert [[r.id[-1] for r in each] for each in batches] == [["0", "2", "3"], ["6"], ["1", "5"], ["4"]]
    assert list(size_batches(tuple(RECORDS), 3)) == batches
    assert list(size_batches([], 3)) == []


def test_to_batch_keeps_the_pixels() -> None:
    images = [torch.randint(0, 256, (5, 6, 3)).byte().numpy() for _ in range(3)]
    batch = to_batch(images, torch.device("cpu"))
    assert batch.shape == (3, 3, 5, 6)
    assert batch.dtype == torch.float32
    for n, image in enumerate(images):
        assert torch.equal(batch[n].permute(1, 2, 0), torch.from_numpy(image).float())


torch.manual_seed(0)
WEIGHT = torch.randn(4, 3, 3, 3)
IMAGES = 255 * torch.rand(2, 3, 24, 31)


def run(view: torch.Tensor) -> torch.Tensor:
    """A small network that is not symmetric, on a grid of 6 × 8."""
    return F.interpolate(F.conv2d(view, WEIGHT, padding=1).relu(), (6, 8), mode="bilinear", align_corners=False)


def test_scale_one_without_flip_is_the_plain_call() -> None:
    assert torch.equal(over_scales(IMAGES, [1.0], False, run), run(IMAGES))


def test_mean_over_scales_by_hand() -> None:
    half = F.interpolate(IMAGES, (12, 16), mode="bilinear", align_corners=False, antialias=True)
    double = F.interpolate(IMAGES, (48, 62), mode="bilinear", align_corners=False)
    expected = (run(half) + run(IMAGES) + run(double)) / 3
    torch.testing.assert_close(over_scales(IMAGES, [0.5, 1.0, 2.0], False, run), expected)


def test_mirrored_view_comes_back_the_right_way_round() -> None:
    expected = (run(IMAGES) + run(IMAGES.flip(-1)).flip(-1)) / 2
    torch.testing.assert_close(over_scales(IMAGES, [1.0], True, run), expected)


@pytest.mark.parametrize("scales", [[1.0], [0.5, 1.0, 1.5, 2.0]])
def test_with_flip_a_mirrored_photo_gives_the_mirrored_map(scales: list[float]) -> None:
    straight, mirrored = (over_scales(view, scales, True, run) for view in (IMAGES, IMAGES.flip(-1)))
    torch.testing.assert_close(mirrored.flip(-1), straight)
    without = [over_scales(view, scales, False, run) for view in (IMAGES, IMAGES.flip(-1))]
    assert not torch.allclose(without[1].flip(-1), without[0], rtol=1e-2)  # or the network would prove nothing


def test_photos_do_not_see_each_other() -> None:
    alone = torch.cat([over_scales(image[None], [0.5, 1.0], True, run) for image in IMAGES])
    torch.testing.assert_close(over_scales(IMAGES, [0.5, 1.0], True, run), alone)


def test_order_of_scales_does_not_matter() -> None:
    one, other = over_scales(IMAGES, [0.5, 1.0, 2.0], True, run), over_scales(IMAGES, [2.0, 0.5, 1.0], True, run)
    torch.testing.assert_close(one, other)


def test_callers_photos_stay_as_they_are() -> None:
    before = IMAGES.clone()
    over_scales(IMAGES, [0.5, 1.0], True, run)
    assert torch.equal(IMAGES, before)


def test_smallest_photo_has_a_smallest_view() -> None:
    seen: list[tuple[int, ...]] = []

    def note(view: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(view.shape))
        return run(view)

    over_scales(IMAGES[:, :, :1, :1], [0.25, 1.0, 2.0], False, note)
    assert seen == [(2, 3, 1, 1), (2, 3, 1, 1), (2, 3, 2, 2)]
