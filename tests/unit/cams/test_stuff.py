"""Classes that fill their photos are told from things, from maps, local features and tags."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsss.cams import stuff as module
from wsss.cams.stuff import Stuff, choose, high_and_low, judge
from wsss.data.index import Record

PHOTOS, CELLS, WIDTH = 40, 50, 6
GROUND, WATER, STEEL, MARK = np.eye(WIDTH)[:4] * 4


def photos(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Half of the photos have the tag. Positions: the first fifth is the peak of the map, three fifths are low."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(PHOTOS, CELLS, WIDTH)).astype(np.float32)
    tagged = np.arange(PHOTOS) % 2 == 0
    high, low = np.zeros((PHOTOS, CELLS), bool), np.zeros((PHOTOS, CELLS), bool)
    high[tagged, : CELLS // 5] = low[tagged, 2 * CELLS // 5 :] = True
    if kind == "stuff":  # all of a tagged photo is water, and where the map peaks is chance
        features[tagged] += WATER
        features[~tagged] += GROUND
    elif kind == "thing":  # a mark on ground that other photos show as well
        features += GROUND
        features[high] += MARK
    elif kind == "thing on ground of its own":  # a mark on steel that no other photo shows
        features[tagged] += STEEL
        features[~tagged] += GROUND
        features[high] += MARK
    return features, tagged, high, low


@pytest.mark.parametrize(
    ("kind", "filling"), [("stuff", True), ("thing", False), ("thing on ground of its own", False), ("noise", False)]
)
def test_only_what_fills_its_photos_is_stuff(kind: str, filling: bool) -> None:
    features, tagged, high, low = photos(kind)
    found = judge(features, tagged, high, low)
    assert (found is not None) == filling
    if found is not None:
        weight, bias = found
        belongs = features @ weight + bias > 0
        assert belongs[tagged].mean() > 0.9
        assert belongs[~tagged].mean() == pytest.approx(1 - module.RARE, abs=0.01)


@pytest.mark.parametrize("tagged", [0, 7, PHOTOS - 7, PHOTOS])
def test_few_photos_with_or_without_the_tag_tell_nothing(tagged: int) -> None:
    features, _, high, low = photos("stuff")
    assert judge(features, np.arange(PHOTOS) < tagged, high, low) is None


def test_a_map_that_is_nowhere_low_or_nowhere_high_tells_nothing() -> None:
    features, tagged, high, low = photos("stuff")
    assert judge(features, tagged, high, np.zeros_like(low)) is None
    assert judge(features, tagged, np.zeros_like(high), low) is None


def test_high_is_of_a_class_and_low_of_all_maps_of_the_photo() -> None:
    scores = np.random.default_rng(0).random((3, 100))
    high, low = high_and_low(scores, (1, 3))
    assert high.sum(1).tolist() == [15, 0, 15]
    assert scores[0, high[0]].min() > scores[0, ~high[0]].max()
    highest = scores[[0, 2]].max(0)
    assert low.sum() == 30
    assert highest[low].max() < highest[~low].min()
    assert not any(part.any() for part in high_and_low(scores, ()))
    assert not any(part.any() for part in high_and_low(np.full((1, 9), 0.5), (1,)))


def test_photos_are_chosen_evenly_and_only_where_a_class_can_be_judged() -> None:
    def record(number: int, *tags: int) -> Record:
        return Record(f"{number:04}", "train", "", None, tags, 8, 8, "")

    many = [record(n, *((1,) if n % 2 else ())) for n in range(400)]
    chosen = choose(many, 2)
    assert sum(1 in r.tags for r in chosen) == sum(1 not in r.tags for r in chosen) == module.PHOTOS
    assert [r.id for r in chosen] == sorted(r.id for r in chosen)
    assert choose([record(n, 1) for n in range(50)], 1) == []
    assert choose([], 1) == []


def test_marks_only_tags_that_are_stuff_and_by_the_linear_classifier() -> None:
    torch.manual_seed(0)
    levels = [torch.randn(2, 3, 4), torch.randn(1, 3, 4)]
    stuff = Stuff((2,), np.array([[1.0, -2.0, 0.5]], np.float32), np.array([0.1], np.float32))
    found = stuff.of(levels, (1, 2))
    assert found.shape == (2, 3, 4)
    assert not found[0].any()
    together = torch.cat(levels).numpy()
    expected = together[0] - 2 * together[1] + 0.5 * together[2] + 0.1 > 0
    assert (found[1] == expected).all()
    assert 0 < found[1].mean() < 1
