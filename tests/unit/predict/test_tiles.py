"""Tiles of large photos: the same result as in one piece, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.toy_networks import photo
from wsss.models.base_student import IMPROBABLE
from wsss.predict.how import DEFAULT_CRF
from wsss.predict.segment import SegmentSettings, predict
from wsss.predict.tiles import blend_weights, label_photo, sample, scores
from wsss.predict.view import View

CPU = torch.device("cpu")


def local(images: torch.Tensor) -> torch.Tensor:
    """A network that sees two cells of stride 8 to each side: less than a tile of 512 leaves without weight."""
    small = F.avg_pool2d(images, 8, ceil_mode=True)
    blurred = F.avg_pool2d(small, 3, 1, 1, count_include_pad=False)
    return torch.cat([blurred, 255 - blurred[:, :1]], 1) / 20


@pytest.mark.parametrize(
    ("length", "side"), [(100, 128), (128, 128), (129, 128), (500, 128), (1001, 256), (4096, 1024)]
)
def test_tiles_cover_an_axis_with_weights_that_sum_to_one(length: int, side: int) -> None:
    tiles = blend_weights(length, side)
    total = torch.zeros(-(-length // 4))
    for part, weights in tiles:
        assert part.start % 32 == 0
        assert part.stop - part.start <= side
        assert len(weights) == -(-(part.stop - part.start) // 4)
        total[part.start // 4 :][: len(weights)] += weights
    torch.testing.assert_close(total, torch.ones_like(total))
    assert tiles[0][0].start == 0
    assert tiles[-1][0].stop == length


@pytest.mark.parametrize("size", [(768, 1536), (1096, 1032), (400, 3000)])
@pytest.mark.parametrize("flip", [False, True])
def test_tiled_probabilities_are_those_of_the_whole_photo(size: tuple[int, int], flip: bool) -> None:
    image = photo(*size)
    whole = scores(local, "student", image, View((1.0,), flip, 4096), CPU)
    tiled = scores(local, "student", image, View((1.0,), flip, 512), CPU)
    assert whole.shape == tiled.shape
    assert (whole.dtype, tiled.dtype) == (torch.float32, torch.float16)
    torch.testing.assert_close(tiled.float(), whole, atol=2e-3, rtol=0)


def test_tiled_odd_photo_differs_in_its_last_tiles_only() -> None:
    image = photo(1101, 1327)
    whole = scores(local, "student", image, View((1.0,), False, 4096), CPU)
    tiled = scores(local, "student", image, View((1.0,), False, 512), CPU).float()
    # A side that 4 does not divide has cells a little smaller than 4 pixels, in the whole and in the last tile.
    difference = (whole - tiled).abs()
    assert float(difference[:, :60, :60].max()) < 0.02
    assert float(difference.mean()) < 0.01


def test_tiled_labels_are_those_of_the_whole_photo() -> None:
    image = photo(768, 1536)
    whole, sure = label_photo(local, "student", image, View((1.0,), True, 4096), None, CPU)
    tiled, tiled_sure = label_photo(local, "student", image, View((1.0,), True, 512), None, CPU)
    assert (whole == tiled).mean() > 0.999
    np.testing.assert_allclose(sure.astype(np.float32), tiled_sure.astype(np.float32), atol=3e-3)


def test_classes_are_left_out_of_a_cut_photo_as_a_whole_and_not_tile_by_tile() -> None:
    """The photo is dark on the left, and in the mean between what classes 1 and 2 ask for."""
    image = photo(256, 1024) // 8
    image[:, 512:] += 128

    def deciding(images: torch.Tensor) -> torch.Tensor:
        mean = images.mean((1, 2, 3))
        out = torch.stack([mean < bound for bound in (0, 60, 100, 0)], 1)
        return local(images).masked_fill(out[:, :, None, None], IMPROBABLE)

    view = View((1.0,), False, 128)
    together = scores(deciding, "student", image, view, CPU, local).float()
    once = local(torch.from_numpy(image).permute(2, 0, 1)[None].float()).masked_fill(
        torch.tensor([False, False, True, False])[None, :, None, None], IMPROBABLE
    )
    expected = F.interpolate(once, together.shape[1:], mode="bilinear", align_corners=False).softmax(1)[0]
    torch.testing.assert_close(together, expected, atol=0.02, rtol=0)
    alone = scores(deciding, "student", image, view, CPU).float()
    assert not alone[1, :, :100].any()
    assert together[1, :, :100].all()


def test_the_weight_of_tags_in_a_cut_photo_is_that_of_the_whole() -> None:
    image = photo(256, 1024) // 8
    image[:, 512:] += 128

    def heeding(images: torch.Tensor) -> torch.Tensor:
        mean = images.mean((1, 2, 3)) / 255
        return local(images) + torch.stack([0 * mean, -3 * mean, 3 * mean, -mean], 1)[:, :, None, None]

    view = View((1.0,), False, 128)
    together = scores(heeding, "student", image, view, CPU, local).float()
    once = heeding(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    expected = F.interpolate(once, together.shape[1:], mode="bilinear", align_corners=False).softmax(1)[0]
    torch.testing.assert_close(together, expected, atol=0.02, rtol=0)
    alone = scores(heeding, "student", image, view, CPU).float()
    assert float((alone - expected).abs().max()) > 0.2  # or the case could not tell


def test_crf_of_a_cut_photo_agrees_with_that_of_the_whole() -> None:
    image = photo(544, 800)
    crf = DEFAULT_CRF.model_copy(update={"bilateral_xy": 10.0, "iterations": 3})
    whole, _ = label_photo(local, "student", image, View((1.0,), False, 4096), crf, CPU)
    tiled, _ = label_photo(local, "student", image, View((1.0,), False, 256), crf, CPU)
    assert (whole == tiled).mean() > 0.98


@pytest.mark.parametrize("crf", [True, False])
def test_small_photo_is_predicted_as_the_evaluation_does(crf: bool) -> None:
    image = photo(61, 90)
    settings = DEFAULT_CRF if crf else None
    evaluation = SegmentSettings(scales=(0.5, 1.25), crf=settings)
    (expected,) = predict(local, "student", [image], evaluation, CPU)
    label, sure = label_photo(local, "student", image, View((0.5, 1.25), True, 1024), settings, CPU)
    assert (label == expected.final).all()
    np.testing.assert_allclose(sure.astype(np.float32), expected.confidence, atol=1e-3)


@pytest.mark.parametrize(
    "block", [(slice(0, 37), slice(0, 50)), (slice(10, 11), slice(49, 50)), (slice(5, 30), slice(0, 9))]
)
def test_block_of_an_enlargement_is_cut_out_of_the_whole(block: tuple[slice, slice]) -> None:
    coarse = torch.rand(3, 10, 13, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(coarse[None], (37, 50), mode="bilinear", align_corners=False)[0].numpy()
    np.testing.assert_allclose(sample(coarse, (37, 50), *block), whole[:, block[0], block[1]], atol=1e-5)


def test_photo_is_cut_by_the_pixels_of_its_largest_view() -> None:
    assert View((1.0,), False, 1024).side(2048, 2048) is None
    assert View((1.0,), False, 1024).side(2048, 2049) == 1024
    assert View((0.25, 0.5), False, 1024).side(4096, 4096) is None
    assert View((1.0, 2.0), False, 1024).side(2048, 2048) == 512
    assert View((8.0,), False, 128).side(2048, 2048) == 128  # never less than the alignment allows


def test_tiles_never_have_more_pixels_than_was_promised() -> None:
    seen: list[int] = []

    def watching(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.shape[-1] * images.shape[-2])
        return local(images)

    scores(watching, "student", photo(600, 2000), View((1.0,), False, 256), CPU)
    assert max(seen) <= 256**2
