"""Colours that people see: far enough apart for usual and for colour-blind eyes."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.data.palette import DEUTERANOPIA, FIRST, PROTANOPIA, USUAL, display_palette, lab
from wsss.data.render import COLOUR_ALPHA

# Viénot, Brettel and Mollon (1999), on linear RGB: another model of these eyes than the one that chose the colours.
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


@pytest.mark.parametrize(
    ("eye", "least", "neighbours"), [("usual", 20, 30), ("protanopia", 12, 18), ("deuteranopia", 12, 18)]
)
def test_the_first_twelve_classes_are_told_apart(eye: str, least: float, neighbours: float) -> None:
    seen = lab(display_palette()[1:13], EYES[eye])
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distances[np.triu_indices(12, 1)].min() > least
    assert np.diagonal(distances, 1).min() > neighbours


def test_the_first_classes_are_told_apart_over_a_photo_and_the_two_blues_are_not_neighbours() -> None:
    tinted = np.rint((1 - COLOUR_ALPHA) * 128 + COLOUR_ALPHA * np.asarray(FIRST))
    views = [lab(tinted, eye) for eye in (USUAL, PROTANOPIA, DEUTERANOPIA)]
    apart = np.min([np.linalg.norm(view[:, None] - view[None], axis=-1) for view in views], axis=0)
    for number in range(2, len(FIRST)):
        assert apart[number:, :number].min(1).argmax() == 0  # the next one is the farthest of all that are left
    least = [apart[:count, :count][np.triu_indices(count, 1)].min() for count in range(2, len(FIRST) + 1)]
    assert np.round(least, 1).tolist() == [83.3, 34.7, 21.8, 16.2, 12.6, 10.0]


def test_all_colours_differ_and_neighbours_do_for_all_eyes() -> None:
    palette = display_palette()
    assert (palette.shape, palette.dtype) == ((256, 3), np.uint8)
    assert len({tuple(colour) for colour in palette.tolist()}) == 256
    for eye in EYES.values():
        seen = lab(palette[1:255], eye)
        assert np.linalg.norm(np.diff(seen, axis=0), axis=1).min() > 6


def test_classes_are_bright_and_never_grey() -> None:
    lightness, *ab = lab(display_palette()[1:255]).T
    assert lightness.min() > 35
    assert np.hypot(*ab).min() > 30
    after = lightness[len(FIRST) :]
    steps = np.diff(after)
    assert (np.sign(steps[1:]) == -np.sign(steps[:-1])).all()  # bright and dark take turns


def test_lab_of_known_colours() -> None:
    found = lab([(255, 255, 255), (0, 0, 0), (255, 0, 0)])
    expected = [(100, 0, 0), (0, 0, 0), (53.24, 80.09, 67.20)]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        display_palette()[1] = 0
