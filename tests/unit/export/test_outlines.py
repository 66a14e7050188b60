"""Outlines of masks: drawn again, they are the masks, with every hole and part."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.export.outlines import outlines
from wsss.formats.coco_masks import polygon_mask


def drawn(mask: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    polygons = [polygon.ravel().tolist() for polygon in outlines(mask, tolerance)]
    return polygon_mask(polygons, mask.shape, "test")


def picture(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def noise() -> list[np.ndarray]:
    """All densities: single pixels, pixels that touch at corners, holes in holes, full and empty."""
    numbers = np.random.default_rng(0)
    return [
        numbers.random((int(height), int(width))) < density
        for density in (0.0, 0.1, 0.4, 0.5, 0.6, 0.9, 1.0)
        for height, width in numbers.integers(1, 24, (20, 2))
    ]


RINGS = picture("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######")


@pytest.mark.parametrize("mask", noise())
def test_polygons_draw_exactly_the_mask(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(drawn(mask), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize("mask", [*noise()[::3], RINGS])
def test_other_readers_draw_the_same(mask: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="needs wsss[coco]")
    polygons = [polygon.ravel().tolist() for polygon in outlines(mask)]
    if not polygons:
        return
    codes = coco.frPyObjects(polygons, *mask.shape)
    np.testing.assert_array_equal(coco.decode(coco.merge(codes)), mask)


def winding(polygon: np.ndarray, x: float, y: float) -> int:
    """How often the polygon goes around a point: the rule by which browsers fill."""
    turns = 0
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if x0 == x1 and x0 > x and min(y0, y1) < y < max(y0, y1):
            turns += 1 if y1 > y0 else -1
    return turns


def test_holes_are_holes_by_winding_numbers_too() -> None:
    polygons = outlines(RINGS)
    assert len(polygons) == 2
    for y, x in np.ndindex(RINGS.shape):
        assert sum(winding(polygon, x + 0.5, y + 0.5) for polygon in polygons) == RINGS[y, x]


def test_a_part_is_a_polygon() -> None:
    square = [[1, 0], [3, 0], [3, 2], [1, 2]]
    assert [polygon.tolist() for polygon in outlines(picture(".##.", ".##.", "...."))] == [square]
    assert len(outlines(picture("#.", ".#"))) == 2  # they touch at a point only
    assert len(outlines(picture("##", ".#"))) == 1


def test_many_holes_below_one_another() -> None:
    """More than Python's limit of recursion."""
    mask = np.ones((2401, 3), bool)
    mask[1::2, 1] = False
    np.testing.assert_array_equal(drawn(mask), mask)


def test_tolerance_leaves_out_corners_and_moves_no_outline_farther() -> None:
    y, x = np.mgrid[:80, :80]
    disc = np.hypot(y - 40, x - 38) < 30
    exact, simple = (outlines(disc, tolerance)[0] for tolerance in (0.0, 1.0))
    assert len(simple) < len(exact) / 3
    # The edge of the disc: what changes lies in a strip of a pixel on either side of its outline.
    changed = drawn(disc, 1.0) ^ disc
    assert changed.any()
    assert (abs(np.hypot(y - 40, x - 38) - 30)[changed] < 1.0 + 2**0.5).all()


def test_no_part_vanishes_by_the_tolerance() -> None:
    mask = picture("#....", ".....", "..###", "..#.#", "..###")
    assert len(outlines(mask, 50.0)) == 2
    assert drawn(mask, 50.0)[0, 0]
