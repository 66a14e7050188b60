"""The one rule of at which size photos are read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.index import Index, Record
from wsss.data.size import ReadSizes, fit_label, read_size, resized, resolve_auto

SIDES = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ([], 0),
        ([400], 0),
        ([320, 213, 500], 0),
        ([2016], 400),
        ([4000, 300, 4000], 400),
        ([444], 0),  # 400 is 9.9 % less
        ([445], 400),
        ([160], 320),
        ([291], 0),
        ([20], 320),
    ],
)
def test_auto_is_the_median_between_bounds_and_leaves_what_is_near(sides: list[int], expected: int) -> None:
    assert resolve_auto([(side, side // 2) for side in sides]) == expected


@pytest.mark.parametrize(
    ("own", "long_side", "expected"),
    [
        ((1512, 2016), 0, (1512, 2016)),
        ((1512, 2016), 512, (384, 512)),
        ((2016, 1512), 512, (512, 384)),
        ((320, 213), 512, (512, 341)),
        ((90, 120), 512, (270, 360)),  # enlarged at most three times
        ((20, 20), 512, (60, 60)),
        ((500, 8000), 512, (128, 2048)),  # a panorama
        ((8000, 500), 512, (2048, 128)),
        ((500, 2000), 512, (128, 512)),  # 4:1 is none yet
        ((50, 8000), 512, (50, 8000)),  # shrunk at all it would be thinner than that
        ((1, 5000), 512, (1, 5000)),
        ((10, 100), 320, (30, 300)),
        ((1, 1), 512, (3, 3)),
    ],
)
def test_size_of_a_photo(own: tuple[int, int], long_side: int, expected: tuple[int, int]) -> None:
    assert read_size(*own, long_side) == expected


@given(SIDES, SIDES, st.integers(16, 2048))
def test_size_keeps_shape_and_bounds(height: int, width: int, long_side: int) -> None:
    rows, columns = read_size(height, width, long_side)
    assert min(rows, columns) >= 1
    assert rows <= 3 * height
    assert columns <= 3 * width
    assert min(rows, columns) >= min(height, width, long_side // 4)
    assert read_size(width, height, long_side) == (columns, rows)
    assert abs(rows * width - columns * height) <= (height + width) / 2 + 1e-6
    if max(height, width) <= 4 * min(height, width) and 3 * max(height, width) >= long_side:
        assert max(rows, columns) == long_side


def test_sizes_of_a_network_bring_its_copies_to_one_size() -> None:
    sizes = ReadSizes.of(0, [(213, 320)] * 3)
    assert sizes == ReadSizes(0, 320, 320, 320)
    for times in (1, 2, 4, 8):
        assert sizes.read(213 * times, 320 * times) == (213, 320)
    assert sizes.read(80, 107) == (239, 320)
    assert sizes.describe() == "320 pixels"


def test_photos_of_the_sizes_that_a_network_knows_stay_as_they_are() -> None:
    sizes = ReadSizes.of(0, [(300, 200), (375, 500), (500, 375), (4000, 3000)])
    assert sizes is not None
    assert (sizes.smallest, sizes.median, sizes.largest) == (300, 500, 4000)
    for size in ((300, 200), (375, 500), (600, 800), (1000, 1000)):
        assert sizes.read(*size) == size
    assert sizes.read(3000, 4000) == (375, 500)  # a stray photo of the set makes it no network for such
    assert sizes.read(200, 100) == (500, 250)
    assert sizes.describe() == "300 to 4000 pixels"


def test_sizes_by_long_side() -> None:
    sizes = ReadSizes(512, 300, 512, 2048)
    assert sizes.read(3000, 4000) == (384, 512)
    assert sizes.describe() == "512 pixels"
    assert ReadSizes.parse(sizes.plain()) == sizes
    assert ReadSizes.parse(None) is None


def test_index_says_what_its_networks_will_know() -> None:
    records = tuple(Record(str(n), "train", "", None, (), 384, 512, "", 3000, 4000) for n in range(2))
    assert Index(("background", "a"), records, 512).sizes == ReadSizes(512, 512, 512, 512)
    assert Index(("background", "a"), ()).sizes is None
    assert (records[0].size, records[0].own_size) == ((384, 512), (3000, 4000))
    assert Record("a", "train", "", None, (), 8, 9, "").own_size == (8, 9)


def test_resized_photos_and_labels() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    assert resized(photo, (40, 60)) is photo
    small = resized(photo, (20, 30))
    assert (small.shape, small.dtype, small.flags.writeable) == ((20, 30, 3), np.uint8, True)
    np.testing.assert_array_equal(small, resized(photo, (20, 30)))
    flat = np.full((40, 60, 3), 77, np.uint8)
    for size in ((80, 120), (13, 7), (1, 1)):
        assert (resized(flat, size) == 77).all()
    label = np.random.default_rng(1).choice(np.array([0, 3, 255], np.uint8), (20, 30))
    assert fit_label(label, (20, 30)) is label
    np.testing.assert_array_equal(fit_label(label, (40, 60)), label.repeat(2, 0).repeat(2, 1))
