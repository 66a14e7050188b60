"""Predicts photos too large for one forward pass, in overlapping tiles that are blended.

Only class probabilities are kept for the whole photo, at a quarter of its side lengths, so the network's memory does
not grow with it. Labels are made from them block by block. A photo that fits is one tile, with exactly the result of
`segment.predict`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from wsss.core.interrupt import check_stop
from wsss.crf.settings import CrfSettings
from wsss.data.batches import to_batch
from wsss.models.base_student import IMPROBABLE
from wsss.predict.segment import AVERAGING_STRIDE, Network, probabilities, refine
from wsss.predict.view import ALIGNMENT, OVERLAP, View


def label_photo(
    network: Network,
    name: str,
    image: np.ndarray,
    view: View,
    crf: CrfSettings | None,
    where: torch.device,
    parts: Network | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 → label (H, W) uint8 and its probability (H, W) float16 in [0, 1], by `network`, called `name`.

    With `crf`, each block of a tiled photo is refined together with a margin as wide as the overlap of tiles. `parts`:
    see `scores`.
    """
    height, width = image.shape[:2]
    side = view.side(height, width)
    coarse = scores(network, name, image, view, where, parts)
    label, confidence = np.empty((height, width), np.uint8), np.empty((height, width), np.float16)
    block = side or max(height, width)
    margin = block // OVERLAP if crf and side else 0
    for rows in blocks(height, block):
        for columns in blocks(width, block):
            check_stop()
            around = widened(rows, margin, height), widened(columns, margin, width)
            found = sample(coarse, (height, width), *around)
            made, sure = refine(image[around], found, crf) if crf else (found.argmax(0).astype(np.uint8), found.max(0))
            inner = tuple(
                slice(a.start - b.start, a.stop - b.start) for a, b in zip((rows, columns), around, strict=True)
            )
            label[rows, columns], confidence[rows, columns] = made[inner], sure[inner]
    return label, confidence


