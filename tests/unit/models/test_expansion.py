"""Eqs (3)–(5), (15) against loops over tiles, and the map that must come back where it was cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from wsss.losses.classification import multilabel_soft_margin
from wsss.models.expansion import (
    ExpansionSettings,
    join_tiles,
    merge_maps,
    pad_to_multiple,
    split_tiles,
    tile_logits,
    tiled_maps,
)
from wsss.training.oste import tile_classification

STRIDE = 4


def pooled(images: torch.Tensor) -> torch.Tensor:
    """A class-map function that sees one cell at a time: tiles change nothing. (N, 3, h, w) → (N, 3, ⌈h/4⌉, ⌈w/4⌉)."""
    return F.avg_pool2d(images, STRIDE, ceil_mode=True)


def mirror_symmetric(images: torch.Tensor) -> torch.Tensor:
    """Sees its neighbours, so tiles do change it; treats left and right alike."""
    return F.avg_pool2d(pooled(images).square(), 3, 1, 1)


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_tiles_are_the_windows_row_by_row(n: int) -> None:
    images = torch.rand(2, 3, 24, 48)
    tiles = split_tiles(images, n)
    h, w = 24 // n, 48 // n
    assert tiles.shape == (2 * n * n, 3, h, w)
    for photo in range(2):
        for row in range(n):
            for column in range(n):
                window = images[photo, :, row * h : (row + 1) * h, column * w : (column + 1) * w]
                assert torch.equal(tiles[photo * n * n + row * n + column], window)


@pytest.mark.parametrize("n", [2, 3, 4, 8])
@pytest.mark.parametrize("cells", [(1, 1), (2, 5)])
def test_join_of_split_is_the_image(n: int, cells: tuple[int, int]) -> None:
    images = torch.rand(3, 5, n * cells[0], n * cells[1])
    assert torch.equal(join_tiles(split_tiles(images, n), n), images)


def test_321_is_refused_not_cropped() -> None:
    with pytest.raises(ValueError, match="cannot cut 321×320 into 2×2 equal tiles"):
        split_tiles(torch.zeros(1, 3, 321, 320), 2)


@pytest.mark.parametrize("multiple", [1, 2, 7, 64])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (17, 64), (65, 30)])
def test_padding_is_numpys_reflection_at_any_size(size: tuple[int, int], multiple: int) -> None:
    images = torch.rand(1, 2, *size)
    padded, (height, width) = pad_to_multiple(images, multiple)
    assert (height, width) == size
    more = [(-side) % multiple for side in size]
    expected = images.numpy()
    for axis, extra in zip((2, 3), more, strict=True):
        pads = [(0, 0)] * 4
        pads[axis] = (0, extra)
        expected = np.pad(expected, pads, mode="reflect")
    assert torch.equal(padded, torch.from_numpy(expected))


@pytest.mark.parametrize("n", [2, 4, 8])
@pytest.mark.parametrize("size", [(32, 64), (33, 50), (1, 3), (31, 7)])
def test_tiled_maps_of_a_local_function_are_its_maps(n: int, size: tuple[int, int]) -> None:
    images, calls = torch.rand(2, 3, *size), []

    def run(tiles: torch.Tensor) -> torch.Tensor:
        calls.append(tiles.shape)
        return pooled(tiles)

    maps = tiled_maps(images, n, STRIDE, run)
    grid = tuple(-(-side // STRIDE) for side in size)
    assert maps.shape == (2, 3, *grid)
    assert len(calls) == 1
    assert calls[0][0] == 2 * n * n
    assert all(side % STRIDE == 0 for side in calls[0][2:])
    whole = tuple(side // STRIDE for side in size)  # cells that no padding touches
    torch.testing.assert_close(maps[..., : whole[0], : whole[1]], pooled(images)[..., : whole[0], : whole[1]])


def test_tiles_do_not_see_each_other() -> None:
    images = torch.rand(1, 3, 32, 32)
    maps = tiled_maps(images, 2, STRIDE, mirror_symmetric)
    torch.testing.assert_close(maps[..., :4, 4:], mirror_symmetric(images[..., :16, 16:]))
    assert not torch.allclose(maps, mirror_symmetric(images))


@pytest.mark.parametrize("n", [2, 4])
def test_maps_of_the_mirrored_photo_are_the_mirrored_maps(n: int) -> None:
    images = torch.rand(2, 3, 32, 64)
    mirrored = tiled_maps(images.flip(-1), n, STRIDE, mirror_symmetric)
    torch.testing.assert_close(mirrored.flip(-1), tiled_maps(images, n, STRIDE, mirror_symmetric))


def test_merging_is_mean_or_sum() -> None:
    maps = [torch.rand(2, 3, 4, 5) for _ in range(3)]
    torch.testing.assert_close(merge_maps(maps, "sum"), maps[0] + maps[1] + maps[2])
    torch.testing.assert_close(merge_maps(maps, "mean"), (maps[0] + maps[1] + maps[2]) / 3)
    assert torch.equal(merge_maps(maps[:1], "mean"), maps[0])


def by_tile(maps: torch.Tensor, n: int) -> list[list[list[float]]]:
    """[photo][tile][class] mean score."""
    h, w = maps.shape[2] // n, maps.shape[3] // n
    return [
        [
            [float(plane[y * h : (y + 1) * h, x * w : (x + 1) * w].mean()) for plane in photo]
            for y in range(n)
            for x in range(n)
        ]
        for photo in maps
    ]


@pytest.mark.parametrize("n", [2, 4])
def test_logits_equal_a_loop_over_tiles(n: int) -> None:
    maps = torch.randn(3, 5, 4 * n, 2 * n)
    tiles = by_tile(maps, n)
    per_tile = torch.tensor([means for photo in tiles for means in photo])
    torch.testing.assert_close(tile_logits(maps, n, "per_tile"), per_tile)
    best = torch.tensor([[max(means[k] for means in photo) for k in range(5)] for photo in tiles])
    torch.testing.assert_close(tile_logits(maps, n, "tile_max"), best)
    whole = torch.tensor([[sum(means[k] for means in photo) / n**2 for k in range(5)] for photo in tiles])
    torch.testing.assert_close(tile_logits(maps, n, "merged"), whole)


def test_classification_compares_every_tile_with_its_own_photos_tags() -> None:
    maps, prior, tags = torch.randn(3, 5, 4, 4), torch.randn(5), torch.randint(0, 2, (3, 5)).float()
    term = tile_classification(maps, prior, tags, 2, "per_tile")
    expected = sum(
        float(multilabel_soft_margin(torch.tensor([means]) + prior, tags[photo : photo + 1]).total)
        for photo, tiles in enumerate(by_tile(maps, 2))
        for means in tiles
    )
    assert float(term.total) == pytest.approx(expected, rel=1e-5)
    assert float(term.weight) == 3 * 4 * 5
    for cls in ("merged", "tile_max"):
        assert float(tile_classification(maps, prior, tags, 2, cls).weight) == 3 * 5  # type: ignore[arg-type]


def test_merged_takes_any_grid_and_tiles_only_their_own() -> None:
    maps = torch.randn(1, 2, 5, 4)
    assert tile_logits(maps, 2, "merged").shape == (1, 2)
    with pytest.raises(ValueError, match="cannot cut 5×4"):
        tile_logits(maps, 2, "tile_max")


@pytest.mark.parametrize("cls", ["merged", "per_tile", "tile_max"])
def test_halves_of_a_batch_add_up_and_classes_only_change_places(cls: str) -> None:
    maps, prior, tags = torch.randn(4, 5, 8, 8), torch.randn(5), torch.randint(0, 2, (4, 5)).float()
    whole = tile_classification(maps, prior, tags, 2, cls)  # type: ignore[arg-type]
    parts = [tile_classification(maps[part], prior, tags[part], 2, cls) for part in (slice(0, 1), slice(1, 4))]  # type: ignore[arg-type]
    torch.testing.assert_close(parts[0].total + parts[1].total, whole.total)
    torch.testing.assert_close(parts[0].weight + parts[1].weight, whole.weight)
    order = torch.randperm(5)
    turned = tile_classification(maps[:, order], prior[order], tags[:, order], 2, cls)  # type: ignore[arg-type]
    torch.testing.assert_close(turned.total, whole.total)


@pytest.mark.parametrize("tilings", [(2,), (4,), (8,), (2, 4), (2, 4, 8)])
def test_settings_take_the_tilings_of_the_ablation(tilings: tuple[int, ...]) -> None:
    assert ExpansionSettings(enabled=True, tilings=tilings, merge="mean", cls="merged").tilings == tilings


@pytest.mark.parametrize("tilings", [(), (1,), (2, 2)])
def test_settings_refuse_what_is_no_tiling(tilings: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        ExpansionSettings(enabled=True, tilings=tilings, merge="mean", cls="merged")
