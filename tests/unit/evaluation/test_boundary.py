"""Boundary IoU against the paper's definition, mask by mask and erosion by erosion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss.evaluation.boundary import band_width, boundary_iou, count_bands, outline_band
from wsss.numeric.precision import mean_known


def eroded(mask: np.ndarray, times: int) -> np.ndarray:
    """(H, W) bool: `mask` in a frame of zeros, eroded by 3×3 pixels so many times."""
    height, width = mask.shape
    framed = np.zeros((height + 2, width + 2), bool)
    framed[1:-1, 1:-1] = mask
    for _ in range(times):
        shifted = [framed[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        framed = np.pad(np.logical_and.reduce(shifted), 1)
    return framed[1:-1, 1:-1]


def naive(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(3, C): pixels in both bands, in the truth's, in the prediction's, one class after the other."""
    counts = np.zeros((3, classes), np.int64)
    known, width = truth != 255, band_width(*truth.shape)
    for number in range(classes):
        bands = [(label == number) & ~eroded(label == number, width) & known for label in (truth, prediction)]
        counts[:, number] = (bands[0] & bands[1]).sum(), bands[0].sum(), bands[1].sum()
    return counts


def count(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    return count_bands(truth, outline_band(truth), prediction, classes)


def blobs(generator: np.random.Generator, size: tuple[int, int], classes: int, cell: int) -> np.ndarray:
    """(H, W) uint8 in squares of one class or 255."""
    values = np.array([*range(classes), 255], np.uint8)
    small = values[generator.integers(0, classes + 1, (size[0] // cell + 1, size[1] // cell + 1))]
    return np.ascontiguousarray(small.repeat(cell, 0).repeat(cell, 1)[: size[0], : size[1]])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    classes=st.integers(1, 5),
    cell=st.sampled_from([1, 4, 9]),
)
def test_counts_equal_erosion_of_each_mask(seed: int, size: tuple[int, int], classes: int, cell: int) -> None:
    generator = np.random.default_rng(seed)
    truth, prediction = (blobs(generator, size, classes, cell) for _ in range(2))
    assert np.array_equal(count(truth, prediction, classes), naive(truth, prediction, classes))


@pytest.mark.parametrize(("size", "width"), [((60, 70), 2), ((20, 150), 3)])
def test_wider_bands_equal_erosion_too(size: tuple[int, int], width: int) -> None:
    generator = np.random.default_rng(width)
    assert band_width(*size) == width
    truth, prediction = (blobs(generator, size, 3, 13) for _ in range(2))
    assert np.array_equal(count(truth, prediction, 3), naive(truth, prediction, 3))


@pytest.mark.parametrize(("size", "width"), [((1, 1), 1), ((30, 40), 1), ((75, 100), 2), ((375, 500), 12)])
def test_band_is_two_percent_of_the_diagonal(size: tuple[int, int], width: int) -> None:
    assert band_width(*size) == width


def test_band_by_hand() -> None:
    """d = 1: the photo's edge is an outline, and two regions share one, each with its own side."""
    label = np.zeros((7, 9), np.uint8)
    label[:, 6:] = 1
    assert outline_band(label).astype(int).tolist() == [
        [1] * 9,
        *[[1, 0, 0, 0, 0, 1, 1, 0, 1]] * 5,
        [1] * 9,
    ]


def test_shifted_square_by_hand() -> None:
    truth = np.zeros((12, 12), np.uint8)
    prediction = truth.copy()
    truth[2:7, 2:7] = 1  # a ring of 16 pixels
    prediction[2:7, 3:8] = 1
    counts = count(truth, prediction, 2)
    # 4 pixels of the upper side, 4 of the lower, none of the left and right ones: these lie inside or outside.
    assert counts[:, 1].tolist() == [8, 16, 16]
    assert boundary_iou(counts)[1] == pytest.approx(8 / 24)


def test_right_everywhere_is_1_and_absent_is_not_available() -> None:
    label = blobs(np.random.default_rng(0), (30, 40), 3, 7)
    found = boundary_iou(count(label, label, 5))
    assert found[:3].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(found[3:]).all()
    assert mean_known(found) == 1.0


def test_unknown_truth_is_not_counted_and_unsure_belongs_to_no_class() -> None:
    truth, prediction = np.full((10, 10), 255, np.uint8), np.zeros((10, 10), np.uint8)
    assert not count(truth, prediction, 2).any()
    assert np.isnan(boundary_iou(count(truth, prediction, 2))).all()
    both, in_truth, in_prediction = count(prediction, truth, 2)
    assert (both.sum(), in_truth.sum(), in_prediction.sum()) == (0, 36, 0)


def test_a_large_region_hides_a_wrong_outline_from_iou_only() -> None:
    truth = np.zeros((100, 100), np.uint8)
    prediction = truth.copy()
    truth[10:90, 10:90] = 1
    prediction[14:86, 14:86] = 1
    iou = (prediction & truth).sum() / (prediction | truth).sum()
    assert iou > 0.8
    assert boundary_iou(count(truth, prediction, 2))[1] == 0.0


def test_photos_add_up() -> None:
    generator = np.random.default_rng(1)
    pairs = [(blobs(generator, (15, 20), 3, 4), blobs(generator, (15, 20), 3, 4)) for _ in range(3)]
    total = sum(count(*pair, 3) for pair in pairs)
    expected = sum(naive(*pair, 3) for pair in pairs)
    assert isinstance(total, np.ndarray)
    np.testing.assert_allclose(boundary_iou(total), expected[0] / (expected[1] + expected[2] - expected[0]))


def test_labels_that_are_not_contiguous_are_read_right() -> None:
    label = blobs(np.random.default_rng(2), (20, 30), 4, 5)
    assert np.array_equal(outline_band(label.T).T, outline_band(label))
    assert np.array_equal(outline_band(label[:, ::-1])[:, ::-1], outline_band(label))
