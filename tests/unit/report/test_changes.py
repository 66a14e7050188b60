"""Changed pixels against a pixel by pixel reference."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.data.palette import display_palette
from wsss.data.render import change_overlay
from wsss.report.changes import BETTER, OTHER, SAME, WORSE, changed, changes

VALUES = np.array([0, 1, 2, 255], np.uint8)


def brute_force(first: int, second: int, truth: int | None) -> int:
    if first == second or truth == 255:
        return SAME
    if truth is not None and second == truth:
        return BETTER
    if truth is not None and first == truth:
        return WORSE
    return OTHER


@pytest.mark.parametrize("masked", [True, False])
def test_changes_match_brute_force(masked: bool) -> None:
    first, second, truth = np.random.default_rng(0).choice(VALUES, (3, 30, 40))
    found = changes(first, second, truth if masked else None)
    assert found.dtype == np.uint8
    for place in np.ndindex(*first.shape):
        known = int(truth[place]) if masked else None
        assert found[place] == brute_force(int(first[place]), int(second[place]), known)
    assert {int(value) for value in np.unique(found)} == ({0, 1, 2, 3} if masked else {SAME, OTHER})


def test_swapping_the_runs_swaps_better_and_worse() -> None:
    first, second, truth = np.random.default_rng(1).choice(VALUES, (3, 20, 20))
    swap = np.array([SAME, WORSE, BETTER, OTHER])
    assert (changes(second, first, truth) == swap[changes(first, second, truth)]).all()
    assert changed(first, second) == changed(second, first)


def test_changed_counts_no_label_as_a_label() -> None:
    assert changed(np.array([[0, 255, 1, 255]], np.uint8), np.array([[0, 1, 255, 255]], np.uint8)) == 0.5


def test_change_overlay_marks() -> None:
    photo = np.full((8, 32, 3), 100, np.uint8)
    found = np.repeat(np.array([[SAME, BETTER, WORSE, OTHER]], np.uint8), 8, axis=1).repeat(8, axis=0)
    picture = change_overlay(photo, found)
    assert (picture[:, :8] == 108).all()  # 66 + 0.42 · 100
    assert (picture[:, 8:16] > 240).all()
    assert (picture[:, 16:24] < 30).all()
    assert (picture[:4, 24:28] > 240).all()
    assert (picture[4:, 24:28] < 30).all()
    # Classes have a hue, marks have none.
    assert np.ptp(picture.astype(int), axis=-1).max() < 5 < np.ptp(display_palette()[1:255].astype(int), axis=-1).min()
    assert (photo == 100).all()
