"""Small pieces of masks become what surrounds them; everything else stays."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as pieces_of

from wsss.core.errors import UserError
from wsss.data.crumbs import parse_area, without_crumbs


def drawn(rows: str) -> np.ndarray:
    """Digits as classes; `x` is ignored."""
    return np.array([[255 if cell == "x" else int(cell) for cell in row] for row in rows.split()], np.uint8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0000 0100 0000", "0000 0000 0000"),
        ("1111 1011 1111", "1111 1111 1111"),  # holes are pieces of the background
        ("0022 0012 0022", "0022 0022 0022"),  # most pixels along it
        ("00000 01230 00000", "00000 00000 00000"),  # crumbs that touch
        ("xxx x1x xxx", "xxx xxx xxx"),
        ("000 0x0 000", "000 0x0 000"),
        ("0111 1000 0000", "0111 0000 0000"),  # corners do not connect
        ("12 21", "12 21"),  # nothing else is there
        ("0001 0000 0000", "0000 0000 0000"),
    ],
)
def test_small_pieces(before: str, after: str) -> None:
    np.testing.assert_array_equal(without_crumbs(drawn(before), 3), drawn(after))


@pytest.mark.parametrize("least", [2, 5, 12])
def test_no_small_piece_is_left_and_large_ones_keep_their_pixels(least: int) -> None:
    rough = np.random.default_rng(least).integers(0, 4, (10, 14)).repeat(3, 0).repeat(3, 1)
    label = np.where(np.random.default_rng(0).random(rough.shape) < 0.1, 3, rough).astype(np.uint8)
    before = label.copy()
    found = without_crumbs(label, least)
    np.testing.assert_array_equal(label, before)
    was, now = (pieces_of(each.astype(int) + 1, connectivity=1) for each in (label, found))
    large = (np.bincount(was.ravel()) >= least)[was]
    assert not large.all()
    assert np.bincount(now.ravel())[1:].min() >= least
    np.testing.assert_array_equal(found[large], label[large])
    np.testing.assert_array_equal(without_crumbs(found, least), found)


def test_nothing_is_small() -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(without_crumbs(label, 1), label)


@pytest.mark.parametrize(
    ("text", "least", "shown"),
    [
        ("0", 0, "0"),
        ("25", 25, "25px"),
        ("25px", 25, "25px"),
        ("25 px", 25, "25px"),
        ("0.1%", 2, "0.1%"),  # 1.2 pixels: a piece of one is less
        ("5 %", 60, "5%"),
        ("0%", 0, "0"),
    ],
)
def test_areas_are_of_pixels_unless_they_have_a_percent_sign(text: str, least: int, shown: str) -> None:
    area = parse_area(text)
    assert (area.least(np.zeros((30, 40), np.uint8)), str(area)) == (least, shown)
    assert parse_area(shown) == area


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("0.1", "for per cent of the photo give 0.1%"),
        ("2.5", "for per cent of the photo give 2.5%"),
        ("0,1%", "write a point: 0.1%"),
        ("0,1 %", "write a point: 0.1%"),
        ("0,1", "write a point: 0.1%"),
        ("1,000", "give e.g. 25, or 0.1%"),
        ("25,5", "give e.g. 25, or 0.1%"),
        ("0,1,5%", "give e.g. 0.1%, or a number of pixels"),
        ("25.0", "give e.g. 25, or 0.1%"),
        ("0.1px", "give e.g. 25, or 0.1%"),
        ("9" * 5000, "give e.g. 25, or 0.1%"),
        ("5.1%", "give e.g. 0.1%, or a number of pixels"),
        ("-1%", "give e.g. 0.1%, or a number of pixels"),
    ],
)
def test_areas_that_could_mean_another_are_refused(text: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_area(text)
    assert (caught.value.where, caught.value.fix) == ("--min-area", fix)
