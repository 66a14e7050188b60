"""Pieces of a label map, against another library's count."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as pieces_of

from wsss.data.pieces import count_pieces


def counted(label: np.ndarray) -> list[int]:
    return [int(pieces_of(label == value, connectivity=1).max(initial=0)) for value in range(256)]


@pytest.mark.parametrize("density", [0.02, 0.3, 0.55, 0.6, 0.95])
@pytest.mark.parametrize("shape", [(60, 47), (1, 50), (50, 1)])
def test_as_many_as_another_library_finds(shape: tuple[int, int], density: float) -> None:
    for seed in range(3):
        generator = np.random.default_rng(seed)
        label = np.where(generator.random(shape) < density, 7, generator.integers(0, 3, shape)).astype(np.uint8)
        assert count_pieces(label).tolist() == counted(label)


def test_spirals_are_one_piece_each() -> None:
    label = np.zeros((41, 41), np.uint8)
    row, column, turn, length = 0, 0, 0, 40
    while length > 0:
        for _ in range(2):
            down, across = ((0, 1), (1, 0), (0, -1), (-1, 0))[turn % 4]
            for _ in range(length):
                label[row, column] = 255
                row, column = row + down, column + across
            turn += 1
        length -= 2
    found = count_pieces(label)
    assert found.tolist() == counted(label)
    assert found[255] == 1


def test_one_value_and_nothing() -> None:
    assert count_pieces(np.full((3, 4), 5, np.uint8)).tolist() == [int(value == 5) for value in range(256)]
    assert not count_pieces(np.zeros((0, 4), np.uint8)).any()
