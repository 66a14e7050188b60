"""Captions and legends: they fit the picture, and every name is written or called by its number."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.data import captions
from wsss.data.captions import LARGEST, ROWS, SMALLEST, caption, font_size, legend
from wsss.data.palette import display_palette

HOSTILE = [
    "猫",
    "собака",
    "قطة",
    "🐟",
    "a\nb\tc",
    "",
    "\x00\x1b[31m",
    "\udcff",
    "e\u0301",
    "x" * 3000,
    "<b>",
    "\u202ecow",
]


def has(strip: np.ndarray, colour: np.ndarray) -> bool:
    return bool((strip == colour).all(axis=-1).any())


@pytest.mark.parametrize("width", [1, 7, 40, 160, 1024])
@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_at_any_width(text: str, width: int) -> None:
    strip = caption(text, width)
    assert (strip.dtype, strip.shape[1:]) == (np.uint8, (width, 3))
    assert legend(["background", text, "cow"], [0, 1, 2, 255], width).shape[1:] == (width, 3)


def test_a_name_that_cannot_be_written_is_a_number() -> None:
    for name in ("猫", "a猫", "", "\udcff"):
        strange = legend(["background", "cow", name], [2], 300)
        assert (strange == legend(["background", "cow", "class 2"], [2], 300)).all()
    assert (legend(["background", "e\u0301"], [1], 300) == legend(["background", "é"], [1], 300)).all()
    assert (legend(["background", "é"], [1], 300) != legend(["background", "class 1"], [1], 300)).any()


def test_a_number_that_is_no_class_is_named_by_it() -> None:
    assert (legend(["background"], [7], 300) == legend([*"abcdefg", "class 7"], [7], 300)).all()


def test_legend_has_the_colours_of_what_is_present() -> None:
    strip = legend(["background", "cow", "horse"], [0, 2], 300)
    assert has(strip, display_palette()[2])
    assert not has(strip, display_palette()[1])
    assert not has(strip, display_palette()[0])


def test_many_classes_take_few_rows_and_are_counted() -> None:
    names = ["background", *(f"class number {n}" for n in range(200))]
    one, many = legend(names, [1], 200), legend(names, range(201), 200)
    assert len(many) == (ROWS + 1) * len(one)
    assert len(legend(names, [1, 2], 1024)) == len(legend(names, [1], 1024))


def test_what_is_too_long_is_cut() -> None:
    assert (caption("x" * 3000, 200) == caption("x" * 100, 200)).all()
    assert (caption("x" * 3000, 200)[:, -2:] == 255).all()


def test_letters_grow_with_the_picture_within_limits() -> None:
    sizes = [font_size(width) for width in (10, 200, 500, 5000)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (SMALLEST, LARGEST)


@pytest.mark.parametrize("name", ["Äpfel", "łoś", "собака", "γάτα"])
def test_letters_of_europe_are_written(name: str) -> None:
    assert (legend(["background", name], [1], 300) != legend(["background", "class 1"], [1], 300)).any()


def test_without_any_font_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for font in ("_font", "_has"):
        getattr(captions, font).cache_clear()
    monkeypatch.setattr(captions.features, "check", lambda name: False)
    try:
        assert (caption("cow" * 99, 100) < 255).any()
        assert (legend(["background", "猫"], [1], 300) == legend(["background", "class 1"], [1], 300)).all()
    finally:
        for font in ("_font", "_has"):
            getattr(captions, font).cache_clear()
