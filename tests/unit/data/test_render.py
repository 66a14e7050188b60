"""Overlays: pixels against expected values, and what must never change."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.data import render
from wsss.data.images import voc_palette
from wsss.data.size import fit_label

GREY = 100
PALETTE = voc_palette()


def flat(rows: int = 24, columns: int = 24) -> np.ndarray:
    return np.full((rows, columns, 3), GREY, np.uint8)


def random_photo(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


def blocks(*values: int) -> np.ndarray:
    """Vertical bands of 8 columns, one a value."""
    return np.repeat(np.asarray(values, np.uint8), 8)[None].repeat(24, axis=0)


def test_label_overlay_colours() -> None:
    picture = render.label_overlay(flat(), blocks(0, 1, 2), PALETTE)
    assert picture.shape == (24, 24, 3)
    assert picture.dtype == np.uint8
    assert picture[12, 3].tolist() == [GREY] * 3  # the photo
    assert picture[12, 11].tolist() == [117, 38, 38]  # .38 · 100 + .62 · (128, 0, 0)
    assert picture[12, 19].tolist() == [38, 117, 38]
    assert picture[12, 8].tolist() == [255, 255, 255]  # class 1 beside background
    assert picture[12, 7].tolist() == [GREY] * 3  # the background's side has no edge


def test_the_photo_keeps_its_colours_outside_of_labels() -> None:
    photo, label = random_photo(24, 32), blocks(0, 1, 255, 0)
    picture = render.label_overlay(photo, label, PALETTE)
    assert (picture[label == 0] == photo[label == 0]).all()
    assert (picture[label == 255] == photo[label == 255]).all(axis=-1).mean() > 0.4
    assert (picture[label == 1] != photo[label == 1]).any(axis=-1).all()


def test_under_a_colour_the_photo_is_grey() -> None:
    photo = np.full((24, 24, 3), (200, 20, 20), np.uint8)
    picture = render.label_overlay(photo, np.ones((24, 24), np.uint8), np.zeros((256, 3), np.uint8))
    assert np.ptp(picture, axis=-1).max() == 0


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128)])
def test_outlines_are_seen_on_any_photo(colour: tuple[int, int, int]) -> None:
    photo, label = np.full((200, 240, 3), colour, np.uint8), np.zeros((200, 240), np.uint8)
    label[60:140, 60:140] = 1
    palette = np.full((256, 3), colour, np.uint8)
    row = render.label_overlay(photo, label, palette)[100, 58:64, 0].astype(int)
    assert row.tolist()[2:4] == [255, 16]  # at most two pixels wide
    assert row[[0, 1, 4, 5]].tolist() == [colour[0]] * 4
    assert max(abs(row[2:4] - colour[0])) > 100


def test_hatching_only_on_255() -> None:
    label = blocks(0, 255, 1)
    picture = render.label_overlay(flat(), label, PALETTE)
    ignored = label == 255
    for colour in (render.HATCH_LIGHT, render.HATCH_DARK):
        line = np.rint(0.25 * GREY + 0.75 * np.asarray(colour))
        is_line = (picture == line).all(axis=-1)
        assert (label[is_line] == 255).all()
        assert is_line[label == 255].mean() == pytest.approx(render.HATCH_LINE / render.HATCH_PERIOD, abs=0.01)
        ignored = ignored & ~is_line
    assert (picture[ignored] == GREY).all()


def test_every_row_and_column_of_255_is_hatched() -> None:
    lines = render.hatching((40, 56))
    assert lines.any(axis=0).all()
    assert lines.any(axis=1).all()


def test_edges_match_brute_force() -> None:
    label = np.random.default_rng(1).choice(np.array([0, 1, 2, 255], np.uint8), (17, 13))
    expected = np.zeros(label.shape, bool)
    for row, column in np.ndindex(*label.shape):
        if label[row, column] in (0, 255):
            continue
        for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            r, c = row + down, column + across
            if 0 <= r < 17 and 0 <= c < 13 and label[r, c] != label[row, column]:
                expected[row, column] = True
    assert (render.edges(label) == expected).all()


def test_label_overlay_follows_a_permutation_of_classes() -> None:
    photo = random_photo(20, 30)
    label = np.random.default_rng(2).integers(0, 4, (20, 30), np.uint8)
    new_number = np.array([0, 3, 1, 2], np.uint8)
    palette = PALETTE.copy()
    palette[new_number] = PALETTE[:4]
    expected = render.label_overlay(photo, label, PALETTE)
    assert (render.label_overlay(photo, new_number[label], palette) == expected).all()


def test_overlays_follow_a_flip() -> None:
    photo, scores = random_photo(20, 30), np.random.default_rng(3).random((5, 7), np.float32)
    label = np.random.default_rng(4).integers(0, 4, (20, 30), np.uint8)
    overlay = render.label_overlay(photo, label, PALETTE)
    assert (render.label_overlay(photo[:, ::-1].copy(), label[:, ::-1].copy(), PALETTE) == overlay[:, ::-1]).all()
    heat = render.heat_overlay(photo, scores)
    flipped = render.heat_overlay(photo[:, ::-1].copy(), scores[:, ::-1].copy())
    assert np.abs(flipped.astype(int) - heat[:, ::-1]).max() <= 1


@pytest.mark.parametrize(("score", "alpha", "colour"), [(0.0, 0.45, (20, 14, 54)), (1.0, 0.9, (252, 255, 164))])
def test_heat_overlay_ends(score: float, alpha: float, colour: tuple[int, ...]) -> None:
    picture = render.heat_overlay(flat(), np.full((3, 3), score, np.float32))
    expected = np.rint((1 - alpha) * GREY + alpha * np.asarray(colour))
    assert (picture == expected).all()


def test_heat_overlay_accepts_any_grid_and_clips() -> None:
    picture = render.heat_overlay(flat(11, 7), np.array([[1.5]], np.float16))
    assert (picture == render.heat_overlay(flat(11, 7), np.ones((4, 2)))).all()


def test_heat_peak_lies_where_the_score_peaks() -> None:
    scores = np.zeros((6, 6), np.float32)
    scores[1, 4] = 1
    light = render.heat_overlay(flat(60, 60), scores).astype(int).sum(axis=-1)
    row, column = np.unravel_index(light.argmax(), light.shape)
    assert 10 <= row < 20
    assert 40 <= column < 50


def test_heat_colours_become_ever_lighter() -> None:
    colours = render.heat_colours()
    assert colours.shape == (256, 3)
    assert [tuple(colours[place]) for place in (0, 255)] == [render.HEAT_STOPS[0], render.HEAT_STOPS[-1]]
    # Rounding to whole values may take back one step of one channel.
    assert np.diff(colours @ np.array([0.299, 0.587, 0.114])).min() > -0.6


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((213, 320), (213, 320)),
        ((400, 640), (200, 320)),
        ((1, 5000), (1, 320)),
        ((5000, 1), (640, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_fit(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    photo = random_photo(*shape)
    assert render.fit(photo, 320).shape == (*expected, 3)


def test_fit_label_brings_no_new_value() -> None:
    label = np.random.default_rng(5).choice(np.array([0, 7, 255], np.uint8), (33, 47))
    small = fit_label(label, (10, 14, 3))
    assert small.shape == (10, 14)
    assert set(np.unique(small)) <= {0, 7, 255}


def test_inputs_stay_as_they_are() -> None:
    photo, label = random_photo(24, 24), blocks(0, 1, 255)
    scores = np.random.default_rng(6).random((4, 4), np.float32)
    copies = photo.copy(), label.copy(), scores.copy()
    for array in (photo, label, scores):
        array.flags.writeable = False
    render.label_overlay(photo, label, PALETTE)
    render.heat_overlay(photo, scores)
    same = render.fit(photo, 64)
    render.fit(photo, 8)
    fit_label(label, (5, 5))
    assert not np.shares_memory(same, photo)
    for array, copy in zip((photo, label, scores), copies, strict=True):
        assert (array == copy).all()


def test_css_colour() -> None:
    assert render.css_colour((0, 128, 255)) == "#0080ff"
    assert render.css_colour(PALETTE[1]) == "#800000"
