"""A comparison for the terminal and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsss.report.bootstrap import LEVEL
from wsss.report.compare import Comparison
from wsss.report.compare_rows import Pooled, Row

HEAD = f"{'A':>7} {'B':>7} {'Δ':>7}"
BESIDE = f"[{LEVEL:.0f} %]"
INTERVAL = (
    f"{BESIDE}: interval of Δ over photos drawn anew (bootstrap). Another seed moves Δ as well; that is not in it."
)


def heading(found: Comparison) -> str:
    """Which photos were compared, and by which measure."""
    splits, count = ", ".join(found.splits), len(found.photos)
    text = f"{count} photo{'' if count == 1 else 's'} of {splits} in both, {found.judged} with a mask."
    if not found.judged:
        text += " No photo has a mask, so they are ordered by the share of pixels in which A and B differ."
    return text


def older(found: Comparison) -> list[str]:
    """A line for each run whose predictions and scores are of an earlier one."""
    return [
        f"{name}: evaluate is older than {newer}: its predictions and score table are left out"
        for name, newer in zip("AB", found.newer, strict=True)
        if newer
    ]


def other_code(found: Comparison) -> str:
    """Which stages ran by other code; or nothing."""
    return f"code differs in: {', '.join(found.code)}" if found.code else ""


def own_photos(found: Comparison) -> str:
    """A remark where the runs' own score tables are not of the same number of photos; or nothing."""
    if all(len({number for number in score.photos if number is not None}) < 2 for score in found.scores):
        return ""
    return "These are the runs' own scores, which were not taken of the same number of photos."


def as_text(found: Comparison, count: int, page: Path) -> str:
    """The whole comparison as lines."""
    a, b = found.titles
    lines = [f"A: {a}", f"B: {b}", heading(found), *older(found)]
    if found.scores:
        width = max(6, *(len(score.name) for score in found.scores))
        lines += ["", f"{'mIoU %':<{width}} {'split':<6} {HEAD}"]
        lines += [f"{score.name:<{width}} {score.split:<6} {_numbers(score)}" for score in found.scores]
        lines += [own_photos(found)] if own_photos(found) else []
    if found.labels:
        width = max(len(score.title) for score in found.labels)
        lines += ["", f"{'labels, %':<{width}} {'split':<6} {HEAD}"]
        lines += [f"{score.title:<{width}} {score.split:<6} {_numbers(score)}" for score in found.labels]
    if found.classes:
        rows = found.classes if found.mean is None else (found.mean, *found.classes)
        title, *table = _table(f"IoU % of {found.source}", rows)
        intervals = [interval(row) for row in rows]
        head, remark = (f"{title} {BESIDE}", [INTERVAL]) if any(intervals) else (title, [])
        lines += ["", head, *(f"{line} {beside}".rstrip() for line, beside in zip(table, intervals, strict=True))]
        lines += remark
    if found.labelled:
        lines += ["", *_table(f"{found.source}, %", found.labelled)]
    for title, photos in found.extremes(count).items():
        if not photos:
            lines += ["", f"{title}: none"]
        elif found.judged:
            lines += ["", *_table(f"{title}, IoU %", photos)]
        else:
            lines += ["", f"{title}, % of pixels", *(f"{_percent(photo.changed)}  {photo.name}" for photo in photos)]
    if found.settings:
        width = max(len("settings that differ"), *(len(key) for key, *_ in found.settings))
        left = max(1, *(len(first) for _, first, _ in found.settings))
        lines += ["", f"{'settings that differ':<{width}}  {'A':<{left}}  B"]
        lines += [f"{key:<{width}}  {first:<{left}}  {second}" for key, first, second in found.settings]
    else:
        lines += ["", "no setting differs"]
    lines += [other_code(found)] if found.code else []
    return "\n".join([*lines, "", f"compare: pictures → {page}"])


def as_values(found: Comparison, count: int, page: Path) -> dict[str, Any]:
    """The whole comparison as plain values, scores as fractions; every photo, and the ids of those on the page."""
    return {
        "a": found.names[0],
        "b": found.names[1],
        "source": {"a": found.maps[0].source, "b": found.maps[1].source},
        "splits": list(found.splits),
        "judged": found.judged,
        "scores": [{"source": s.name, "split": s.split, **_values(s), "photos": list(s.photos)} for s in found.scores],
        "labels": [{"source": s.source, "split": s.split, "measure": s.name, **_values(s)} for s in found.labels],
        "labelled": [{"measure": row.name, **_values(row)} for row in found.labelled],
        "mean": None if found.mean is None else {**_values(found.mean), "interval": found.mean.interval},
        "classes": [{"class": row.name, **_values(row), "interval": row.interval} for row in found.classes],
        "photos": [{"id": photo.name, **_values(photo), "changed": photo.changed} for photo in found.photos],
        "shown": {title: [photo.name for photo in photos] for title, photos in found.extremes(count).items()},
        "older": {name: newer for name, newer in zip("ab", found.newer, strict=True) if newer},
        "code": list(found.code),
        "settings": [{"key": key, "a": first, "b": second} for key, first, second in found.settings],
        "page": str(page),
    }


def signed(value: float | None) -> str:
    """A difference in points: ``+1.25``, or a dash."""
    return "–" if value is None else f"{100 * value:+.2f}"


def interval(row: Pooled) -> str:
    """The interval of a difference in points: ``[-3.9, +0.4]``, or nothing."""
    return "" if row.interval is None else "[{:+.1f}, {:+.1f}]".format(*(100 * end for end in row.interval))


def _table(title: str, rows: Sequence[Row]) -> list[str]:
    width = max(len(title), *(len(row.name) for row in rows))
    return [f"{title:<{width}} {HEAD}", *(f"{row.name:<{width}} {_numbers(row)}" for row in rows)]


def _numbers(row: Row) -> str:
    return f"{_percent(row.a)} {_percent(row.b)} {signed(row.delta):>7}"


def _percent(value: float | None) -> str:
    return f"{'–':>7}" if value is None else f"{100 * value:7.2f}"


def _values(row: Row) -> dict[str, float | None]:
    return {"a": row.a, "b": row.b, "delta": row.delta}
