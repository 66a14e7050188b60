"""Classes that come together: named in groups, and only where photos enough say so."""

from __future__ import annotations

import pytest

from wsss.data.companions import inseparable
from wsss.data.index import Record


def groups(*tags: tuple[int, ...]) -> list[tuple[int, ...]]:
    return inseparable([Record(str(n), "train", "", None, each, 8, 8, "") for n, each in enumerate(tags)], 5)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([(1, 2)] * 6 + [(1,), (2,)], [(1, 2)]),  # 6 of 8
        ([(1, 2)] * 6 + [(1,), (1,), (2,)], []),  # 6 of 9
        ([(1, 2)] * 4, []),  # too few to tell
        ([(1, 3)] * 9 + [(1, 3, 4)] * 6 + [(3, 4)] * 2 + [(2, 5)] * 5, [(1, 3), (2, 5)]),
        ([(1, 2, 3)] * 9 + [(1, 2), (2, 3), (4,)], [(1, 2, 3)]),
        ([(1, 2)] * 6 + [(4, 5)] * 5 + [(4,)], [(1, 2), (4, 5)]),
        ([], []),
    ],
)
def test_groups(tags: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> None:
    assert groups(*tags) == expected


def test_a_class_may_join_two_groups() -> None:
    assert groups(*[(1, 2, 3)] * 8, (1, 2), (1, 2), (2, 3), (2, 3)) == [(1, 2, 3)]
