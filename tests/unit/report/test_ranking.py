"""Scores of single photos, and the choice of those that are shown."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.report.ranking import (
    class_ious,
    classes_in,
    coverage,
    disagreement,
    evenly,
    exchanged,
    histogram,
    mean_iou,
    specks,
    untagged,
    values_of,
    worst_and_spread,
)


def brute_force(label: np.ndarray, mask: np.ndarray, classes: int) -> list[float]:
    pairs = [(int(a), int(b)) for a, b in zip(label.ravel(), mask.ravel(), strict=True) if b != 255]
    ious = []
    for number in range(classes):
        both = sum(a == number and b == number for a, b in pairs)
        either = sum(a == number or b == number for a, b in pairs)
        ious.append(both / either if either else float("nan"))
    return ious


@pytest.mark.parametrize("seed", range(50))
def test_class_ious_match_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.array([0, 1, 2, 4, 255], np.uint8)  # class 3 of 5 never occurs
    label, mask = random.choice(values, (2, 9, 7))
    found = class_ious(label, mask, 5)
    np.testing.assert_allclose(found, brute_force(label, mask, 5), rtol=1e-12)
    assert np.isnan(found[3])
    assert mean_iou(found) == pytest.approx(float(np.nanmean(found)))


def test_permuting_classes_permutes_ious() -> None:
    label, mask = np.random.default_rng(0).integers(0, 4, (2, 12, 12), np.uint8)
    order = np.array([2, 0, 3, 1], np.uint8)
    np.testing.assert_array_equal(class_ious(order[label], order[mask], 4)[order], class_ious(label, mask, 4))


@pytest.mark.parametrize("seed", range(20))
def test_disagreement_matches_brute_force(seed: int) -> None:
    first, second = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), (2, 4, 3))
    pairs = [(a, b) for a, b in zip(first.flat, second.flat, strict=True) if a != 255 and b != 255]
    expected = sum(a != b for a, b in pairs) / len(pairs) if pairs else None
    assert disagreement(first, second) == disagreement(second, first) == pytest.approx(expected)


def test_disagreement_without_a_pixel_that_both_label() -> None:
    assert disagreement(np.array([[0, 255]], np.uint8), np.array([[255, 1]], np.uint8)) is None


def test_specks_are_small_and_in_neither_mask_nor_tags() -> None:
    label = np.zeros((60, 50), np.uint8)
    for value, pixels in {1: 2, 2: 3, 3: 2, 4: 2, 255: 1}.items():
        label[value % 60, :pixels] = value
    mask = np.where(label == 3, 3, 0).astype(np.uint8)
    assert specks(label, mask, (4,)) == {1: 2}
    assert specks(label, None, ()) == {1: 2, 3: 2, 4: 2}


def test_untagged_classes_are_large_and_without_a_tag() -> None:
    label = np.zeros((10, 100), np.uint8)
    label[0, :10], label[1, :11], label[2, :20], label[3, :40], label[4] = 1, 2, 3, 4, 255
    assert untagged(label, (4,)) == ((3, 0.02), (2, 0.011))
    assert untagged(label, ()) == ()


def test_mean_iou_perfect() -> None:
    mask = np.array([[0, 1, 255]], np.uint8)
    assert mean_iou(class_ious(np.array([[0, 1, 1]], np.uint8), mask, 3)) == 1.0


def test_unlabelled_pixel_is_a_miss() -> None:
    mask, label = np.array([[1, 1]], np.uint8), np.array([[1, 255]], np.uint8)
    assert class_ious(label, mask, 2)[1] == 0.5


def test_mean_iou_of_a_mask_that_is_all_255() -> None:
    mask = np.full((3, 3), 255, np.uint8)
    assert mean_iou(class_ious(np.zeros((3, 3), np.uint8), mask, 3)) is None


def test_coverage_and_values() -> None:
    label = np.array([[0, 3], [255, 255]], np.uint8)
    assert coverage(label) == 0.5
    assert values_of(label) == [0, 3, 255]


@pytest.mark.parametrize("count", range(30))
@pytest.mark.parametrize("shown", [1, 2, 3, 8, 9, 40])
def test_worst_and_spread(count: int, shown: int) -> None:
    ranks = worst_and_spread(count, shown)
    assert len(ranks) == min(count, shown)
    assert ranks == sorted(set(ranks))
    worst = (len(ranks) + 1) // 2
    assert ranks[:worst] == list(range(worst))
    if len(ranks) >= 2:
        assert ranks[-1] == count - 1
        steps = np.diff(ranks[worst:])
        assert not len(steps) or steps.max() - steps.min() <= 1


def test_evenly() -> None:
    assert evenly(10, 4) == [0, 2, 5, 7]
    assert evenly(3, 9) == [0, 1, 2]
    assert evenly(3, 0) == []
    assert evenly(0, 3) == []


def test_histogram_counts_every_score_once() -> None:
    assert histogram([0.0, 0.05, 0.1, 0.999, 1.0]) == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert histogram([]) == [0] * 10


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ([[0, 2, 1, 1]], (1, 2)),
        ([[0, 0, 255]], (0,)),
        ([[255]], ()),
        ([[3, 3, 255, 0, 0, 0]], (3,)),
        ([[2, 1]], (1, 2)),
    ],
)
def test_classes_in_colour(label: list[int], expected: tuple[int, ...]) -> None:
    assert classes_in(np.array([label], np.uint8)) == expected


def test_the_classes_that_are_exchanged_most() -> None:
    first = np.array([[1, 1, 1, 2, 2, 0, 255, 3]], np.uint8)
    second = np.array([[2, 2, 1, 1, 2, 255, 1, 0]], np.uint8)
    assert exchanged(first, second) == (1, 2)
    assert exchanged(second, first) == (2, 1)
    assert exchanged(first, first) is None
    assert exchanged(first, np.full_like(first, 255)) is None
