"""Classes that the tags can hardly tell apart, because they nearly always come together, or never alone.

A classifier of tags learns nothing of where one of them ends and the other begins.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsss.data.index import Record

TOGETHER = 0.75
"""Of the photos with either of two classes, the fraction with both, from which their maps are not to be trusted. In
eight sets looked at (ten domains of one to twenty classes), bumper and window of cars have .9 and building and road of
satellite tiles, which a classifier still tells apart, .65; all others are below .4."""
PHOTOS = 5
"""Photos with both, at least: fewer may be chance."""


def inseparable(records: Sequence[Record], foreground: int) -> list[tuple[int, ...]]:
    """Groups of classes 1..`foreground` of which each comes with another one of its group in nearly every photo.

    `records`: the training photos. Each group is ascending, and so are the groups.
    """
    shown = {k: {r.id for r in records if k in r.tags} for k in range(1, foreground + 1)}
    group = {k: {k} for k in shown}
    for a in shown:
        for b in range(a + 1, foreground + 1):
            both, either = len(shown[a] & shown[b]), len(shown[a] | shown[b])
            if both >= PHOTOS and both >= TOGETHER * either and group[a] is not group[b]:
                joined = group[a] | group[b]
                group.update(dict.fromkeys(joined, joined))
    return sorted({tuple(sorted(members)) for members in group.values() if len(members) > 1})


def never_alone(records: Sequence[Record], foreground: int) -> list[int]:
    """Classes 1..`foreground` of some of `records`, not of all, that are never a photo's only tag. Those that
    `inseparable` finds are left out.
    """
    shown = {tag for record in records for tag in record.tags}
    alone = {record.tags[0] for record in records if len(record.tags) == 1}
    grouped = {k for group in inseparable(records, foreground) for k in group}
    everywhere = {k for k in shown if all(k in record.tags for record in records)}
    return sorted(shown - alone - grouped - everywhere)
