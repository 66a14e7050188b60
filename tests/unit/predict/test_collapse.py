"""What counts as a collapsed network, and what is said of one."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.data.index import Record
from wsss.predict.collapse import Spread, spread_of

CLASSES = ("background", *"abcdefghijkl")


def photos(*tags: tuple[int, ...]) -> list[Record]:
    return [Record(str(number), "val", "", None, each, 1, 1, "") for number, each in enumerate(tags)]


def values(**pixels: int) -> np.ndarray:
    """(256,) counts: ``values(v0=90, v255=10)``."""
    counts = np.zeros(256, np.int64)
    for name, number in pixels.items():
        counts[int(name[1:])] = number
    return counts


def spread(predicted: np.ndarray, pseudo: np.ndarray, tags: tuple[int, ...] = (1, 2, 3)) -> Spread:
    return spread_of(photos(tags), predicted, pseudo)


def test_shares_are_those_of_all_predicted_and_of_all_labelled_pixels() -> None:
    found = spread(values(v0=60, v1=30, v3=10), values(v0=30, v1=10, v255=60))
    assert (found.top, found.share, found.usual) == (0, 0.6, 0.75)
    assert (found.tagged, found.missing) == ((1, 2, 3), (2,))
    assert not found.collapsed


@pytest.mark.parametrize(
    ("predicted", "pseudo", "collapsed"),
    [
        (values(v0=95, v1=2, v2=2, v3=1), values(v0=89, v1=11), True),
        (values(v0=94, v1=3, v2=2, v3=1), values(v0=89, v1=11), False),
        (values(v0=95, v1=2, v2=2, v3=1), values(v0=91, v1=9), False),  # small objects, and found
        (values(v0=996, v1=2, v2=1, v3=1), values(v0=99, v1=1), True),  # small objects, and most of them lost
        (values(v0=996, v1=2, v2=1, v3=1), values(v0=996, v1=4), False),
        (values(v2=95, v1=3, v3=2), values(v0=60, v2=40), True),  # it need not be the background
        (values(v0=90, v1=10), values(v0=60, v1=40), False),  # one of three classes is a third
        (values(v0=100), values(v0=99, v1=1), True),  # none of three
        (values(v0=95, v1=2, v2=2, v3=1), values(v255=100), False),  # nothing to compare with, all classes found
    ],
)
def test_collapsed(predicted: np.ndarray, pseudo: np.ndarray, collapsed: bool) -> None:
    assert spread(predicted, pseudo).collapsed is collapsed


@pytest.mark.parametrize(("found", "collapsed"), [(4, False), (3, True)])
def test_less_than_a_third_of_the_tagged_classes(found: int, collapsed: bool) -> None:
    predicted = values(v0=50, **{f"v{number}": 5 for number in range(1, found + 1)})
    assert spread(predicted, values(v0=50, v1=50), tuple(range(1, 13))).collapsed is collapsed


def test_photos_without_tags_call_for_no_class() -> None:
    found = spread_of(photos((), ()), values(v0=10), values(v0=10))
    assert (found.tagged, found.missing, found.collapsed) == ((), (), False)


def test_description() -> None:
    found = spread(values(v0=96, v1=4), values(v0=44, v1=56))
    expected = "96.0 % of all pixels are background (44.0 % in the pseudo-labels); never predicted, though tagged: b, c"
    assert found.describe(CLASSES) == expected
    many = spread(values(v1=7), values(v255=1), tuple(range(1, 13)))
    assert many.describe(CLASSES) == (
        "100.0 % of all pixels are a; never predicted, though tagged: b, c, d, e, f, g, h, i, and 3 more"
    )
    assert spread(values(v1=1, v2=1, v3=2), values(v3=1)).describe(CLASSES) == (
        "50.0 % of all pixels are c (100.0 % in the pseudo-labels)"
    )
