"""Suggestions and orders, on features that are known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RawData
from tests.toy_tag import toy_look, two_kinds, waited
from wsss.core.errors import EnvError
from wsss.tag.session import Change, Session
from wsss.tag.similar import like, principal, standardised, walk
from wsss.tag.suggest import FIRST, Look, Suggestions, hints_of


def test_walk_visits_every_photo_once_and_keeps_kinds_together() -> None:
    random = np.random.default_rng(0)
    kinds = random.permutation(np.repeat([0, 1, 2], 20))
    features = (random.normal(0, 0.1, (60, 8)) + 5 * np.eye(8)[kinds]).astype(np.float32)
    before = features.copy()
    order = walk(features)
    assert sorted(order) == list(range(60))
    assert sum(kinds[a] != kinds[b] for a, b in pairwise(order)) < 6  # by chance: 40
    np.testing.assert_array_equal(features, before)


@pytest.mark.parametrize(("count", "width"), [(50, 20), (20, 50)])
def test_principal_directions_keep_the_distances(count: int, width: int) -> None:
    features = np.random.default_rng(2).normal(0, 3, (count, width)).astype(np.float32)
    places, scaled = principal(features), standardised(features)
    for a, b in ((0, 1), (5, 17)):
        assert np.linalg.norm(places[a] - places[b]) == pytest.approx(np.linalg.norm(scaled[a] - scaled[b]), rel=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_walk_of_few(count: int) -> None:
    assert sorted(walk(np.ones((count, 4), np.float32))) == list(range(count))


def test_like_begins_with_the_photo_itself_and_its_kind() -> None:
    random = np.random.default_rng(1)
    kinds = np.arange(40) % 2
    features = (random.normal(0, 0.3, (40, 6)) + 4 * np.eye(6)[kinds]).astype(np.float32)
    order = like(features, 7)
    assert order[0] == 7
    assert sorted(order) == list(range(40))
    assert {kinds[number] for number in order[:20]} == {1}


def test_hints_suggest_for_the_untagged_and_doubt_what_contradicts() -> None:
    look = toy_look()
    rows = {number: look(Path(f"{'cs'[number % 2]}{number}.jpg")) for number in range(60)}
    rows[58] = np.zeros(200, np.float32)  # between the kinds
    tags: list[tuple[str, ...] | None] = [("cow",) if number % 2 == 0 else ("sheep",) for number in range(50)]
    tags[4] = ("sheep",)  # a slip
    tags += [None] * 10
    found = hints_of(rows, tags, ("cow", "sheep", "never seen"), 3)
    assert found.version == 3
    assert {number: [name for name, _ in likely] for number, likely in found.likely.items() if number != 58} == {
        number: ["cow" if number % 2 == 0 else "sheep"] for number in range(50, 60) if number != 58
    }
    assert found.doubtful[:2] == [4, 58]
    assert all(0.5 <= chance <= 1 for likely in found.likely.values() for _, chance in likely)


def session_of(raw_data: RawData, count: int) -> Session:
    session = Session(two_kinds(raw_data, count))
    session.add_class("cow")
    session.add_class("sheep")
    return session


def test_suggestions_begin_after_the_first_photos_and_follow_new_tags(raw_data: RawData) -> None:
    session = session_of(raw_data, 46)
    (raw_data.root / session.photos[-1].image).rename(raw_data.root / "s_broken.jpg")
    session = Session(raw_data.root)
    suggestions = Suggestions(session, toy_look)
    assert suggestions.like(3)[0] == 3  # before anything was looked at
    suggestions.begin()
    try:
        waited(lambda: suggestions.ready)
        assert suggestions.seen == 46
        assert sorted(suggestions.alike()) == list(range(46))
        assert suggestions.alike()[-1] == 45  # the damaged one
        assert sorted(suggestions.like(45)) == list(range(46))
        for number in range(FIRST):
            name = "cow" if session.photos[number].image.startswith("c") else "sheep"
            session.apply([Change((number,), name, True)])
            if number == FIRST - 2:
                assert suggestions.hints.version == 0
        waited(lambda: suggestions.hints.version)
        first = suggestions.hints
        assert {name for likely in first.likely.values() for name, _ in likely} == {"sheep"}
        for number in range(30, 40):
            session.apply([Change((number,), "sheep", True)])
        waited(lambda: suggestions.hints.version > first.version)
        assert not set(suggestions.hints.likely) & set(range(40))
    finally:
        suggestions.end()
    assert not suggestions.failed


@pytest.mark.parametrize("error", [EnvError("weights", "missing", "pip install weights"), RuntimeError("odd")])
def test_without_a_network_tagging_goes_on_and_the_page_says_why(raw_data: RawData, error: Exception) -> None:
    def none() -> Look:
        raise error

    session = session_of(raw_data, 4)
    suggestions = Suggestions(session, none)
    suggestions.begin()
    waited(lambda: suggestions.failed)
    suggestions.end()
    assert ("pip install weights" if isinstance(error, EnvError) else "RuntimeError: odd") in suggestions.failed
    assert suggestions.alike() == [0, 1, 2, 3]
    assert session.apply([Change((0,), "cow", True)]) == [0]
