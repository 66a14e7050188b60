"""Pieces of a mask, against another library's count."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as pieces_of

from wsss.data.pieces import count_pieces


@pytest.mark.parametrize("density", [0.02, 0.3, 0.55, 0.6, 0.95])
@pytest.mark.parametrize("shape", [(60, 47), (1, 50), (50, 1)])
def test_as_many_as_another_library_finds(shape: tuple[int, int], density: float) -> None:
    for seed in range(5):
        mask = np.random.default_rng(seed).random(shape) < density
        assert count_pieces(mask) == pieces_of(mask, connectivity=1).max()


def test_a_spiral_is_one_piece() -> None:
    mask = np.zeros((41, 41), bool)
    row, column, turn, length = 0, 0, 0, 40
    while length > 0:
        for _ in range(2):
            down, across = ((0, 1), (1, 0), (0, -1), (-1, 0))[turn % 4]
            for _ in range(length):
                mask[row, column] = True
                row, column = row + down, column + across
            turn += 1
        length -= 2
    assert count_pieces(mask) == pieces_of(mask, connectivity=1).max() == 1


def test_nothing_and_everything() -> None:
    assert count_pieces(np.zeros((3, 4), bool)) == 0
    assert count_pieces(np.ones((3, 4), bool)) == 1
    assert count_pieces(np.zeros((0, 4), bool)) == 0