def scores(
    network: Network, name: str, image: np.ndarray, view: View, where: torch.device, parts: Network | None = None
) -> torch.Tensor:
    """Class probabilities of a whole photo: (H, W, 3) uint8 → (C, ⌈H/4⌉, ⌈W/4⌉), float32, or float16 from tiles.

    `parts`: for a `network` that heeds the tags of the photo as a whole, the same without them. A tile of grass does
    not show the cow beside it, so what the tags change is found once, on the shrunk photo.
    """

    def run(looking: Network, part: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return probabilities(looking, name, to_batch([part], where), view.scales, view.flip)[0].cpu()

    height, width = image.shape[:2]
    side = view.side(height, width)
    if side is None:
        return run(network, image)
    tile = network if parts is None else _by_tags(network, parts, image, view.tile, where)
    blended: torch.Tensor | None = None
    down, across = blend_weights(height, side), blend_weights(width, side)
    for rows, row_weights in down:
        for columns, column_weights in across:
            check_stop()
            part = run(tile, image[rows, columns])
            if blended is None:
                grid = (-(-height // AVERAGING_STRIDE), -(-width // AVERAGING_STRIDE))
                # Half precision: one gigabyte instead of two for 81 classes and 100 megapixels.
                blended = torch.zeros(len(part), *grid, dtype=torch.float16)
            top, left = rows.start // AVERAGING_STRIDE, columns.start // AVERAGING_STRIDE
            weights = row_weights[:, None] * column_weights
            blended[:, top : top + part.shape[1], left : left + part.shape[2]] += (part * weights).half()
    assert blended is not None
    return blended


def _by_tags(network: Network, parts: Network, image: np.ndarray, tile: int, where: torch.device) -> Network:
    """`parts`, changed as the tags change `network` on the photo, shrunk to the pixels of one tile."""
    height, width = image.shape[:2]
    shrink = min(1.0, tile / math.sqrt(height * width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    with torch.inference_mode():
        views = to_batch([small], where)
        heeding, every = network(views), parts(views)
        ruled_out = heeding.amax((2, 3), keepdim=True) <= IMPROBABLE
        added = (heeding - every).mean((2, 3), keepdim=True)  # the same at each position
    return lambda tiles: (parts(tiles) + added).masked_fill(ruled_out, IMPROBABLE)


def blend_weights(length: int, side: int) -> list[tuple[slice, torch.Tensor]]:
    """Tiles of one axis, in pixels, with weights (⌈pixels/4⌉,) of their cells. These sum to 1 at each cell."""
    cells = -(-length // AVERAGING_STRIDE)
    overlap = side // OVERLAP
    margin, ramp = (part // AVERAGING_STRIDE for part in (overlap // OVERLAP, overlap - 2 * (overlap // OVERLAP)))
    tiles, total = [], torch.zeros(cells)
    for start in _starts(length, side, side - overlap):
        stop = min(start + side, length)
        count = -(-(stop - start) // AVERAGING_STRIDE)
        before, after = torch.arange(count) + 0.5, count - torch.arange(count) - 0.5
        weights = torch.ones(count)
        if start > 0:
            weights = weights.minimum((before - margin) / ramp)
        if stop < length:
            weights = weights.minimum((after - margin) / ramp)
        tiles.append((slice(start, stop), weights.clamp_min(0)))
        total[start // AVERAGING_STRIDE : start // AVERAGING_STRIDE + count] += tiles[-1][1]
    return [
        (part, weights / total[part.start // AVERAGING_STRIDE :][: len(weights)].clamp_min(1e-6))
        for part, weights in tiles
    ]


def sample(coarse: torch.Tensor, size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    """A block of `coarse` (C, h, w) enlarged bilinearly to `size`: (C, rows, columns) float32."""
    if (rows.start, columns.start, rows.stop, columns.stop) == (0, 0, *size):
        whole = F.interpolate(coarse[None].float(), size, mode="bilinear", align_corners=False)
        return np.asarray(whole[0].numpy())
    return sample_part(Part(coarse, (0, 0), (coarse.shape[1], coarse.shape[2])), size, rows, columns)


class Part(NamedTuple):
    """Cells (C, h, w) of a photo's maps, beginning at `start`; `grid`: (rows, columns) of the whole photo's maps."""

    maps: torch.Tensor
    start: tuple[int, int]
    grid: tuple[int, int]


def sample_part(part: Part, size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    """`sample` where only a `part` of the maps is known; its outermost cells are repeated outside of it."""
    maps = part.maps
    down = _neighbours(rows, part.grid[0], size[0], part.start[0], maps.shape[1])
    across = _neighbours(columns, part.grid[1], size[1], part.start[1], maps.shape[2])
    window = maps[:, down.cells, across.cells].float()
    first = window[:, down.low].lerp(window[:, down.high], down.share[:, None])
    return np.asarray(first[:, :, across.low].lerp(first[:, :, across.high], across.share).numpy())


class _Neighbours(NamedTuple):
    """The `cells` that some pixels lie between; per pixel, the cells before and after it and the latter's weight."""

    cells: slice
    low: torch.Tensor
    high: torch.Tensor
    share: torch.Tensor


def _neighbours(pixels: slice, cells: int, length: int, start: int, known: int) -> _Neighbours:
    place = (torch.arange(pixels.start, pixels.stop, dtype=torch.float64) + 0.5) * cells / length - 0.5 - start
    place = place.clamp(0, known - 1)
    low = place.floor().long()
    high = (low + 1).clamp_max(known - 1)
    begin, end = int(low[0]), int(high[-1]) + 1
    return _Neighbours(slice(begin, end), low - begin, high - begin, (place - low).float())


def _starts(length: int, side: int, step: int) -> Sequence[int]:
    """Where tiles begin, multiples of `ALIGNMENT`; the last one reaches the end."""
    last = max(0, math.ceil((length - side) / ALIGNMENT) * ALIGNMENT)
    return [*range(0, last, step), last]


def blocks(length: int, side: int, begin: int = 0) -> Iterator[slice]:
    """``begin … length`` in slices of `side`; the last one may be smaller."""
    return (slice(start, min(start + side, length)) for start in range(begin, length, side))


def widened(part: slice, margin: int, length: int) -> slice:
    """`part` and `margin` on both sides of it, within 0 … length."""
    return slice(max(0, part.start - margin), min(length, part.stop + margin))
